/**
 * Baileys' key store over the worker's database. Rows live here as compact MessagePack, never as objects: a paired
 * account has over 800 prekeys. Uncommitted writes are always readable; what is committed sits in a small LRU.
 */
import { Decoder, Encoder } from '@msgpack/msgpack';
import {
  type AuthenticationCreds,
  proto,
  type SignalDataSet,
  type SignalDataTypeMap,
  type SignalKeyStore,
} from 'baileys';
import { unpooled } from '../../bytes.ts';
import type { Row } from '../../protocol.ts';
import type { Link } from '../port.ts';
import type { OutputGate } from './gate.ts';

/** Bytes of committed rows kept in memory for one session. */
const CACHE_BYTES = 256 * 1024;
/** What an entry costs beside its bytes. */
const ENTRY_COST = 120;
/** What a session's record costs where its row remembers it (quick/records.ts). */
const RECORD_COST = 3 * 1024;
/** Written once and read rarely: not worth a place in the LRU. */
const UNCACHED = new Set(['pre-key', 'sent']);

const encoder = new Encoder({ ignoreUndefined: true });
const decoder = new Decoder();

/** Restores Buffers, copied out of the frame they came in, exactly where Baileys wants them. */
function restore(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value);
  if (Array.isArray(value)) return value.map(restore);
  if (typeof value === 'object' && value !== null) {
    const record = value as Record<string, unknown>;
    for (const key of Object.keys(record)) {
      if (typeof record[key] === 'object') record[key] = restore(record[key]);
    }
  }
  return value;
}

export function encodeValue(kind: string, value: unknown): Uint8Array {
  // A session arrives as the row it becomes (quick/records.ts).
  if (kind === 'session' && value instanceof Uint8Array) return value;
  if (kind === 'app-state-sync-key') {
    return proto.Message.AppStateSyncKeyData.encode(value as proto.Message.IAppStateSyncKeyData).finish();
  }
  return encoder.encode(value);
}

export function decodeValue(kind: string, bytes: Uint8Array): unknown {
  if (kind === 'app-state-sync-key') return proto.Message.AppStateSyncKeyData.decode(bytes);
  return kind === 'session' ? bytes : restore(decoder.decode(bytes));
}

export function encodeCreds(creds: AuthenticationCreds): Uint8Array {
  const { account, ...rest } = creds;
  return encoder.encode({ ...rest, account: account && proto.ADVSignedDeviceIdentity.encode(account).finish() });
}

export function decodeCreds(bytes: Uint8Array): AuthenticationCreds {
  const { account, ...rest } = restore(decoder.decode(bytes)) as Record<string, unknown>;
  for (const name of ['noiseKey', 'signedIdentityKey', 'signedPreKey', 'registrationId']) {
    if (rest[name] === undefined) throw new Error(`creds without ${name}`);
  }
  const signed = account ? { account: proto.ADVSignedDeviceIdentity.decode(account as Uint8Array) } : {};
  return { ...rest, ...signed } as unknown as AuthenticationCreds;
}

function cost(key: string, value: Uint8Array | null): number {
  return (value?.length ?? 0) + ENTRY_COST + (value && key.startsWith('session\0') ? RECORD_COST : 0);
}

/** The newest write of a row, and the unit it left in (0: not yet). */
interface Pending {
  row: Row;
  unit: number;
}

export class KeyStore implements SignalKeyStore {
  #link: Link;
  #gate: OutputGate;
  #broken: (error: unknown) => void;
  #pending = new Map<string, Pending>();
  /** Insertion order is age; null remembers that the row does not exist. */
  #cache = new Map<string, Uint8Array | null>();
  #cacheBytes = 0;
  #units: { unit: number; keys: string[] }[] = [];

  /**
   * `broken` is called when the worker could not read: Baileys would take the rows for absent, ask contacts to send
   * again what it could have read, and acknowledge it.
   */
  constructor(link: Link, gate: OutputGate, broken: (error: unknown) => void) {
    this.#link = link;
    this.#gate = gate;
    this.#broken = broken;
  }

