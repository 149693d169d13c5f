/** Small bounded caches in the place of Baileys' NodeCaches: no timers, no statistics, oldest out first. */
import { type BaileysEventMap, type GroupMetadata, proto } from 'baileys';
import { unpooled } from '../../bytes.ts';
import type { KeyStore } from './keys.ts';

export class BoundedCache {
  #max: number;
  #ttlMs: number;
  #entries = new Map<string, { value: unknown; until: number }>();

  constructor(max: number, ttlMs: number) {
    this.#max = max;
    this.#ttlMs = ttlMs;
  }

  get<T>(key: string): T | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    if (entry.until > Date.now()) return entry.value as T;
    this.#entries.delete(key);
    return undefined;
  }

  set<T>(key: string, value: T): void {
    this.#entries.delete(key);
    this.#entries.set(key, { value, until: Date.now() + this.#ttlMs });
    if (this.#entries.size <= this.#max) return;
    const [oldest] = this.#entries.keys();
    this.#entries.delete(oldest as string);
  }

  del(key: string): void {
    this.#entries.delete(key);
  }

  flushAll(): void {
    this.#entries.clear();
  }
}

/** Rows of kind `sent` a session has at most: a message takes the row of its id's hash, so the table bounds itself. */
const SENT_SLOTS = 1024;
const SENT_COUNT = 256;
const SENT_BYTES = 1024 * 1024;

/** FNV-1a: spreads any id, preset ones included. */
function slot(id: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193) >>> 0;
  return String(hash % SENT_SLOTS);
}

/** What was sent, so that a recipient's retry receipt can be answered: from memory, then from the key store. */
export class SentMessages {
  #keys: KeyStore;
  #recent = new Map<string, Uint8Array>();
  #bytes = 0;

  constructor(keys: KeyStore) {
    this.#keys = keys;
  }

  /** Remembers a message about to be sent; its row travels with the send's own key writes. */
  add(id: string, message: proto.IMessage): void {
    const bytes = unpooled(proto.Message.encode(message).finish());
    this.#bytes += bytes.length - (this.#recent.get(id)?.length ?? 0);
    this.#recent.delete(id);
    this.#recent.set(id, bytes);
    for (const [oldest, value] of this.#recent) {
      if (this.#recent.size <= SENT_COUNT && this.#bytes <= SENT_BYTES) break;
      this.#recent.delete(oldest);
      this.#bytes -= value.length;
    }
    const row = Buffer.concat([Buffer.from([id.length]), Buffer.from(id, 'latin1'), bytes]);
    this.#keys.stage(['sent', slot(id), row]);
  }

  async get(id: string): Promise<proto.IMessage | undefined> {
    const recent = this.#recent.get(id);
    if (recent) return proto.Message.decode(recent);
    const [row] = await this.#keys.rows('sent', [slot(id)]);
    if (!row) return undefined;
    const bytes = Buffer.from(row[1]);
    const end = 1 + (bytes[0] ?? 0);
    return bytes.toString('latin1', 1, end) === id ? proto.Message.decode(bytes.subarray(end)) : undefined;
  }
}

/** Members of groups lately written to: without it each send to a group asks the server for them. */
export class Groups {
  #known = new BoundedCache(64, 5 * 60_000);
  #fetch: (jid: string) => Promise<GroupMetadata>;

  constructor(fetch: (jid: string) => Promise<GroupMetadata>) {
    this.#fetch = fetch;
  }

  async metadata(jid: string): Promise<GroupMetadata> {
    const known = this.#known.get<GroupMetadata>(jid);
    if (known) return known;
    const fetched = await this.#fetch(jid);
    this.#known.set(jid, fetched);
    return fetched;
  }

  /** Whatever changes a group makes it unknown. */
  take<E extends keyof BaileysEventMap>(event: E, data: BaileysEventMap[E]): void {
    if (event === 'group-participants.update') this.#known.del((data as { id: string }).id);
    if (event === 'groups.update') for (const { id } of data as { id?: string }[]) this.#known.del(id ?? '');
  }
}
