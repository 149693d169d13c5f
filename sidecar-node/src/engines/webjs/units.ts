/** What a session told and the worker has made durable: nobody tells more than the credit allows. */
import type { Link } from '../port.ts';

interface Waiter {
  unit: number;
  resolve(): void;
}

export class Units {
  /** The worker's, with what passes counted. */
  readonly link: Link;
  #emitted = 0;
  #committed = 0;
  #waiting: Waiter[] = [];
  #blocked = false;

  constructor(given: Link) {
    this.link = this.#counting(given);
  }

  get uncommitted(): number {
    return this.#emitted - this.#committed;
  }

  /** Remembers the number of the last unit, whoever tells one. */
  #counting(link: Link): Link {
    const counted = (unit: number): number => {
      this.#emitted = unit;
      return unit;
    };
    return new Proxy(link, {
      get: (target, name: keyof Link) => {
        if (name === 'event') return (kind: string, data: Record<string, unknown>) => counted(target.event(kind, data));
        if (name === 'keysSet') return (...given: Parameters<Link['keysSet']>) => counted(target.keysSet(...given));
        const value = target[name];
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  }

  /** Every unit up to this one is durable. */
  committed(unit: number): void {
    this.#committed = Math.max(this.#committed, unit);
    this.#release();
  }

  /** The worker does not read, or reads again. */
  press(blocked: boolean): void {
    this.#blocked = blocked;
    this.#release();
  }

  /** Resolves when a unit is durable. */
  durable(unit: number): Promise<void> {
    if (unit <= this.#committed) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ unit, resolve }));
  }

  /** Resolves when another one may be told. */
  async room(): Promise<void> {
    while (this.#blocked || this.uncommitted >= this.link.credit)
      await new Promise<void>((resolve) => this.#waiting.push({ unit: this.#committed, resolve }));
  }

  /** Whoever waits looks again. */
  #release(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const waiter of waiting) {
      if (waiter.unit > this.#committed) this.#waiting.push(waiter);
      else waiter.resolve();
    }
  }
}
