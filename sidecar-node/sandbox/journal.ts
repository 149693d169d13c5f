import { EventEmitter } from 'node:events';
import { proto } from 'baileys/WAProto/index.js';
import type { Store } from './store.ts';

export type EntryKind =
  | 'message'
  | 'repeat'
  | 'receipt'
  | 'inbound'
  | 'inbound_acked'
  | 'retry_request'
  | 'decrypt_failed'
  | 'own_copy'
  | 'gateway_receipt'
  | 'gateway_retry'
  | 'login'
  | 'logout'
  | 'pair'
  | 'unlink'
  | 'nack'
  | 'blocked'
  | 'call'
  | 'fault'
  | 'presence'
  | 'state'
  | 'past'
  | 'peer_request';

export interface Entry {
  kind: EntryKind;
  account?: string;
  contact?: string;
  device?: number;
  id?: string;
  type?: string;
  text?: string;
  /** Position in which the server received the stanza, counted per account. */
  position?: number;
  /** An encoded Message. */
  content?: Uint8Array;
  detail?: Record<string, unknown>;
  /** Milliseconds; now when absent. */
  at?: number;
}

/** A row as it is stored; `detail` is JSON. */
export interface JournalRow {
  seq: number;
  at: number;
  kind: EntryKind;
  account: string;
  contact: string;
  device: number;
  id: string;
  type: string;
  text: string;
  position: number | null;
  content: Uint8Array | null;
  detail: string | null;
}

export interface JournalFilter {
  after?: number;
  limit?: number;
  contact?: string;
  account?: string;
  id?: string;
  kind?: string;
  content?: boolean;
}

/** What happened, in order: rows appended with the change that they tell of. */
export class Journal {
  /** Emits 'entry' with the row's number once it is written (not yet committed). */
  readonly events = new EventEmitter();
  readonly #store: Store;
  readonly #positions = new Map<string, number>();
  readonly #lastNumbers = new Map<string, number>();
  #last: number;

  constructor(store: Store) {
    this.#store = store;
    this.#last = store.get<{ n: number | null }>('SELECT max(seq) AS n FROM journal')?.n ?? 0;
    for (const row of store.all<{ account: string; n: number | null }>(
      'SELECT account, max(position) AS n FROM journal GROUP BY account',
    )) {
      this.#positions.set(row.account, row.n ?? 0);
    }
  }

  get last(): number {
    return this.#last;
  }

