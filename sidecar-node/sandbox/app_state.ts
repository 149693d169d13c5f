import { randomBytes } from 'node:crypto';
import { proto } from 'baileys/WAProto/index.js';
import { type Companion, isPage } from './companions.ts';
import type { People } from './people.ts';
import { Refusal } from './refusal.ts';
import type { Sandbox } from './sandbox.ts';
import { type Change, type Collection, StateSeal } from './state_seal.ts';
import { bytesOf, child, children, type Node, node, SERVER_JID, seconds } from './wire.ts';

const SCHEMA = `
CREATE TABLE IF NOT EXISTS state_key (account TEXT PRIMARY KEY, id BLOB NOT NULL, data BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state_shared (account TEXT, device INTEGER, PRIMARY KEY (account, device)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state_collection (
  account TEXT, name TEXT, version INTEGER NOT NULL, sum BLOB NOT NULL, macs TEXT NOT NULL,
  PRIMARY KEY (account, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state_patch (
  account TEXT, name TEXT, version INTEGER, patch BLOB NOT NULL, PRIMARY KEY (account, name, version)) WITHOUT ROWID;
`;
const NAMES = ['critical_block', 'critical_unblock_low', 'regular_high', 'regular_low', 'regular'];
const SUM_BYTES = 128;
const CONFLICT = '409';

/**
 * What an account's devices agree on and nobody else sees: archived, muted and pinned chats, stars, names. The server
 * keeps patches in order and cannot read them; the phone reads each, and makes its own.
 */
export class AppState {
  readonly #sandbox: Sandbox;

  constructor(sandbox: Sandbox) {
    this.#sandbox = sandbox;
    sandbox.store.exec(SCHEMA);
  }

  /** What the phone sends a device that was just linked, so that it can read the state; undefined when it did already. */
  keyShare({ number, device }: Companion, again: boolean): proto.IMessage | undefined {
    const { store } = this.#sandbox;
    if (!again && store.get('SELECT 1 FROM state_shared WHERE account = ? AND device = ?', number, device))
      return undefined;
    const { id, data } = this.#key(number);
    store.run('INSERT OR REPLACE INTO state_shared VALUES (?, ?)', number, device);
    const fingerprint = { rawId: 1, currentIndex: 1, deviceIndexes: [0, device] };
    const key = { keyId: { keyId: id }, keyData: { keyData: data, fingerprint, timestamp: Date.now() } };
    const type = proto.Message.ProtocolMessage.Type.APP_STATE_SYNC_KEY_SHARE;
    return { protocolMessage: { type, appStateSyncKeyShare: { keys: [key] } } };
  }

  /** Answers `w:sync:app:state`: takes a device's patches, and hands out those that it has not. */
  answer(companion: Companion, sync: Node | undefined): Node[] {
    return [
      node(
        'sync',
        {},
        children(sync).map((asked) => this.#collection(companion, asked)),
      ),
    ];
  }

  /**
   * `POST /api/phones/<n>/state {collection, index, action, removed?}`: its user changes something on the phone. `by` is
   * the device where that happens, else.
   */
  changeOnPhone(account: string, body: Record<string, unknown>, by = 0): { version: number } {
    const { collection: name, index, action, removed } = body;
    if (typeof name !== 'string' || !NAMES.includes(name))
      throw new Refusal(`"collection" must be one of ${NAMES.join(', ')}.`);
    if (!Array.isArray(index) || index.some((part) => typeof part !== 'string'))
      throw new Refusal('"index" must be a list of texts.');
    const value = proto.SyncActionValue.fromObject({ timestamp: Date.now(), ...(action as object) });
    return { version: this.#change(account, name, { index, value, version: 1, removed: removed === true }, by) };
  }

  #change(account: string, name: string, change: Change, by = 0): number {
    const before = this.#known(account, name);
    return this.#take(account, before, this.#seal(account).seal(before, change), by);
  }

  #collection(companion: Companion, asked: Node): Node {
    const { name = '', version = '0' } = asked.attrs;
    const patch = bytesOf(child(asked, 'patch'));
    if (patch && this.#sandbox.faults.take('state_conflict', companion.number)) this.#overtake(companion.number, name);
    const known = this.#known(companion.number, name);
    if (!patch) return this.#missed(companion, known, Number(version));
    if (Number(version) !== known.version) return refused(known, CONFLICT);
    try {
      const taken = this.#take(companion.number, known, proto.SyncdPatch.decode(patch), companion.device);
      return node('collection', { name, version: String(taken), type: 'result' });
    } catch (error) {
      if (error instanceof Refusal) return refused(known, '400');
      throw error;
    }
  }

  /** Another device of the account was quicker. */
  #overtake(account: string, name: string): void {
    const value = { localeSetting: { locale: 'pt_BR' }, timestamp: Date.now() };
    this.#change(account, name, { index: ['setting_locale'], value, version: 3 });
  }

