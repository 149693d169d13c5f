import { randomBytes } from 'node:crypto';
import type { Group } from './groups.ts';
import type { Person } from './people.ts';
import { Refusal } from './refusal.ts';
import type { Sandbox } from './sandbox.ts';
import { bytesOf, child, lidJid, type Node, node, parseJid, pnJid, seconds } from './wire.ts';

const SCHEMA = `
CREATE TABLE IF NOT EXISTS profile (
  owner TEXT PRIMARY KEY, about TEXT, about_at INTEGER, picture_id TEXT, picture BLOB, hidden INTEGER NOT NULL,
  business TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS blocked (account TEXT, contact TEXT, PRIMARY KEY (account, contact)) WITHOUT ROWID;
`;
const MAX_PICTURE = 5 * 1024 * 1024;
const PICTURES = '/pps/';
const JPEG = Buffer.of(0xff, 0xd8, 0xff);

export interface Profile {
  about: string | null;
  about_at: number | null;
  picture_id: string | null;
  /** Nobody but its owner sees about and picture. */
  hidden: boolean;
  business: Record<string, string> | null;
}
interface Row extends Omit<Profile, 'hidden' | 'business'> {
  picture: Uint8Array | null;
  hidden: number;
  business: string | null;
}

const NOTHING: Profile = { about: null, about_at: null, picture_id: null, hidden: false, business: null };
const DEFAULT_ABOUT = 'Hey there! I am using the sandbox.';

/** What people (by number) and groups (by jid) show of themselves, and whom accounts have blocked. */
export class Profiles {
  readonly #sandbox: Sandbox;

  constructor(sandbox: Sandbox) {
    this.#sandbox = sandbox;
    sandbox.store.exec(SCHEMA);
  }

  of(owner: string): Profile {
    const row = this.#row(owner);
    if (!row) return NOTHING;
    const { about, about_at, picture_id, hidden, business } = row;
    return {
      about,
      about_at,
      picture_id,
      hidden: hidden === 1,
      business: business === null ? null : (JSON.parse(business) as Record<string, string>),
    };
  }

  /** `PATCH /api/contacts/<number>` with `profile`: `about`, `picture` (base64, null: none), `hidden`, `business`. */
  change(owner: string, change: unknown): void {
    if (typeof change !== 'object' || change === null) throw new Refusal('"profile" must be an object.');
    const { about, picture, hidden, business } = change as Record<string, unknown>;
    if (about !== undefined) this.setAbout(owner, String(about));
    if (picture !== undefined) this.setPicture(owner, picture === null ? null : Buffer.from(String(picture), 'base64'));
    if (hidden !== undefined) this.#save(owner, { hidden: hidden === true ? 1 : 0 });
    if (business !== undefined) this.#save(owner, { business: business === null ? null : JSON.stringify(business) });
  }

  setAbout(owner: string, about: string): void {
    this.#save(owner, { about, about_at: Date.now() });
  }

  setPicture(owner: string, picture: Buffer | null): string | null {
    if (picture && picture.length > MAX_PICTURE) throw new Refusal('A picture has at most 5 MB.');
    const id = picture ? randomBytes(8).toString('hex') : null;
    this.#save(owner, { picture, picture_id: id });
    return id;
  }

  /** What the address of a picture leads to. */
  pictureAt(path: string): Buffer | undefined {
    const id = path.startsWith(PICTURES) ? path.slice(PICTURES.length) : '';
    const row = this.#sandbox.store.get<Row>('SELECT * FROM profile WHERE picture_id = ?', id);
    return row?.picture ? Buffer.from(row.picture) : undefined;
  }

  /** `usync`'s status; undefined when it is hidden from who asks. */
  status(person: Person, asker: string): Node {
    const { about, about_at, hidden } = this.of(person.number);
    if (hidden && asker !== person.number) return node('status', { code: '401', t: '0' });
    return node('status', { t: seconds(about_at ?? Date.now()) }, Buffer.from(about ?? DEFAULT_ABOUT));
  }

