/** The worker's actions on one session: in order up to their handing over to the page, then each waits for its ack. */
import { type ActFrame, ActionError, type Content, type Result } from '../../protocol.ts';
import type { Acks } from '../baileys/acks.ts';
import { placeOf } from '../baileys/identity.ts';
import type { Link } from '../port.ts';
import { type Begun, Turns } from '../turns.ts';
import { Attempts } from './attempts.ts';
import { build, edited } from './content.ts';
import { failed, isGone, refused } from './failures.ts';
import { chat as chatOf, isGroup, requireJid } from './identity.ts';
import { chatState, locate, setNextId } from './in_page.ts';
import type { Client, Library, Page } from './library.ts';
import { fetchMedia, fileOf } from './media.ts';
import { removalIsTold } from './messages.ts';
import { named } from './naming.ts';
import type { People } from './people.ts';
import { Posts } from './posts.ts';
import { vote } from './votes.ts';

const MAX_TYPING_MS = 30_000;
const WEEK = 604_800;

export const ACTIONS = [
  'send',
  'forward',
  'react',
  'edit',
  'delete',
  'pin',
  'vote',
  'read',
  'presence',
  'check_numbers',
  'media.get',
];

export interface ActionParts {
  library: Library;
  client: Client;
  link: Link;
  acks: Acks;
  people: People;
  me(): { pn: string; lid: string | undefined };
  /** Resolves when a unit is durable. */
  durable(unit: number): Promise<void>;
  /** Remembers an id as one that we send ourselves. */
  ours(id: string): void;
}

export class Actions {
  #parts: ActionParts;
  #attempts: Attempts;
  #posts: Posts;
  #turns = new Turns((frame) => this.#begin(frame), refused);
  /** Whether the page lets us choose a message's id. */
  presets = true;
  /** A message without a preset id is on its way: what the page shows of ours now is likely that one. */
  unnamed = false;

