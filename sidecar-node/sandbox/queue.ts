import type { Companion } from './companions.ts';
import type { Store } from './store.ts';
import { encodeNode, type Node } from './wire.ts';

export interface QueuedStanza {
  readonly seq: number;
  readonly kind: 'message' | 'receipt' | 'notification';
  /** A receipt's; `peer` for what the account's own phone says to its device. */
  readonly type: string;
  readonly id: string;
  readonly stanza: Uint8Array;
}

/** Stanzas that wait for a companion: kept until it acknowledges them, delivered again at each login. */
export class Queue {
  readonly #store: Store;
  #added: number;
  /** Rows up to here are committed. A stanza leaves only then: its ratchet step must not be taken twice. */
  #durable: number;

  constructor(store: Store) {
    this.#store = store;
    this.#added = this.last();
    this.#durable = this.#added;
    store.beforeCommit(() => {
      this.#durable = this.#added;
    });
  }

  add(companion: Companion, kind: QueuedStanza['kind'], id: string, stanza: Node): void {
    // Counted here, since SQLite gives a deleted last row's number again and connections go by numbers.
    this.#store.run(
      'INSERT INTO queue VALUES (?, ?, ?, ?, ?, ?, ?)',
      ++this.#added,
      companion.number,
      companion.device,
      kind,
      (kind === 'receipt' ? stanza.attrs.type : kind === 'message' ? stanza.attrs.category : '') ?? '',
      id,
      encodeNode(stanza),
    );
  }

  after(companion: Companion, seq: number, limit: number): QueuedStanza[] {
    return this.#store.all<QueuedStanza>(
      'SELECT seq, kind, type, id, stanza FROM queue WHERE number = ? AND device = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?',
      companion.number,
      companion.device,
      seq,
      this.#durable,
      limit,
    );
  }

  last(): number {
    return this.#store.get<{ n: number | null }>('SELECT max(seq) AS n FROM queue')?.n ?? 0;
  }

  counts(companion: Companion): { messages: number; receipts: number } {
    const row = this.#store.get<{ m: number | null; r: number | null }>(
      "SELECT sum(kind = 'message') AS m, sum(kind = 'receipt') AS r FROM queue WHERE number = ? AND device = ?",
      companion.number,
      companion.device,
    );
    return { messages: row?.m ?? 0, receipts: row?.r ?? 0 };
  }

  remove(seq: number): boolean {
    return this.#store.run('DELETE FROM queue WHERE seq = ?', seq).changes === 1;
  }

  /** Drops a message that is about to be replaced by a fresh encryption of itself. */
  removeMessage(companion: Companion, id: string): void {
    this.#store.run(
      "DELETE FROM queue WHERE number = ? AND device = ? AND kind = 'message' AND id = ?",
      companion.number,
      companion.device,
      id,
    );
  }
}