  /** Answers `w:profile:picture`; WhatsApp's code of a refusal when there is none, it is hidden, or another's. */
  answerPicture(account: string, stanza: Node): Node[] | number {
    const owner = this.#owner(stanza.attrs.target) ?? account;
    if (stanza.attrs.type === 'set') {
      const group = this.#sandbox.groups.find(owner);
      if (owner !== account && !(group && mayShow(this.#sandbox, group, account))) return 401;
      const picture = bytesOf(child(stanza, 'picture'));
      if (picture && !JPEG.equals(picture.subarray(0, JPEG.length))) return 400;
      const id = this.setPicture(owner, picture ?? null);
      if (group) this.#sandbox.groups.tellPicture(group, account, id);
      return id ? [node('picture', { id })] : [];
    }
    const { picture_id: id, hidden } = this.of(owner);
    if (!id || (hidden && owner !== account)) return 404;
    const { type = 'image' } = child(stanza, 'picture')?.attrs ?? {};
    const url = `https://${this.#sandbox.media.host}${PICTURES}${id}`;
    return [node('picture', { id, type, url, direct_path: `${PICTURES}${id}` })];
  }

  /** Answers `w:biz`: nothing of who is no business. */
  answerBusiness(first: Node | undefined): Node[] {
    const jid = child(first, 'profile')?.attrs.jid ?? '';
    const owner = this.#owner(jid);
    const business = owner ? this.of(owner).business : null;
    if (!business) return [];
    const { category, ...fields } = business;
    const told = Object.entries(fields).map(([name, value]) => node(name, {}, Buffer.from(value)));
    if (category) told.push(node('categories', {}, [node('category', { id: '1' }, Buffer.from(category))]));
    return [node('business_profile', {}, [node('profile', { jid }, told)])];
  }

  /** Answers `blocklist`: the list, after a change if one is asked for. */
  answerBlocklist(account: string, first: Node | undefined): Node[] {
    const { action, jid = '' } = first?.tag === 'item' ? first.attrs : {};
    const person = this.#sandbox.people.ofJid(jid);
    if (action && person) this.#block(account, person.number, action === 'block');
    const items = this.blocked(account).map((number) => {
      const { lid } = this.#sandbox.people.ensure(number);
      return node('item', { jid: lidJid(lid), pn_jid: pnJid(number) });
    });
    return [node('list', { dhash: String(items.length) }, items)];
  }

  blocked(account: string): string[] {
    const rows = this.#sandbox.store.all<{ contact: string }>(
      'SELECT contact FROM blocked WHERE account = ? ORDER BY contact',
      account,
    );
    return rows.map(({ contact }) => contact);
  }

  /** Whether what a contact sends to an account is dropped by the server. */
  isBlocked(account: string, contact: string): boolean {
    return (
      this.#sandbox.store.get('SELECT 1 FROM blocked WHERE account = ? AND contact = ?', account, contact) !== undefined
    );
  }

  #block(account: string, contact: string, block: boolean): void {
    const sql = block
      ? 'INSERT OR IGNORE INTO blocked VALUES (?, ?)'
      : 'DELETE FROM blocked WHERE account = ? AND contact = ?';
    this.#sandbox.store.run(sql, account, contact);
    this.#sandbox.events.emit('change');
  }

  #owner(jid: string | undefined): string | undefined {
    if (!jid) return undefined;
    if (parseJid(jid)?.server === 'g.us') return jid;
    return this.#sandbox.people.ofJid(jid)?.number;
  }

  #row(owner: string): Row | undefined {
    return this.#sandbox.store.get<Row>('SELECT * FROM profile WHERE owner = ?', owner);
  }

  #save(owner: string, change: Partial<Row>): void {
    const row = {
      about: null,
      about_at: null,
      picture_id: null,
      picture: null,
      hidden: 0,
      business: null,
      ...this.#row(owner),
      ...change,
    };
    this.#sandbox.store.run(
      'INSERT OR REPLACE INTO profile VALUES (?, ?, ?, ?, ?, ?, ?)',
      owner,
      row.about,
      row.about_at,
      row.picture_id,
      row.picture,
      row.hidden,
      row.business,
    );
    this.#sandbox.events.emit('change');
  }
}

function mayShow({ groups }: Sandbox, group: Group, account: string): boolean {
  const role = groups.roleOf(group, account);
  return role !== undefined && (role !== 'member' || !group.locked);
}

/** The account that has this number. Old Brazilian mobiles are registered without their ninth digit: either form leads there. */
export function accountOf(sandbox: Sandbox, phone: string): Person | undefined {
  const { people } = sandbox;
  const known = people.find(phone);
  if (known) return known;
  const [, area, local = ''] = /^55(\d\d)(9?[6-9]\d{7})$/.exec(phone) ?? [];
  const other = area && people.find(`55${area}${local.length === 9 ? local.slice(1) : `9${local}`}`);
  return other || people.ofJid(pnJid(phone));
}
