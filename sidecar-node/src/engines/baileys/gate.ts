/**
 * The output-commit gate of one session, and the order of its durable units.
 *
 * Three rules, each a watermark over the stanzas WhatsApp expects to be acknowledged, numbered as they arrive:
 * - rows written while stanzas are being handled become a unit only when those stanzas are handled to the end, so
 *   they travel behind the events that came of them;
 * - a stanza is settled when it and all before it are handled and every unit up to then is committed;
 * - a frame leaves for WhatsApp when every stanza that had arrived before it was made is settled.
 *
 * Later arrivals never delay an earlier frame or row, so steady traffic cannot keep the gate shut. Queries (`iq`)
 * acknowledge nothing and pass: handling may be waiting for their answer.
 */
import type { BinaryNode } from 'baileys';
import type { Row } from '../../protocol.ts';

/** Bytes of held frames above which the session's WhatsApp socket is no longer read. */
const HELD_BYTES = 1024 * 1024;

export interface GateIO {
  /** Emits a keys_set unit and returns its number. `creds` asks for the creds record as it is now. */
  emitKeys(rows: Row[], creds: boolean): number;
  /** Stop (true) or go on (false) reading WhatsApp's socket. */
  pause(paused: boolean): void;
  readonly credit: number;
}

/** About what a stanza weighs in memory. */
function nodeBytes({ content }: BinaryNode): number {
  if (Array.isArray(content)) return content.reduce((sum, child) => sum + nodeBytes(child), 100);
  return 100 + (content?.length ?? 0);
}

interface Held {
  after: number;
  bytes: number;
  send: () => void;
}
interface Batch {
  after: number;
  rows: Row[];
  creds: boolean;
}
interface Settling {
  stanza: number;
  unit: number;
}

export class OutputGate {
  #io: GateIO;
  #arrived = 0;
  #handled = 0;
  #handledAhead = new Set<number>();
  #settled = 0;
  #settling: Settling[] = [];
  #held: Held[] = [];
  #heldBytes = 0;
  #batches: Batch[] = [];
  #staged: Row[] = [];
  #lastUnit = 0;
  #committed = 0;
  #waiting: { unit: number; resolve: () => void }[] = [];
  #idleWaiters: (() => void)[] = [];
  #flushScheduled = false;
  #paused = false;
  #closed = false;

  constructor(io: GateIO) {
    this.#io = io;
  }

  get heldFrames(): number {
    return this.#held.length;
  }
  get uncommitted(): number {
    return this.#lastUnit - this.#committed;
  }
  get idle(): boolean {
    return (
      this.#held.length === 0 && this.#batches.length === 0 && this.uncommitted === 0 && this.#handled === this.#arrived
    );
  }

