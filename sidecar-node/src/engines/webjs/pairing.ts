/** The codes by which a phone links the device: shown as WhatsApp gives them, until nobody has used them for long. */
import type { Link } from '../port.ts';
import type { Deadlines } from './deadlines.ts';

const FIRST_QR_MS = 60_000;
const NEXT_QR_MS = 20_000;
/** WhatsApp asks for a new code after so long. */
export const CODE_MS = 180_000;

export class Pairing {
  #link: Link;
  #deadlines: Deadlines;
  #attempt = 0;

  constructor(link: Link, deadlines: Deadlines) {
    this.#link = link;
    this.#deadlines = deadlines;
  }

  qr(code: string): void {
    this.#attempt++;
    const life = this.#attempt === 1 ? FIRST_QR_MS : NEXT_QR_MS;
    this.#link.state('qr', { code, expires_at: Date.now() + life, attempt: this.#attempt });
    // WhatsApp shows no more codes after six; the page cannot be asked for another one.
    this.#until(life);
  }

  code(code: string): void {
    this.#link.state('pairing_code', { code, expires_at: Date.now() + CODE_MS });
    this.#until(CODE_MS);
  }

  #until(life: number): void {
    this.#deadlines.set('pairing', life + NEXT_QR_MS, { reason: 'pairing_timeout' });
  }

  done(): void {
    this.#deadlines.clear('pairing');
  }
}
