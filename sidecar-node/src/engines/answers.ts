/** Every act of the worker is answered once: with its result, or with the end of the session. */
import { errorText } from '../logs.ts';
import type { Result } from '../protocol.ts';
import type { Link } from './port.ts';

export class Answers {
  #link: Link;
  /** References of acts without their result yet. */
  #due = new Set<number>();

  constructor(link: Link) {
    this.#link = link;
  }

  /** Answers an act with what its work comes to. */
  give(ref: number, work: Promise<Result>): void {
    this.#due.add(ref);
    const answer = (result: Result): void => {
      if (this.#due.delete(ref)) this.#link.result(ref, result);
    };
    work.then(answer, (error: unknown) => {
      answer({ ok: false, code: 'E_INTERNAL', detail: errorText(error), uncertain: true });
    });
  }

  /** The session ended: what is still under way may have left. */
  end(): void {
    for (const ref of this.#due)
      this.#link.result(ref, { ok: false, code: 'E_CONNECTION_LOST', detail: '', uncertain: true });
    this.#due.clear();
  }
}