  /** Resolves once nothing is held, in handling or uncommitted; also when the gate is closed. */
  async whenIdle(): Promise<void> {
    if (!this.idle && !this.#closed) await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
  }

  #tellIdle(): void {
    if (this.#idleWaiters.length === 0 || !(this.idle || this.#closed)) return;
    for (const resolve of this.#idleWaiters.splice(0)) resolve();
  }

  /** A stanza that WhatsApp expects to be acknowledged came in. Returns its number for `handled`. */
  arrive(): number {
    return ++this.#arrived;
  }

  /** The engine has handled the stanza to the end: all its events are emitted, all its rows written. */
  handled(stanza: number): void {
    this.#handledAhead.add(stanza);
    const before = this.#handled;
    while (this.#handledAhead.delete(this.#handled + 1)) this.#handled++;
    if (this.#handled === before || this.#closed) return;
    this.flush();
    this.#settling.push({ stanza: this.#handled, unit: this.#lastUnit });
    this.#settle();
    this.#regulate();
  }

  /** An event unit was emitted under this number. */
  emitted(unit: number): void {
    this.#lastUnit = unit;
    this.#regulate();
  }

  /** Rows to become durable; `creds` marks the creds record changed. */
  write(rows: Row[], creds = false): void {
    this.#batches.push({ after: this.#arrived, rows, creds });
    if (this.#handled < this.#arrived || this.#flushScheduled) return;
    this.#flushScheduled = true;
    queueMicrotask(() => {
      this.#flushScheduled = false;
      this.flush();
    });
  }

  /** Rows that travel with the next unit of keys, whatever makes it. */
  stage(rows: Row[]): void {
    this.#staged.push(...rows);
  }

  /** Emits, as one unit, every row whose turn has come. */
  flush(): void {
    let count = 0;
    while (count < this.#batches.length && (this.#batches[count] as Batch).after <= this.#handled) count++;
    if (count === 0 || this.#closed) return;
    const due = this.#batches.splice(0, count);
    const latest = new Map<string, Row>();
    for (const { rows } of due) for (const row of rows) latest.set(`${row[0]}\0${row[1]}`, row);
    for (const row of this.#staged.splice(0)) latest.set(`${row[0]}\0${row[1]}`, row);
    this.#emit(
      [...latest.values()],
      due.some(({ creds }) => creds),
    );
  }

  /**
   * Resolves when `kind` rows written so far are durable. They leave at once, ahead of other rows: only for new rows
   * that nothing received depends on, such as prekeys about to be handed to the server.
   */
  async durable(kind: string): Promise<void> {
    this.flush();
    const early: Row[] = [];
    for (const batch of this.#batches) {
      early.push(...batch.rows.filter(([of, , value]) => of === kind && value !== null));
      batch.rows = batch.rows.filter(([of, , value]) => of !== kind || value === null);
    }
    if (early.length > 0) this.#emit(early, false);
    const unit = this.#lastUnit;
    if (unit <= this.#committed) return;
    await new Promise<void>((resolve) => this.#waiting.push({ unit, resolve }));
  }

  #emit(rows: Row[], creds: boolean): void {
    this.#lastUnit = this.#io.emitKeys(rows, creds);
    this.#regulate();
  }

  /** A frame for WhatsApp. Sent now when nothing is pending, else held in order. Returns true when it was held. */
  pass(node: BinaryNode, send: () => void): boolean {
    if (this.#held.length === 0 && this.#settled === this.#arrived) {
      send();
      return false;
    }
    const bytes = nodeBytes(node);
    this.#held.push({ after: this.#arrived, bytes, send });
    this.#heldBytes += bytes;
    this.#regulate();
    return true;
  }

  committed(unit: number): void {
    if (unit <= this.#committed || unit > this.#lastUnit) return;
    this.#committed = unit;
    this.#waiting = this.#waiting.filter((waiter) => {
      if (waiter.unit > unit) return true;
      waiter.resolve();
      return false;
    });
    this.#settle();
    this.#regulate();
  }

  #settle(): void {
    let count = 0;
    while (count < this.#settling.length && (this.#settling[count] as Settling).unit <= this.#committed) count++;
    if (count === 0) return;
    this.#settled = (this.#settling[count - 1] as Settling).stanza;
    this.#settling.splice(0, count);
    let free = 0;
    while (free < this.#held.length && (this.#held[free] as Held).after <= this.#settled) free++;
    for (const frame of this.#held.splice(0, free)) {
      this.#heldBytes -= frame.bytes;
      frame.send();
    }
  }

  /** Held bytes pause reading only once all is handled: handling may be waiting for an answer on that socket. */
  #regulate(): void {
    this.#tellIdle();
    const full =
      this.uncommitted >= this.#io.credit || (this.#heldBytes > HELD_BYTES && this.#handled === this.#arrived);
    if (full === this.#paused || this.#closed) return;
    this.#paused = full;
    this.#io.pause(full);
  }

  /** Drops what is held and what is not yet a unit: the worker reopens from what it stored. */
  close(): void {
    this.#closed = true;
    this.#tellIdle();
    this.#held = [];
    this.#batches = [];
    this.#staged = [];
    this.#settling = [];
    this.#waiting = [];
  }
}