  /** The next position among the message stanzas that the server got from an account. */
  position(account: string): number {
    const next = (this.#positions.get(account) ?? 0) + 1;
    this.#positions.set(account, next);
    return next;
  }

  append(entry: Entry): number {
    const { id } = this.#store.run(
      `INSERT INTO journal (at, kind, account, contact, device, id, type, text, position, content, detail)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      entry.at ?? Date.now(),
      entry.kind,
      entry.account ?? '',
      entry.contact ?? '',
      entry.device ?? 0,
      entry.id ?? '',
      entry.type ?? '',
      entry.text ?? '',
      entry.position ?? null,
      entry.content ?? null,
      entry.detail ? JSON.stringify(entry.detail) : null,
    );
    this.#last = id;
    if (this.events.listenerCount('entry') > 0) this.events.emit('entry', id);
    return id;
  }

  annotate(seq: number, detail: Record<string, unknown>): void {
    this.#store.run(
      "UPDATE journal SET detail = json_patch(coalesce(detail, '{}'), ?) WHERE seq = ?",
      JSON.stringify(detail),
      seq,
    );
    this.events.emit('entry', seq);
  }

  /** True if this message was shown to the contact before. */
  wasShown(account: string, contact: string, id: string): boolean {
    return (
      this.#store.get(
        "SELECT 1 FROM journal WHERE id = ? AND kind = 'message' AND account = ? AND contact = ?",
        id,
        account,
        contact,
      ) !== undefined
    );
  }

  /**
   * True when a text such as "order 7" comes after "order 9" in the same chat: a test that numbers its texts sees
   * from it that they were reordered. Known since the sandbox started only.
   */
  outOfOrder(account: string, contact: string, text: string): boolean {
    const match = /^(.*?)(\d{1,15})$/s.exec(text);
    if (!match) return false;
    const chat = `${account}/${contact}/${match[1]?.slice(0, 40)}`;
    const [number, highest] = [Number(match[2]), this.#lastNumbers.get(chat) ?? -1];
    if (number < highest) return true;
    if (this.#lastNumbers.size > 100_000) this.#lastNumbers.clear();
    this.#lastNumbers.set(chat, number);
    return false;
  }

  find(filter: { kind: EntryKind; account: string; contact: string; id: string }): Buffer | undefined {
    const row = this.#store.get<{ content: Uint8Array | null }>(
      'SELECT content FROM journal WHERE id = ? AND kind = ? AND account = ? AND contact = ? ORDER BY seq DESC LIMIT 1',
      filter.id,
      filter.kind,
      filter.account,
      filter.contact,
    );
    return row?.content ? Buffer.from(row.content) : undefined;
  }

  /** A message that was shown to a contact, and who wrote it. */
  shown(contact: string, id: string): { account: string; group: string | undefined; content: Buffer } | undefined {
    const row = this.#store.get<{ account: string; content: Uint8Array | null; detail: string | null }>(
      "SELECT account, content, detail FROM journal WHERE id = ? AND kind = 'message' AND contact = ? LIMIT 1",
      id,
      contact,
    );
    const group = (JSON.parse(row?.detail ?? '{}') as { group?: string }).group;
    return row?.content ? { account: row.account, group, content: Buffer.from(row.content) } : undefined;
  }

  /** What a contact said under an id, to whomever. */
  said(contact: string, id: string): Buffer | undefined {
    const row = this.#store.get<{ content: Uint8Array | null }>(
      "SELECT content FROM journal WHERE id = ? AND kind = 'inbound' AND contact = ? LIMIT 1",
      id,
      contact,
    );
    return row?.content ? Buffer.from(row.content) : undefined;
  }

  read(filter: JournalFilter): { entries: Record<string, unknown>[]; last: number } {
    const conditions = ['seq > ?'];
    const values: (string | number)[] = [filter.after ?? 0];
    for (const column of ['contact', 'account', 'id', 'kind'] as const) {
      const value = filter[column];
      if (value === undefined) continue;
      conditions.push(`${column} = ?`);
      values.push(value);
    }
    const limit = Math.min(filter.limit ?? 1000, 10_000);
    const rows = this.#store.all<JournalRow>(
      `SELECT * FROM journal WHERE ${conditions.join(' AND ')} ORDER BY seq LIMIT ?`,
      ...values,
      limit,
    );
    return { entries: rows.map((row) => present(row, filter.content !== false)), last: this.#last };
  }

  /** What passed between an account and a contact, in groups not: the newest `limit` entries, oldest first. */
  newest(account: string, contact: string, limit: number): JournalRow[] {
    return this.#store
      .all<JournalRow>(
        "SELECT * FROM journal WHERE account = ? AND contact = ? AND coalesce(json_extract(detail, '$.group'), '') = '' ORDER BY seq DESC LIMIT ?",
        account,
        contact,
        limit,
      )
      .reverse();
  }

  /** Who wrote with an account, and when last: the latest first. */
  partners(account: string, limit: number): { contact: string; at: number }[] {
    return this.#store.all(
      `SELECT contact, at FROM journal WHERE seq IN
         (SELECT max(seq) FROM journal WHERE account = ? AND contact <> '' GROUP BY contact ORDER BY max(seq) DESC LIMIT ?)
       ORDER BY seq DESC`,
      account,
      limit,
    );
  }

  entry(seq: number): Record<string, unknown> | undefined {
    const row = this.#store.get<JournalRow>('SELECT * FROM journal WHERE seq = ?', seq);
    return row && present(row, true);
  }

  summary(): Record<string, AccountSummary> {
    const byAccount: Record<string, AccountSummary> = {};
    const of = (account: string): AccountSummary => {
      byAccount[account] ??= { ...NOTHING_YET };
      return byAccount[account];
    };
    for (const row of this.#store.all<SummaryRow>(SUMMARY)) {
      const summary = of(row.account);
      const field = COUNTED[row.kind];
      if (field) summary[field] = field === 'inbound_queued' || field === 'inbound_acked' ? row.ids : row.n;
      if (row.kind === 'message') Object.assign(summary, { distinct_ids: row.ids, out_of_order: row.odd });
    }
    for (const row of this.#store.all<{ number: string; n: number }>(PENDING)) of(row.number).inbound_pending = row.n;
    return byAccount;
  }
}

export interface AccountSummary {
  messages: number;
  /** Messages that contacts decrypted, each id of each contact once. */
  distinct_ids: number;
  repeats: number;
  decrypt_failed: number;
  out_of_order: number;
  nacks: number;
  receipts: number;
  /** Ids that contacts sent, that the gateway acknowledged, and that still wait. */
  inbound_queued: number;
  inbound_acked: number;
  inbound_pending: number;
}

interface SummaryRow {
  account: string;
  kind: string;
  n: number;
  ids: number;
  odd: number;
}

const NOTHING_YET: AccountSummary = {
  messages: 0,
  distinct_ids: 0,
  repeats: 0,
  decrypt_failed: 0,
  out_of_order: 0,
  nacks: 0,
  receipts: 0,
  inbound_queued: 0,
  inbound_acked: 0,
  inbound_pending: 0,
};
const COUNTED: Record<string, keyof AccountSummary> = {
  message: 'messages',
  repeat: 'repeats',
  decrypt_failed: 'decrypt_failed',
  nack: 'nacks',
  receipt: 'receipts',
  inbound: 'inbound_queued',
  inbound_acked: 'inbound_acked',
};
const SUMMARY = `
  SELECT account, kind, count(*) AS n, count(DISTINCT contact || '/' || id) AS ids,
  sum(coalesce(json_extract(detail, '$.out_of_order'), 0)) AS odd FROM journal WHERE account <> '' GROUP BY account, kind`;
const PENDING = "SELECT number, count(*) AS n FROM queue WHERE kind = 'message' AND type = '' GROUP BY number";

function present(row: JournalRow, withContent: boolean): Record<string, unknown> {
  return {
    seq: row.seq,
    at: new Date(row.at).toISOString(),
    kind: row.kind,
    contact: row.contact,
    account: row.account,
    device: row.device,
    id: row.id,
    type: row.type,
    text: row.text,
    ...(row.position === null ? {} : { order: row.position }),
    ...(row.content && withContent ? { content: proto.Message.decode(row.content).toJSON() } : {}),
    ...(row.detail ? (JSON.parse(row.detail) as Record<string, unknown>) : {}),
  };
}