  constructor(parts: ActionParts) {
    this.#parts = parts;
    this.#attempts = new Attempts(parts.link);
    this.#posts = new Posts({
      ...parts,
      attempts: this.#attempts,
      page: () => this.#page,
      presets: () => this.presets,
      unnamed: (on) => {
        this.unnamed = on;
      },
    });
  }

  /** Nothing more is begun; what waits is refused as certain not to have been sent. */
  stop(): void {
    this.#turns.stop();
  }

  /** Never rejects for reasons of the action itself: they become the result. */
  run(frame: ActFrame): Promise<Result> {
    return this.#turns.run(frame);
  }

  get #page(): Page {
    const { pupPage } = this.#parts.client;
    if (!pupPage || pupPage.isClosed()) throw new ActionError('E_CONNECTION_LOST');
    return pupPage;
  }

  async #begin(frame: ActFrame): Promise<Begun> {
    if (!this.#parts.link.owned()) throw new ActionError('E_NOT_OWNER');
    const content = frame.content ?? {};
    const place = frame.to && placeOf(requireJid(frame.to));
    if (place) return await this.#posts.begin(frame, place);
    switch (frame.action) {
      case 'send':
        return await this.#send(frame, content);
      case 'react':
        return await this.#about(frame, content, (key) =>
          this.#parts.client.sendReaction(key, String(content.emoji ?? '')),
        );
      case 'edit':
        return await this.#about(frame, content, (key) => this.#edit(key, content));
      case 'delete':
        return await this.#about(frame, content, (key) => this.#delete(frame, key, content));
      case 'pin':
        return await this.#about(frame, content, (key) => this.#pin(key, content));
      case 'vote':
        return await this.#about(frame, content, (key) => vote(this.#parts.client, key, content));
      case 'read':
        await this.#parts.client.sendSeen(requireJid(frame.to));
        return {};
      case 'presence':
        return await this.#presence(frame, content);
      case 'check_numbers':
        return { rest: this.#checkNumbers(content) };
      case 'media.get':
        return { rest: fetchMedia(content, frame.ref, this.#page, this.#parts.link).then((data) => ({ data })) };
      default:
        throw new ActionError('E_UNSUPPORTED_TYPE', frame.action.slice(0, 40));
    }
  }

  async #send(frame: ActFrame, content: Content): Promise<Begun> {
    const { id } = frame;
    if (!id) throw new ActionError('E_MISSING_FIELD', 'id is missing');
    const { library, link, acks } = this.#parts;
    const chat = requireJid(frame.to);
    const { content: what, options } = await build(library, content, fileOf(link, frame.ref, content));
    const before = await this.#locate(chat, id);
    // The page has it from an earlier try and sends it by itself: a second one would be another message to it.
    if (before) return { rest: this.#acknowledged(id, before.ack) };
    if (frame.context?.message_id)
      options.quotedMessageId = (await this.#locate(chat, frame.context.message_id))?.key ?? '';
    if (frame.typing_ms) await this.#type(chat, frame.typing_ms);
    this.#parts.ours(id);
    if (!this.presets) return await this.#sendUnnamed(chat, id, what, options);
    await this.#page.evaluate(setNextId, id);
    const acked = acks.wait(id);
    acks.departed(id);
    const sent = await this.#handOver(chat, what, options).catch((error: unknown) => {
      acks.cancel(id);
      throw error;
    });
    if (sent.id !== id) {
      acks.cancel(id);
      return { rest: this.#acknowledged(sent.id, sent.ack) };
    }
    if (sent.ack > 0) acks.received({ id });
    const rest = acked.then((at) => ({ message_id: id, at }));
    rest.catch(() => {});
    return { rest };
  }

  /**
   * A page that chooses its ids: that it will be tried is durable before it is, and it is tried once. The second time
   * nobody can tell whether the first one arrived, unless WhatsApp said so.
   */
  async #sendUnnamed(chat: string, id: string, what: unknown, options: Record<string, unknown>): Promise<Begun> {
    const before = await this.#attempts.find(id);
    if (before?.sent) return { rest: Promise.resolve({ message_id: before.sent }) };
    if (before) throw new ActionError('E_ACK_TIMEOUT', 'tried before', true);
    await this.#parts.durable(this.#attempts.write({ id }));
    this.unnamed = true;
    try {
      const sent = await this.#handOver(chat, what, options);
      this.#parts.ours(sent.id);
      const rest = this.#acknowledged(sent.id, sent.ack).then((result) => {
        this.#attempts.write({ id, sent: sent.id });
        return result;
      });
      rest.catch(() => {});
      return { rest };
    } finally {
      this.unnamed = false;
    }
  }

  /** To the page; the id under which it has it now. */
  async #handOver(chat: string, what: unknown, options: Record<string, unknown>): Promise<{ id: string; ack: number }> {
    const { client } = this.#parts;
    let sent: Awaited<ReturnType<Client['sendMessage']>>;
    try {
      sent = await client.sendMessage(chat, what, { sendSeen: false, ...options });
    } catch (error) {
      throw failed(error, isGone(error));
    }
    if (sent === null) throw new ActionError(isGroup(chat) ? 'E_GROUP_NOT_FOUND' : 'E_NOT_ON_WHATSAPP');
    // The page took it and shows nothing of it: it may be on its way.
    if (!sent) throw new ActionError('E_ENGINE_ERROR', 'the page does not show what it sent', true);
    return { id: sent.id.id, ack: sent.ack };
  }

  #acknowledged(id: string, ack: number): Promise<Partial<Result>> {
    if (ack > 0) return Promise.resolve({ message_id: id });
    const { acks } = this.#parts;
    const acked = acks.wait(id);
    acks.departed(id);
    if (ack < 0) acks.received({ id, error: String(ack) });
    return acked.then((at) => ({ message_id: id, at }));
  }

  /** A message of a chat that is addressed by number or LID. */
  async #locate(chat: string, id: string): Promise<{ key: string; ack: number } | null> {
    const { people, me } = this.#parts;
    const chats = await people.all(chat);
    const { pn, lid } = me();
    const tails = isGroup(chat) ? [`_${pn}`, ...(lid ? [`_${lid}`] : [])] : [''];
    const keys = chats.flatMap((jid) =>
      [true, false].flatMap((own) => tails.map((tail) => `${own}_${jid}_${id}${tail}`)),
    );
    return await this.#page.evaluate(locate, chats, id, keys);
  }

  /** A message's key in the page. Throws E_MESSAGE_NOT_FOUND. */
  async find(chat: string, id: string): Promise<string> {
    const target = await this.#locate(chat, id);
    if (!target) throw new ActionError('E_MESSAGE_NOT_FOUND');
    return target.key;
  }

  async #about(frame: ActFrame, content: Content, work: (key: string) => Promise<unknown>): Promise<Begun> {
    const id = String(content.message_id ?? frame.context?.message_id ?? '');
    if (!id) throw new ActionError('E_MISSING_FIELD', 'message_id is missing');
    const target = await this.find(requireJid(frame.to), id);
    if (frame.id) this.#parts.ours(frame.id);
    await named(this.#page, (this.presets && frame.id) || '', () => work(target));
    return { rest: Promise.resolve(frame.id ? { message_id: frame.id } : {}) };
  }

  async #edit(key: string, content: Content): Promise<void> {
    const message = await this.#parts.client.getMessageById(key);
    const done = await message?.edit(edited(content), { linkPreview: false });
    if (!done) throw new ActionError('E_EDIT_TOO_LATE');
  }

  async #delete(frame: ActFrame, key: string, content: Content): Promise<void> {
    const message = await this.#parts.client.getMessageById(key);
    if (!message) throw new ActionError('E_MESSAGE_NOT_FOUND');
    const everyone = content.for_everyone !== false;
    await message.delete(everyone);
    if (everyone || removalIsTold(message.rawData)) return;
    const jid = requireJid(frame.to);
    const { link, people } = this.#parts;
    const { id, fromMe } = message.id;
    const about = { message_id: id, mark: 'delete_for_me', on: true, from_self: fromMe };
    link.event('mark', { chat: chatOf(jid, await people.other(jid)), ...about });
  }

  async #pin(key: string, content: Content): Promise<void> {
    const message = await this.#parts.client.getMessageById(key);
    const done = await (content.pinned === false ? message?.unpin() : message?.pin(Number(content.seconds ?? WEEK)));
    if (!done) throw new ActionError('E_WHATSAPP_REJECTED', 'WhatsApp does not pin it');
  }

  async #presence(frame: ActFrame, content: Content): Promise<Begun> {
    const state = String(((content.presence ?? content) as Content).state);
    const { client } = this.#parts;
    if (state === 'available') await client.sendPresenceAvailable();
    else if (state === 'unavailable') await client.sendPresenceUnavailable();
    else {
      const word = { composing: 'typing', recording: 'recording', paused: 'stop' }[state];
      if (!word) throw new ActionError('E_INVALID_FIELD', 'presence.state');
      await this.#page.evaluate(chatState, word, requireJid(frame.to));
    }
    return {};
  }

  async #type(chat: string, ms: number): Promise<void> {
    await this.#page.evaluate(chatState, 'typing', chat);
    await new Promise((resolve) => setTimeout(resolve, Math.min(ms, MAX_TYPING_MS)));
    await this.#page.evaluate(chatState, 'stop', chat);
  }

  async #checkNumbers(content: Content): Promise<Partial<Result>> {
    const data = [];
    for (const number of (content.numbers ?? []) as string[]) {
      const found = await this.#parts.client.getNumberId(number.replace(/\D/g, ''));
      data.push({ number, exists: Boolean(found) });
    }
    return { data };
  }
}
