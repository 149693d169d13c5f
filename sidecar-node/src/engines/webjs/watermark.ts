/**
 * Up to where messages were told, kept in the worker's store behind them: after a crash the page is asked for what came
 * since. The page acknowledges to WhatsApp by itself and keeps what it acknowledged, so nothing is lost in between.
 */
import type { Link } from '../port.ts';

const KIND = 'webjs';
const ID = 'told';
/** Ids remembered: more than pass in `MARGIN_S`, as a rule; a repeat beyond is removed by the event's stable id. */
const MOST = 256;
/** Messages do not come quite in the order of their times. */
const MARGIN_S = 120;
const PAUSE_MS = 1_000;
/** Polls whose votes are asked for after a time away: the newest. */
const MOST_POLLS = 128;

interface Saved {
  time: number;
  ids: string[];
  polls?: string[];
}

export class Watermark {
  #link: Link;
  #time = 0;
  #ids = new Set<string>();
  #polls = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(link: Link) {
    this.#link = link;
  }

  async load(): Promise<void> {
    const [row] = await this.#link.keysGet(KIND, [ID]);
    if (!row) return;
    const { time, ids, polls } = JSON.parse(Buffer.from(row[1]).toString()) as Saved;
    this.#time = time;
    this.#ids = new Set(ids);
    this.#polls = new Set(polls);
  }

  /** From when on the page is to be asked, in seconds; a device that was just paired has no past. */
  get since(): number {
    return this.#time > 0 ? this.#time - MARGIN_S : Math.floor(Date.now() / 1000) + MARGIN_S;
  }

  /** A device that was just paired begins here. */
  begin(): void {
    if (this.#time === 0) this.#time = Math.floor(Date.now() / 1000) + MARGIN_S;
    this.save();
  }

  knows(key: string): boolean {
    return this.#ids.has(key);
  }

  told(key: string, time: number): void {
    this.#ids.add(key);
    this.#time = Math.max(this.#time, time);
    if (this.#ids.size > MOST) this.#ids.delete(this.#ids.values().next().value as string);
    this.#soon();
  }

  /** A poll came, or went: there will be votes. */
  asked(key: string): void {
    if (this.#polls.has(key)) return;
    this.#polls.add(key);
    if (this.#polls.size > MOST_POLLS) this.#polls.delete(this.#polls.values().next().value as string);
    this.#soon();
  }

  /** The keys of the newest polls. */
  get polls(): string[] {
    return [...this.#polls];
  }

  #soon(): void {
    this.#timer ??= setTimeout(() => this.save(), PAUSE_MS);
  }

  /** Behind the events so far. */
  save(): void {
    this.stop();
    const value = Buffer.from(JSON.stringify({ time: this.#time, ids: [...this.#ids], polls: this.polls }));
    this.#link.keysSet(undefined, [[KIND, ID, value]]);
  }

  /** Whether something was told that is not saved yet. */
  get isDue(): boolean {
    return this.#timer !== undefined;
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
