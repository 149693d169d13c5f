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

/** Duties done at once need no record: they are part of the commit that caused them. Later ones survive a restart. */
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
    if (delay === 0) {
      this.#run(duty);
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
    for (const row of this.#store.all<DutyRow>(
      'SELECT * FROM duty WHERE contact = ? AND due IS NULL ORDER BY seq',
      contact,
    )) {
      this.#store.run('DELETE FROM duty WHERE seq = ?', row.seq);
      this.#run(JSON.parse(row.body) as Duty);
    }
  }

  stop(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  #schedule(seq: number, duty: Duty, due: number): void {
    this.#timers.set(
      seq,
      setTimeout(
        () => {
          this.#timers.delete(seq);
          this.#store.run('DELETE FROM duty WHERE seq = ?', seq);
          this.#run(duty);
        },
        Math.max(0, due - Date.now()),
      ),
    );
  }

  #run(duty: Duty): void {
    this.#perform(duty).catch((error: unknown) => logError(duty.kind, error));
  }
}
