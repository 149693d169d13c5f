/** What ends a session unless something else comes before. */
import type { Closed } from '../../protocol.ts';

export class Deadlines {
  #passed: (closed: Closed) => void;
  #timers = new Map<string, NodeJS.Timeout>();

  constructor(passed: (closed: Closed) => void) {
    this.#passed = passed;
  }

  /** Instead of the one that has the name so far. */
  set(name: string, ms: number, closed: Closed): void {
    this.clear(name);
    this.#timers.set(
      name,
      setTimeout(() => this.#passed(closed), ms),
    );
  }

  has(name: string): boolean {
    return this.#timers.has(name);
  }

  clear(name: string): void {
    clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }

  clearAll(): void {
    for (const name of [...this.#timers.keys()]) this.clear(name);
  }
}