  #missed({ number }: Companion, { name, version }: Collection, after: number): Node {
    const rows = this.#sandbox.store.all<{ patch: Uint8Array }>(
      'SELECT patch FROM state_patch WHERE account = ? AND name = ? AND version > ? ORDER BY version',
      number,
      name,
      after,
    );
    const patches = rows.map(({ patch }) => node('patch', {}, Buffer.from(patch)));
    const attrs = { name, version: String(version), type: 'result', has_more_patches: 'false' };
    return node('collection', attrs, patches.length > 0 ? [node('patches', {}, patches)] : undefined);
  }

  /** Keeps a patch, notes what it says, and tells the account's other devices that there is one. `by` 0: the phone. */
  #take(account: string, before: Collection, patch: proto.ISyncdPatch, by: number): number {
    const { store, journal, people } = this.#sandbox;
    const { collection, changes } = this.#seal(account).open(before, patch);
    const { name, version, sum, macs } = collection;
    const encoded = proto.SyncdPatch.encode({ ...patch, version: { version } }).finish();
    store.run('INSERT INTO state_patch VALUES (?, ?, ?, ?)', account, name, version, encoded);
    const codes = JSON.stringify([...macs].map(([at, code]) => [at, Buffer.from(code).toString('base64')]));
    store.run('INSERT OR REPLACE INTO state_collection VALUES (?, ?, ?, ?, ?)', account, name, version, sum, codes);
    for (const { index, value, removed } of changes) {
      this.#show(account, { index, value, version, removed: removed === true }, by);
      const [what = '', about = ''] = index;
      const contact = people.ofJid(about)?.number ?? '';
      const action = proto.SyncActionValue.fromObject(value).toJSON();
      if (value.pushNameSetting?.name) rename(people, account, value.pushNameSetting.name);
      journal.append({ kind: 'state', account, contact, device: by, type: what, detail: { index, action, removed } });
    }
    this.#tell(account, name, version, by);
    return version;
  }

  #tell(account: string, name: string, version: number, by: number): void {
    const { companions, queue } = this.#sandbox;
    for (const companion of companions.of(account)) {
      if (companion.device === by || isPage(companion)) continue;
      const id = randomBytes(8).toString('hex');
      const what = node('collection', { name, version: String(version) });
      const attrs = { from: SERVER_JID, type: 'server_sync', id, t: seconds() };
      queue.add(companion, 'notification', id, node('notification', attrs, [what]));
      this.#sandbox.wake(companion);
    }
  }

  /** A page is told each change itself: it reads no patches. */
  #show(account: string, { index, value, removed }: Change, by: number): void {
    const action = proto.SyncActionValue.fromObject(value).toJSON();
    for (const companion of this.#sandbox.companions.of(account))
      if (companion.device !== by && isPage(companion)) this.#hand(companion, { index, action, removed });
  }

  /** A page that was just linked is told the state so far: of each index what was said last, in the order of that. */
  handOver(page: Companion): void {
    const rows = this.#sandbox.store.all<{ detail: string }>(
      "SELECT detail FROM journal WHERE account = ? AND kind = 'state' ORDER BY seq",
      page.number,
    );
    const last = new Map<string, object>();
    for (const { detail } of rows) {
      const change = JSON.parse(detail) as { index: string[] };
      const key = JSON.stringify(change.index);
      last.delete(key);
      last.set(key, change);
    }
    for (const change of last.values()) this.#hand(page, change);
  }

  #hand(page: Companion, change: object): void {
    const id = randomBytes(8).toString('hex');
    const said = Buffer.from(JSON.stringify(change));
    this.#sandbox.queue.add(page, 'notification', id, node('notification', { type: 'state', id, t: seconds() }, said));
    this.#sandbox.wake(page);
  }

  #known(account: string, name: string): Collection {
    const row = this.#sandbox.store.get<{ version: number; sum: Uint8Array; macs: string }>(
      'SELECT version, sum, macs FROM state_collection WHERE account = ? AND name = ?',
      account,
      name,
    );
    if (!row) return { name, version: 0, sum: new Uint8Array(SUM_BYTES), macs: new Map() };
    const codes = JSON.parse(row.macs) as [string, string][];
    return { ...row, name, macs: new Map(codes.map(([at, code]) => [at, Buffer.from(code, 'base64')])) };
  }

  #seal(account: string): StateSeal {
    const { id, data } = this.#key(account);
    return new StateSeal(id, data);
  }

  #key(account: string): { id: Uint8Array; data: Uint8Array } {
    const { store } = this.#sandbox;
    const known = store.get<{ id: Uint8Array; data: Uint8Array }>(
      'SELECT id, data FROM state_key WHERE account = ?',
      account,
    );
    if (known) return known;
    const made = { id: Buffer.concat([Buffer.alloc(2), randomBytes(4)]), data: randomBytes(32) };
    store.run('INSERT INTO state_key VALUES (?, ?, ?)', account, made.id, made.data);
    return made;
  }
}

/** The phone tells the server, who tells whoever the account writes to. */
function rename(people: People, account: string, name: string): void {
  const person = people.ensure(account);
  person.name = name;
  people.save(person);
}

const refused = ({ name, version }: Collection, code: string): Node =>
  node('collection', { name, version: String(version), type: 'error' }, [node('error', { code, text: 'refused' })]);
