import { logError } from './log.ts';
import type { Store } from './store.ts';

/** Something that a contact's phone will do about a message. */
export interface Duty {
  readonly kind: 'delivered' | 'read' | 'played' | 'reply';
  readonly contact: string;
  readonly account: string;
  readonly device: number;
  /** The contact as the sender addressed it. */
  readonly chat: string;
  readonly id: string;
  readonly group?: string;
  readonly text?: string;
}

interface DutyRow {
  seq: number;
  due: number | null;
  contact: string;
  body: string;
}

/**
 * Receipts that leave at once need no record: they are part of the commit that caused them. Replies and whatever is
 * due later are recorded until done, so that they survive a restart.
 */
export class Duties {
  readonly #store: Store;
  readonly #perform: (duty: Duty) => Promise<void>;
  readonly #timers = new Map<number, NodeJS.Timeout>();

  constructor(store: Store, perform: (duty: Duty) => Promise<void>) {
    this.#store = store;
    this.#perform = perform;
  }

  /** Plans a duty after a delay in milliseconds; null holds it back until `release`. */
  plan(duty: Duty, delay: number | null): void {
    if (delay === 0 && duty.kind !== 'reply') {
      void this.#run(duty);
      return;
    }
    const due = delay === null ? null : Date.now() + delay;
    const { id } = this.#store.run(
      'INSERT INTO duty (due, contact, body) VALUES (?, ?, ?)',
      due,
      duty.contact,
      JSON.stringify(duty),
    );
    if (due !== null) this.#schedule(id, duty, due);
  }

  resume(): void {
    for (const row of this.#store.all<DutyRow>('SELECT * FROM duty WHERE due IS NOT NULL ORDER BY due')) {
      this.#schedule(row.seq, JSON.parse(row.body) as Duty, row.due ?? 0);
    }
  }

  release(contact: string): void {
    const held = this.#store.all<DutyRow>('SELECT * FROM duty WHERE contact = ? AND due IS NULL ORDER BY seq', contact);
    for (const { seq, body } of held) {
      const now = Date.now();
      this.#store.run('UPDATE duty SET due = ? WHERE seq = ?', now, seq);
      this.#schedule(seq, JSON.parse(body) as Duty, now);
    }
  }

  stop(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  #schedule(seq: number, duty: Duty, due: number): void {
    const start = (): void => {
      this.#timers.delete(seq);
      void this.#run(duty).then(() => this.#store.run('DELETE FROM duty WHERE seq = ?', seq));
    };
    this.#timers.set(seq, setTimeout(start, Math.max(0, due - Date.now())));
  }

  #run(duty: Duty): Promise<void> {
    return this.#perform(duty).catch((error: unknown) => logError(duty.kind, error));
  }
}
