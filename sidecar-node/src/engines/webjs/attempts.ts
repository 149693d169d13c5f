/**
 * What was tried without a preset id, in the worker's store: that it will be tried is durable before it is, and what
 * came of it afterwards. Rows overwrite one another, so they stay few.
 */
import { createHash } from 'node:crypto';
import type { Link } from '../port.ts';

const KIND = 'webjs.attempt';
const SLOTS = 1_024;

interface Attempt {
  id: string;
  /** The page's own id, once WhatsApp has acknowledged it. */
  sent?: string;
}

const slotOf = (id: string): string => String(createHash('sha256').update(id).digest().readUInt16BE() % SLOTS);

export class Attempts {
  #link: Link;

  constructor(link: Link) {
    this.#link = link;
  }

  async find(id: string): Promise<Attempt | undefined> {
    const [row] = await this.#link.keysGet(KIND, [slotOf(id)]);
    const attempt = row && (JSON.parse(Buffer.from(row[1]).toString()) as Attempt);
    return attempt?.id === id ? attempt : undefined;
  }

  /** Returns the unit. */
  write(attempt: Attempt): number {
    return this.#link.keysSet(undefined, [[KIND, slotOf(attempt.id), Buffer.from(JSON.stringify(attempt))]]);
  }
}
