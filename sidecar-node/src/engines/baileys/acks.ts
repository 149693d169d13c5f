/** Sends waiting for the server's ack, by message id. Baileys' `sendMessage` resolves before it. */
import { ActionError } from '../../protocol.ts';

/** How long an ack may take on a live connection, in milliseconds. */
const ACK_MS = 60_000;
/** How long one reader more of a status may take. */
const READER_MS = 100;

const NACK_CODES: Record<string, string> = {
  '463': 'E_WHATSAPP_REACHOUT_LIMITED',
  '479': 'E_WHATSAPP_STALE_SESSION',
  '421': 'E_WHATSAPP_ADDRESSING',
};

/** Of what was posted in a channel. */
const CHANNEL_NACK_CODES: Record<string, string> = {
  '401': 'E_NOT_CHANNEL_ADMIN',
  '403': 'E_NOT_CHANNEL_ADMIN',
  '404': 'E_CHANNEL_NOT_FOUND',
};

interface Waiter {
  resolve(at: number): void;
  reject(error: ActionError): void;
  timer: NodeJS.Timeout;
  departed: boolean;
}

export class Acks {
  #waiting = new Map<string, Waiter>();

  /**
   * Resolves with the server's time in milliseconds; rejects with the nack's code, or uncertain at the end. `readers`:
   * for how many it is encrypted first.
   */
  wait(id: string, readers = 0): Promise<number> {
    if (this.#waiting.has(id)) throw new ActionError('E_DUPLICATE_ID');
    const acked = new Promise<number>((resolve, reject) => {
      const late = (): void => this.#end(id)?.reject(new ActionError('E_ACK_TIMEOUT', '', true));
      const timer = setTimeout(late, ACK_MS + READER_MS * readers);
      timer.unref();
      this.#waiting.set(id, { resolve, reject, timer, departed: false });
    });
    acked.catch(() => {});
    return acked;
  }

  /** From `CB:ack,class:message`: a good ack has no `error`. False when nothing waits for it. */
  received(attrs: Record<string, string>): boolean {
    const waiter = this.#end(attrs.id ?? '');
    if (!waiter) return false;
    const codes = attrs.from?.endsWith('@newsletter') ? CHANNEL_NACK_CODES : NACK_CODES;
    const code = attrs.error && codes[attrs.error];
    if (!attrs.error) waiter.resolve(attrs.t ? Number(attrs.t) * 1000 : Date.now());
    else waiter.reject(code ? new ActionError(code) : new ActionError('E_WHATSAPP_REJECTED', attrs.error));
    return true;
  }

  /** The stanza of this id really goes out now: from here on its fate is the server's word. */
  departed(id: string): void {
    const waiter = this.#waiting.get(id);
    if (waiter) waiter.departed = true;
  }

  /** The send failed. True when its stanza may have left all the same. */
  cancel(id: string): boolean {
    return this.#end(id)?.departed ?? false;
  }

  /** The connection is gone: what departed may have arrived. */
  close(): void {
    for (const id of [...this.#waiting.keys()]) {
      const waiter = this.#end(id);
      waiter?.reject(new ActionError('E_CONNECTION_LOST', '', waiter.departed));
    }
  }

  #end(id: string): Waiter | undefined {
    const waiter = this.#waiting.get(id);
    if (!waiter) return undefined;
    clearTimeout(waiter.timer);
    this.#waiting.delete(id);
    return waiter;
  }
}
