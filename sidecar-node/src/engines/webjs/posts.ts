/** What is posted to whoever follows: statuses, and posts of channels. */
import { type ActFrame, ActionError, type Content, type Result } from '../../protocol.ts';
import type { Place } from '../baileys/identity.ts';
import { backgroundOf } from '../baileys/posts.ts';
import type { Link } from '../port.ts';
import type { Begun } from '../turns.ts';
import type { Attempts } from './attempts.ts';
import { requireAdmin } from './channels.ts';
import { build } from './content.ts';
import type { Client, Library, Page } from './library.ts';
import { fileOf } from './media.ts';
import { named } from './naming.ts';
import { findPost, type Posted, postWords, withdraw } from './posts_in_page.ts';

const STATUS = 'status@broadcast';
const KINDS = {
  status: ['text', 'image', 'video', 'voice'],
  channel: ['text', 'image', 'video', 'voice', 'sticker', 'poll'],
};
/** What can be posted and taken back, as `contracts/capabilities.py` names it. */
export const POSTS: readonly string[] = Object.entries(KINDS).flatMap(([place, kinds]) =>
  [...kinds, 'delete'].map((kind) => `${place}_post.${kind}`),
);

/** Of an ARGB colour. */
const OPAQUE = 0xff000000;

export interface PostParts {
  library: Library;
  client: Client;
  link: Link;
  attempts: Attempts;
  page(): Page;
  me(): { pn: string; lid: string | undefined };
  /** Whether the page lets us choose a message's id. */
  presets(): boolean;
  /** Resolves when a unit is durable. */
  durable(unit: number): Promise<void>;
  /** Remembers an id as one that we send ourselves. */
  ours(id: string): void;
  /** A message without a preset id is on its way, or no longer is. */
  unnamed(on: boolean): void;
}

/**
 * A post is on the page's disk before it leaves, like a message; but whether the page tries by itself to send one that
 * was left there, nobody tells. So one that is found without the server's word is never sent again: it is unknown.
 */
export class Posts {
  #parts: PostParts;

  constructor(parts: PostParts) {
    this.#parts = parts;
  }

  async begin(frame: ActFrame, place: Place): Promise<Begun> {
    if (frame.action === 'send') return await this.#send(frame, place, frame.content ?? {});
    if (frame.action === 'delete' && frame.content?.for_everyone !== false) return await this.#delete(frame, place);
    throw unsupported(place, frame.action);
  }

  async #send(frame: ActFrame, place: Place, content: Content): Promise<Begun> {
    const { id } = frame;
    const { attempts, durable, ours, presets, unnamed } = this.#parts;
    if (!id) throw new ActionError('E_MISSING_FIELD', 'id is missing');
    if (!KINDS[place.place].includes(String(content.type))) throw unsupported(place, String(content.type));
    const before = await this.#find(place, id);
    if (before) return begun(outcome(place, before, id, 'earlier'));
    const tried = await attempts.find(id);
    if (tried?.sent) return begun({ message_id: tried.sent });
    if (tried) throw new ActionError('E_ACK_TIMEOUT', 'tried before', true);
    const post = await this.#prepare(frame, place, content);
    ours(id);
    // The library names all but a status of words, for which the page asks itself for an id.
    if (presets() && !isWords(place, content)) return begun(await this.#hand(place, id, post));
    await durable(attempts.write({ id }));
    unnamed(true);
    try {
      const result = await this.#hand(place, presets() ? id : '', post);
      attempts.write({ id, sent: String(result.message_id) });
      return begun(result);
    } finally {
      unnamed(false);
    }
  }

  /** Everything that may fail with certainty; what comes of it posts, and gives the id under which the page has it. */
  async #prepare(frame: ActFrame, place: Place, content: Content): Promise<() => Promise<string | null>> {
    const { library, link, client, page } = this.#parts;
    if (place.channel) await requireAdmin(page(), place.channel);
    const { content: what, options } = await build(library, content, fileOf(link, frame.ref, content));
    if (isWords(place, content)) {
      // The page's own words for a status have no place for them.
      if (options.mentions || options.extra) throw unsupported(place, options.mentions ? 'mentions' : 'link_preview');
      const color = OPAQUE + Number.parseInt(backgroundOf(content).slice(1), 16);
      return () => page().evaluate(postWords, String(what), color);
    }
    return async () => {
      const sent = await client.sendMessage(place.channel ?? STATUS, what, { sendSeen: false, ...options });
      if (sent === null) throw unsupported(place, String(content.type));
      return sent?.id.id ?? null;
    };
  }

  /** To the page, under `id` or (empty) one of its own. */
  async #hand(place: Place, id: string, post: () => Promise<string | null>): Promise<Partial<Result>> {
    const { page, ours } = this.#parts;
    const name = (await named(page(), id, post)) ?? id;
    if (name) ours(name);
    const posted = name ? await this.#find(place, name) : null;
    // The page took it and shows nothing of it: it may be on its way.
    if (!posted) throw new ActionError('E_ENGINE_ERROR', 'the page does not show what it posted', true);
    return outcome(place, posted, name, 'now');
  }

  async #delete(frame: ActFrame, place: Place): Promise<Begun> {
    const id = String(frame.content?.message_id ?? frame.context?.message_id ?? '');
    if (!id) throw new ActionError('E_MISSING_FIELD', 'message_id is missing');
    const { attempts, client, durable, page, presets } = this.#parts;
    if (place.channel) await requireAdmin(page(), place.channel);
    const target = await this.#find(place, id);
    const done = begun(frame.id ? { message_id: frame.id } : {});
    // The page forgets a status that it has taken back.
    if (!target && frame.id && (await attempts.find(frame.id))) return done;
    if (!target) throw new ActionError('E_MESSAGE_NOT_FOUND');
    if (frame.id && !place.channel) await durable(attempts.write({ id: frame.id }));
    await named(page(), (presets() && frame.id) || '', async () => {
      if (!place.channel) return await client.revokeStatusMessage(target.key);
      if ((await page().evaluate(withdraw, place.channel, id)) !== 'OK') throw new ActionError('E_WHATSAPP_REJECTED');
    });
    return done;
  }

  async #find({ channel }: Place, id: string): Promise<Posted | null> {
    const { page, me } = this.#parts;
    const { pn, lid } = me();
    const own = [pn, ...(lid ? [lid] : [])];
    const keys = channel ? [`true_${channel}_${id}`] : own.map((by) => `true_${STATUS}_${id}_${by}`);
    return await page().evaluate(findPost, channel ?? STATUS, id, keys);
  }
}

const begun = (result: Partial<Result>): Begun => ({ rest: Promise.resolve(result) });

const isWords = ({ channel }: Place, { type }: Content): boolean => !channel && type === 'text';

const unsupported = ({ place }: Place, what: string): ActionError =>
  new ActionError('E_UNSUPPORTED_TYPE', `${place}_post.${what.slice(0, 40)}`);

/**
 * What has become of a post that the page has. Throws when the server has not taken it, or nobody knows: what the
 * library says of a channel's post it says of a refused one, too, which only who was there can tell from the end.
 */
function outcome({ channel }: Place, { ack, kept }: Posted, id: string, tried: 'now' | 'earlier'): Partial<Result> {
  if (channel ? kept : ack > 0) return { message_id: id };
  if (ack < 0 || (channel && ack > 0 && tried === 'now')) throw new ActionError('E_WHATSAPP_REJECTED');
  throw new ActionError('E_ACK_TIMEOUT', 'the page does not say whether WhatsApp has it', true);
}
