/**
 * A session's browser profile, which is its credential: on disk while the browser runs, and as a snapshot in rows of
 * the worker's store once it has ended (an open profile cannot be copied whole).
 *
 * The credentials record names the profile and its generation, one higher at each open. A profile on this disk is used
 * when it is of that generation (this machine was the last to open it: it is newer than any snapshot); else the
 * snapshot is laid out anew.
 */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { decode, encode } from '@msgpack/msgpack';
import type { Row } from '../../protocol.ts';
import type { Link } from '../port.ts';

/** What holds a login: storage and cookies. Caches, histories and crash reports stay behind. */
const KEPT = [
  'Local State',
  'Default/IndexedDB',
  'Default/Local Storage',
  'Default/WebStorage',
  'Default/Session Storage',
  'Default/Network',
  'Default/Cookies',
  'Default/Preferences',
];
export const ROWS = 'profile';
/** Bytes of a row. */
const PART = 512 * 1024;
/** Rows asked for, or handed over, at a time: they must fit a frame. */
const BATCH = 8;
const LARGEST = 256 * 1024 * 1024;

export interface ProfileRecord {
  profile: string;
  generation: number;
  snapshot?: { generation: number; parts: number; sha256: string } | undefined;
}

interface Marker {
  profile: string;
  generation: number;
  /** What the store still said when this machine opened it. */
  previous: number;
  /** Whose it is: the worker looks whether it is still of use. */
  session: string;
}

export class Profile {
  readonly folder: string;
  #session: string;
  #record: ProfileRecord;
  /** The folder's own number: whether it is still the one that was prepared. */
  #inode: number | undefined;

  /** `creds`: the stored record, or undefined for a device that is to be paired. */
  constructor(profiles: string, session: string, creds: Uint8Array | undefined) {
    this.#session = session;
    this.folder = join(profiles, createHash('sha256').update(session).digest('hex').slice(0, 32));
    this.#record = creds
      ? (JSON.parse(Buffer.from(creds).toString()) as ProfileRecord)
      : { profile: randomUUID(), generation: 0 };
  }

  /** What the worker is to keep. */
  get creds(): Uint8Array {
    return Buffer.from(JSON.stringify(this.#record));
  }

  get hasSnapshot(): boolean {
    return this.#record.snapshot !== undefined;
  }

  /** LocalAuth's own folder. */
  get data(): string {
    return join(this.folder, 'session');
  }

  /** Makes the folder what the record says. False: neither here nor in the store, the login is lost. */
  async prepare(link: Link): Promise<boolean> {
    const isThere = await this.#laidOut(link);
    if (isThere) this.#inode = (await stat(this.data)).ino;
    return isThere;
  }

  /** Whether the browser has what was prepared: without its folder Chromium makes an empty one, and has no login. */
  async isIntact(): Promise<boolean> {
    return (await stat(this.data).catch(() => undefined))?.ino === this.#inode;
  }

  async #laidOut(link: Link): Promise<boolean> {
    const marker = await this.#marker();
    const { profile, generation, snapshot } = this.#record;
    if (generation === 0) {
      await this.wipe();
      await mkdir(this.data, { recursive: true, mode: 0o700 });
      return true;
    }
    const last = marker?.profile === profile && (marker.generation === generation || marker.previous === generation);
    if (last && (await stat(this.data).catch(() => undefined))) return true;
    await this.wipe();
    if (!snapshot) return false;
    await this.#restore(link, snapshot);
    return true;
  }

  /** This machine opens it: its marker first, then the record, so that a crash between leaves the profile in use. */
  async opened(): Promise<Uint8Array> {
    const previous = this.#record.generation;
    this.#record = { ...this.#record, generation: previous + 1 };
    const { profile, generation } = this.#record;
    const marker: Marker = { profile, generation, previous, session: this.#session };
    const path = join(this.folder, 'profile.json');
    await writeFile(`${path}.new`, JSON.stringify(marker), { mode: 0o600 });
    await rename(`${path}.new`, path);
    return this.creds;
  }

  async wipe(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true, maxRetries: 4 });
  }

  /** The closed profile as units of rows; the last carries the record that makes them the snapshot. */
  async snapshot(): Promise<{ rows: Row[]; creds?: Uint8Array }[]> {
    const files: [string, Uint8Array][] = [];
    let size = 0;
    for (const kept of KEPT) {
      for (const path of await filesIn(this.data, kept)) {
        const bytes = await readFile(join(this.data, path));
        size += bytes.length;
        if (size > LARGEST) throw new Error('the profile is too large for a snapshot');
        files.push([path, bytes]);
      }
    }
    const packed = await promisify(gzip)(encode(files), { level: 1 });
    const { generation, snapshot: before } = this.#record;
    const rows: Row[] = [];
    for (let part = 0; part * PART < packed.length; part++)
      rows.push([ROWS, `${generation}/${part}`, packed.subarray(part * PART, (part + 1) * PART)]);
    const snapshot = { generation, parts: rows.length, sha256: createHash('sha256').update(packed).digest('hex') };
    this.#record = { ...this.#record, snapshot };
    const gone = before && before.generation !== generation ? partsOf(before) : [];
    const units: { rows: Row[]; creds?: Uint8Array }[] = [];
    for (let at = 0; at < rows.length; at += BATCH) units.push({ rows: rows.slice(at, at + BATCH) });
    units.push({ rows: gone.map((id): Row => [ROWS, id, null]), creds: this.creds });
    return units;
  }

  async #restore(link: Link, snapshot: NonNullable<ProfileRecord['snapshot']>): Promise<void> {
    const ids = partsOf(snapshot);
    const parts = new Map<string, Uint8Array>();
    for (let at = 0; at < ids.length; at += BATCH)
      for (const [id, value] of await link.keysGet(ROWS, ids.slice(at, at + BATCH))) parts.set(id, value);
    const packed = Buffer.concat(ids.map((id) => parts.get(id) ?? new Uint8Array(0)));
    if (createHash('sha256').update(packed).digest('hex') !== snapshot.sha256)
      throw new Error('the stored profile is damaged');
    for (const [path, bytes] of decode(await promisify(gunzip)(packed)) as [string, Uint8Array][]) {
      const target = join(this.data, path);
      await mkdir(dirname(target), { recursive: true, mode: 0o700 });
      await writeFile(target, bytes, { mode: 0o600 });
    }
  }

  async #marker(): Promise<Marker | undefined> {
    try {
      return JSON.parse(await readFile(join(this.folder, 'profile.json'), 'utf8')) as Marker;
    } catch {
      return undefined;
    }
  }
}

function partsOf({ generation, parts }: NonNullable<ProfileRecord['snapshot']>): string[] {
  return Array.from({ length: parts }, (_, part) => `${generation}/${part}`);
}

/** Files below `folder/path`, or that file itself, by their paths from `folder`. */
async function filesIn(folder: string, path: string): Promise<string[]> {
  const found = await stat(join(folder, path)).catch(() => undefined);
  if (!found) return [];
  if (found.isFile()) return [path];
  const entries = await readdir(join(folder, path), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && entry.name !== 'LOCK')
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
}
