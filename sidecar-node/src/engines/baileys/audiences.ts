/** To whom each status of an account goes. */
import { isPnUser, jidNormalizedUser, type WASocket } from 'baileys';
import { type ActFrame, ActionError, type Address } from '../../protocol.ts';
import { jidOf } from './identity.ts';
import type { KeyStore } from './keys.ts';

/** WhatsApp shows a status for a day. */
const LIFE_MS = 24 * 60 * 60_000;
/** Statuses of a session whose readers are remembered. */
const MOST = 500;
const KIND = 'audience';
const INDEX = 'index';

type Known = [id: string, until: number];

/** Remembers readers: whoever takes a status back has to tell the same people. */
export class Audiences {
  #keys: KeyStore;

  constructor(keys: KeyStore) {
    this.#keys = keys;
  }

  /** The jids that get an act's message, ours too. Rejects with E_MESSAGE_NOT_FOUND when a deletion's are not known. */
  async of({ action, id = '', content = {} }: ActFrame, socket: WASocket): Promise<string[]> {
    const named = ((content.audience ?? []) as Address[]).flatMap((address) => jidOf(address) ?? []);
    if (action === 'delete') {
      const told = named.length > 0 ? named : await this.#recall(String(content.message_id ?? ''));
      if (told.length === 0) throw new ActionError('E_MESSAGE_NOT_FOUND', 'it is not known who may see it');
      return withUs(told, socket);
    }
    if (named.length === 0) throw new ActionError('E_EMPTY_AUDIENCE');
    await this.#remember(id, named);
    return withUs(named, socket);
  }

  /** Its rows travel with the send's own key writes. */
  async #remember(id: string, jids: string[]): Promise<void> {
    const now = Date.now();
    const known = (await this.#index()).filter(([each]) => each !== id);
    const kept = known.filter(([, until]) => until > now).slice(1 - MOST);
    const living = new Set(kept.map(([each]) => each));
    for (const [gone] of known) if (!living.has(gone)) this.#keys.stage([KIND, gone, null]);
    this.#write(id, jids);
    this.#write(INDEX, [...kept, [id, now + LIFE_MS]]);
  }

  async #recall(id: string): Promise<string[]> {
    return id === INDEX ? [] : ((await this.#read<string[]>(id)) ?? []);
  }

  async #index(): Promise<Known[]> {
    return (await this.#read<Known[]>(INDEX)) ?? [];
  }

  #write(id: string, value: unknown): void {
    this.#keys.stage([KIND, id, Buffer.from(JSON.stringify(value))]);
  }

  async #read<T>(id: string): Promise<T | undefined> {
    const [row] = await this.#keys.rows(KIND, [id]);
    return row && (JSON.parse(Buffer.from(row[1]).toString()) as T);
  }
}

/** The account's own phone shows its statuses, too. */
function withUs(jids: string[], socket: WASocket): string[] {
  const me = jidNormalizedUser(socket.authState.creds.me?.id);
  return [...new Set([...jids, ...(isPnUser(me) ? [me] : [])])];
}