  async get<T extends keyof SignalDataTypeMap>(
    kind: T,
    ids: string[],
  ): Promise<{ [id: string]: SignalDataTypeMap[T] }> {
    const found: { [id: string]: SignalDataTypeMap[T] } = {};
    const rows = await this.rows(kind, ids);
    for (const [id, bytes] of rows) {
      const value = decodeValue(kind, bytes);
      if (value !== undefined && value !== null) found[id] = value as SignalDataTypeMap[T];
    }
    return found;
  }

  async set(data: SignalDataSet): Promise<void> {
    const rows: Row[] = [];
    for (const [kind, values] of Object.entries(data)) {
      for (const [id, value] of Object.entries(values ?? {})) {
        rows.push([kind, id, value === null || value === undefined ? null : encodeValue(kind, value)]);
      }
    }
    if (rows.length === 0) return;
    this.#remember(rows);
    this.#gate.write(rows);
  }

  /** A row that travels with the next unit of keys; readable at once. */
  stage(row: Row): void {
    this.#remember([row]);
    this.#gate.stage([row]);
  }

  /** The stored bytes of the rows that exist. */
  async rows(kind: string, ids: string[]): Promise<[string, Uint8Array][]> {
    const found: [string, Uint8Array][] = [];
    const missing: string[] = [];
    for (const id of ids) {
      const known = this.#known(`${kind}\0${id}`);
      if (known === undefined) missing.push(id);
      else if (known !== null) found.push([id, known]);
    }
    if (missing.length === 0) return found;
    const fetched = new Map(await this.#fetch(kind, missing));
    for (const id of missing) {
      const key = `${kind}\0${id}`;
      let value = this.#known(key);
      if (value === undefined) {
        const bytes = fetched.get(id);
        value = bytes ? unpooled(bytes) : null;
        if (!UNCACHED.has(kind)) this.#keep(key, value);
      }
      if (value !== null) found.push([id, value]);
    }
    return found;
  }

  async #fetch(kind: string, ids: string[]): Promise<[string, Uint8Array][]> {
    try {
      return await this.#link.keysGet(kind, ids);
    } catch (error) {
      this.#broken(error);
      throw error;
    }
  }

  #known(key: string): Uint8Array | null | undefined {
    const pending = this.#pending.get(key);
    if (pending) return pending.row[2];
    const cached = this.#cache.get(key);
    if (cached === undefined) return undefined;
    this.#cache.delete(key);
    this.#cache.set(key, cached);
    return cached;
  }

  #remember(rows: Row[]): void {
    for (const row of rows) {
      const key = `${row[0]}\0${row[1]}`;
      this.#drop(key);
      this.#pending.set(key, { row, unit: 0 });
    }
  }

  /** These rows left as `unit`: keep them readable until it is committed. */
  emitted(unit: number, rows: Row[]): void {
    const keys: string[] = [];
    for (const row of rows) {
      const key = `${row[0]}\0${row[1]}`;
      const pending = this.#pending.get(key);
      // A later write of the same row is still on its way.
      if (pending?.row !== row) continue;
      pending.unit = unit;
      keys.push(key);
    }
    this.#units.push({ unit, keys });
  }

  committed(unit: number): void {
    let count = 0;
    for (const { unit: of, keys } of this.#units) {
      if (of > unit) break;
      count++;
      for (const key of keys) this.#retire(key, of);
    }
    this.#units.splice(0, count);
  }

  #retire(key: string, unit: number): void {
    const pending = this.#pending.get(key);
    if (pending?.unit !== unit) return;
    this.#pending.delete(key);
    if (!UNCACHED.has(pending.row[0])) this.#keep(key, pending.row[2]);
  }

  #keep(key: string, value: Uint8Array | null): void {
    this.#drop(key);
    this.#cache.set(key, value);
    this.#cacheBytes += cost(key, value);
    for (const oldest of this.#cache.keys()) {
      if (this.#cacheBytes <= CACHE_BYTES) break;
      this.#drop(oldest);
    }
  }

  #drop(key: string): void {
    const value = this.#cache.get(key);
    if (value === undefined) return;
    this.#cache.delete(key);
    this.#cacheBytes -= cost(key, value);
  }
}
