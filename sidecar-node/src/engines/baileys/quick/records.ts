/**
 * libsignal's session records, read once. libsignal stores a record after every message and reads it again two or
 * three times before the next, each time from base64 in maps; here the row's bytes remember the record they were
 * written from, and reading them copies it. The stored form is what it always was.
 */
import { Decoder, Encoder } from '@msgpack/msgpack';
import { unpooled } from '../../../bytes.ts';

/** One session of a record. */
export interface Entry {
  registrationId: number;
  currentRatchet: { ephemeralKeyPair: object };
  indexInfo: object;
  _chains: Record<string, { chainKey: object; chainType: number; messageKeys: object }>;
  pendingPreKey?: object;
}
type Fields = Record<string, unknown>;

export interface SessionRecord {
  sessions: Record<string, Entry>;
  serialize(): unknown;
}

interface RecordClass {
  prototype: SessionRecord;
  new (): SessionRecord;
  deserialize(data: unknown): SessionRecord;
}

/** A row of kind `session`: the stored bytes, and the record they hold when it was at hand. */
export interface SessionRow extends Uint8Array {
  record?: SessionRecord;
}

const encoder = new Encoder({ ignoreUndefined: true });
const decoder = new Decoder();

/** What libsignal changes in place is copied; keys are only ever replaced, so their bytes are shared. */
export function copyEntry(entry: Entry): Entry {
  const copy = Object.create(Object.getPrototypeOf(entry)) as Entry;
  copy._chains = {};
  for (const id in entry._chains) {
    const { chainKey, chainType, messageKeys } = entry._chains[id] as Entry['_chains'][string];
    copy._chains[id] = { chainKey: { ...chainKey }, chainType, messageKeys: { ...messageKeys } };
  }
  copy.registrationId = entry.registrationId;
  const { ephemeralKeyPair, ...ratchet } = entry.currentRatchet;
  copy.currentRatchet = { ephemeralKeyPair: { ...ephemeralKeyPair }, ...ratchet };
  copy.indexInfo = { ...entry.indexInfo };
  if (entry.pendingPreKey) copy.pendingPreKey = { ...entry.pendingPreKey };
  return copy;
}

/** Gives the keys among the fields memory of their own, for they are kept. */
function settle(fields: object): void {
  const record = fields as Fields;
  for (const name in record) {
    const value = record[name];
    if (value instanceof Uint8Array && value.buffer.byteLength > value.length) record[name] = unpooled(value);
  }
}

function remember(row: SessionRow, record: SessionRecord): void {
  for (const entry of Object.values(record.sessions)) {
    settle(entry.currentRatchet);
    settle(entry.currentRatchet.ephemeralKeyPair);
    settle(entry.indexInfo);
    if (entry.pendingPreKey) settle(entry.pendingPreKey);
    for (const { chainKey, messageKeys } of Object.values(entry._chains)) {
      settle(chainKey);
      settle(messageKeys);
    }
  }
  row.record = record;
}

/** Makes `serialize` return a row and `deserialize` read one. */
export function quickenRecords(SessionRecord: RecordClass): void {
  const { deserialize } = SessionRecord;
  const { serialize } = SessionRecord.prototype;

  SessionRecord.prototype.serialize = function (this: SessionRecord): SessionRow {
    const row: SessionRow = encoder.encode(serialize.call(this));
    remember(row, this);
    return row;
  };

  SessionRecord.deserialize = (data: unknown): SessionRecord => {
    if (!(data instanceof Uint8Array)) return deserialize.call(SessionRecord, data);
    const row = data as SessionRow;
    if (!row.record) remember(row, deserialize.call(SessionRecord, decoder.decode(row)));
    const { sessions } = row.record as unknown as SessionRecord;
    const copy = new SessionRecord();
    for (const id in sessions) copy.sessions[id] = copyEntry(sessions[id] as Entry);
    return copy;
  };
}
