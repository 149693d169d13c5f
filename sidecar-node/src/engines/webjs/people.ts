/** Who is who: both addresses of a person, asked of the page once each. Neither is guessed from the other. */
import type { Client } from './library.ts';

const MOST = 4096;
const ASK_MS = 5_000;

export class People {
  #client: Client;
  #others = new Map<string, string | null>();

  constructor(client: Client) {
    this.#client = client;
  }

  /** The other address of a person, or null when the page does not know it. */
  async other(jid: string): Promise<string | null> {
    if (!/@(c\.us|lid)$/.test(jid)) return null;
    const known = this.#others.get(jid);
    if (known !== undefined) return known;
    const asked = this.#client.getContactLidAndPhone([jid]).catch(() => []);
    const late = new Promise<[]>((resolve) => setTimeout(() => resolve([]), ASK_MS).unref());
    const [found] = await Promise.race([asked, late]);
    const other = (jid.endsWith('@lid') ? found?.pn : found?.lid) ?? null;
    if (this.#others.size >= MOST) this.#others.delete(this.#others.keys().next().value as string);
    if (other) {
      this.#others.set(jid, other);
      this.#others.set(other, jid);
    }
    return other;
  }

  /** A person's addresses, as far as they are known. */
  async all(jid: string): Promise<string[]> {
    const other = await this.other(jid);
    return other ? [jid, other] : [jid];
  }
}
