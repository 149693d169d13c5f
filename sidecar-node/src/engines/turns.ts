/** A session's actions: in order until each has been handed over to WhatsApp, then each waits for its own result. */
import { type ActFrame, ActionError, type Result } from '../protocol.ts';

/** Actions a session may have queued; the worker paces long before. */
const MAX_QUEUED = 1024;
/** Questions: nothing that is sent waits for them. */
const UNORDERED = new Set(['media.get', 'check_numbers']);

/** An action that was handed over; `rest` is what its result still waits for. In an object, so that no await flattens it. */
export interface Begun {
  rest?: Promise<Partial<Result>>;
}

export class Turns {
  #begin: (frame: ActFrame) => Promise<Begun>;
  #refused: (error: unknown) => Result;
  #tail: Promise<unknown> = Promise.resolve();
  #queued = 0;
  #stopped = false;

  /** `begin` hands an action over; `refused` says what an error of it means. */
  constructor(begin: (frame: ActFrame) => Promise<Begun>, refused: (error: unknown) => Result) {
    this.#begin = begin;
    this.#refused = refused;
  }

  /** Nothing more is begun; what waits is refused as certain not to have been sent. */
  stop(): void {
    this.#stopped = true;
  }

  /** Never rejects for reasons of the action itself: they become the result. */
  async run(frame: ActFrame): Promise<Result> {
    if (this.#queued >= MAX_QUEUED) return this.#refused(new ActionError('E_QUEUE_FULL'));
    try {
      const begun = await (UNORDERED.has(frame.action) ? this.#now(frame) : this.#inTurn(frame));
      return { ok: true, at: Date.now(), ...(await begun.rest) };
    } catch (error) {
      return this.#refused(error);
    }
  }

  #inTurn(frame: ActFrame): Promise<Begun> {
    this.#queued++;
    const turn = this.#tail.then(() => this.#now(frame));
    this.#tail = turn
      .catch(() => {})
      .finally(() => {
        this.#queued--;
      });
    return turn;
  }

  #now(frame: ActFrame): Promise<Begun> {
    if (this.#stopped) throw new ActionError('E_CONNECTION_LOST');
    return this.#begin(frame);
  }
}
