/** The worker's actions on one session: in order up to the stanza's departure, then each waits for its own ack. */
import {
  type AnyMessageContent,
  type BinaryNode,
  generateWAMessage,
  generateWAMessageFromContent,
  type MiscMessageGenerationOptions,
  proto,
  type WAPresence,
  type WASocket,
} from 'baileys';
import { errorText } from '../../logs.ts';
import { type ActFrame, ActionError, type Content, type Result } from '../../protocol.ts';
import { tidily } from '../../trim.ts';
import type { Link } from '../port.ts';
import { type Begun, Turns } from '../turns.ts';
import type { Acks } from './acks.ts';
import type { Audiences } from './audiences.ts';
import type { BoundedCache, SentMessages } from './caches.ts';
import { type Uploaded, uploadToChannel } from './channel_files.ts';
import { deleteForMe } from './chats.ts';
import { build, decorate, edited, type Known, quoted, targetKey } from './content.ts';
import { requireJid } from './identity.ts';
import { BUSINESS_NODE, interactiveOf } from './interactive.ts';
import { blobOf, fetchMedia, isLarge } from './media.ts';
import { backgroundOf, correction, isChannel, publication, STATUS, withdrawal } from './posts.ts';

const MAX_TYPING_MS = 30_000;
const WEEK = 604_800;

const { MESSAGE_EDIT } = proto.Message.ProtocolMessage.Type;

/** Who wrote what in groups lately, and who may see our statuses. */
export interface Remembered {
  authors: BoundedCache;
  audiences: Audiences;
}

export class Actions {
  #socket: WASocket;
  #sent: SentMessages;
  #acks: Acks;
  #authors: BoundedCache;
  #audiences: Audiences;
  #link: Link;
  #turns = new Turns((frame) => this.#begin(frame), refused);

  constructor(socket: WASocket, sent: SentMessages, acks: Acks, { authors, audiences }: Remembered, link: Link) {
    this.#link = link;
    this.#socket = socket;
    this.#sent = sent;
    this.#acks = acks;
    this.#authors = authors;
    this.#audiences = audiences;
  }

  /** Nothing more is begun; what waits is refused as certain not to have been sent. */
  stop(): void {
    this.#turns.stop();
  }

  /** Never rejects for reasons of the action itself: they become the result. */
  run(frame: ActFrame): Promise<Result> {
    return this.#turns.run(frame);
  }

  /** Resolves when the stanza has left, or is held by the gate; `rest` is the rest of the result. */
  async #begin(frame: ActFrame): Promise<Begun> {
    const content = frame.content ?? {};
    switch (frame.action) {
      case 'send':
        return this.#send(frame, content);
      case 'react':
        return this.#react(frame, content);
      case 'edit':
        return this.#edit(frame, content);
      case 'delete':
        return this.#delete(frame, content);
      case 'pin':
        return this.#pin(frame, content);
      case 'disappearing':
        return this.#disappearing(frame, content);
      case 'read':
        return this.#read(frame, content);
      case 'presence':
        return this.#presence(frame, content);
      case 'media.get':
        return { rest: Promise.resolve({ data: await fetchMedia(content, frame.ref, this.#socket, this.#link) }) };
      case 'check_numbers':
        return { rest: Promise.resolve(await this.#checkNumbers(content)) };
      default:
        throw new ActionError('E_UNSUPPORTED_TYPE', String(frame.action).slice(0, 40));
    }
  }

  async #send(frame: ActFrame, content: Content): Promise<Begun> {
    if (content.type === 'reaction') return this.#react(frame, content);
    const jid = requireJid(frame.to);
    const options: Partial<MiscMessageGenerationOptions> = {};
    if (content.disappear_after) options.ephemeralExpiration = Number(content.disappear_after);
    if (frame.context?.message_id) {
      options.quoted = quoted(jid, frame.context, await this.#known(frame.context.message_id));
    }
    if (jid === STATUS) options.backgroundColor = backgroundOf(content);
    if (frame.typing_ms) await this.#type(jid, frame.typing_ms);
    if (content.type === 'interactive') return this.#interactive(frame, jid, content, options);
    return this.#relay(frame, jid, build(content, blobOf(this.#link, frame.ref, content)), options);
  }

  /** Baileys makes none itself. */
  async #interactive(
    frame: ActFrame,
    jid: string,
    content: Content,
    options: Partial<MiscMessageGenerationOptions>,
  ): Promise<Begun> {
    const made = interactiveOf((content.interactive ?? {}) as Content);
    const { message } = generateWAMessageFromContent(jid, made, { ...options, userJid: this.#me() });
    decorate(message ?? {}, content);
    return this.#depart(frame, jid, message ?? {}, { additionalNodes: [BUSINESS_NODE] });
  }

  async #react(frame: ActFrame, content: Content): Promise<Begun> {
    const jid = requireJid(frame.to);
    const reaction = (content.reaction ?? content) as Content;
    const id = String(reaction.message_id ?? frame.context?.message_id ?? '');
    const key = targetKey(jid, reaction, frame.context, await this.#known(id));
    return this.#relay(frame, jid, { react: { key, text: String(reaction.emoji ?? '') } });
  }

  async #edit(frame: ActFrame, content: Content): Promise<Begun> {
    const jid = requireJid(frame.to);
    const key = targetKey(jid, content, frame.context, { ours: true });
    if (isChannel(jid)) return this.#publish(frame, correction(jid, key.id ?? '', content));
    const protocolMessage = { type: MESSAGE_EDIT, key, editedMessage: edited(content), timestampMs: Date.now() };
    return this.#depart(frame, jid, { protocolMessage }, { additionalAttributes: { edit: '1' } });
  }

  async #delete(frame: ActFrame, content: Content): Promise<Begun> {
    const jid = requireJid(frame.to);
    if (content.for_everyone === false) return { rest: this.#hide(frame, jid, content) };
    const key = targetKey(jid, content, frame.context, { ours: true });
    if (isChannel(jid)) return this.#publish(frame, withdrawal(jid, key.id ?? ''));
    return this.#relay(frame, jid, { delete: key });
  }

  /** What changes a post, or takes it back, has that one's id. */
  async #publish(frame: ActFrame, stanza: BinaryNode): Promise<Begun> {
    const message_id = required(frame);
    const { id = '' } = stanza.attrs;
    this.#me();
    const acked = this.#acks.wait(id);
    try {
      await this.#socket.sendNode(stanza);
    } catch (error) {
      throw failed(error, this.#acks.cancel(id));
    }
    const rest = acked.then((at) => ({ message_id, at }));
    rest.catch(() => {});
    return { rest };
  }

  /** Beside what is sent: it has questions of its own. Done twice it is done once. */
  async #hide(frame: ActFrame, jid: string, content: Content): Promise<Partial<Result>> {
    const known = await this.#known(String(content.message_id ?? ''));
    const key = targetKey(jid, content, frame.context, known);
    const participant = content.participant ?? known.author;
    await deleteForMe({ socket: this.#socket, content: { ...content, participant, from_self: key.fromMe } }, jid);
    return { message_id: required(frame) };
  }

  async #pin(frame: ActFrame, content: Content): Promise<Begun> {
    const jid = requireJid(frame.to);
    const pin = targetKey(jid, content, frame.context, await this.#known(String(content.message_id ?? '')));
    const { PIN_FOR_ALL, UNPIN_FOR_ALL } = proto.PinInChat.Type;
    const type = content.pinned === false ? UNPIN_FOR_ALL : PIN_FOR_ALL;
    return this.#relay(frame, jid, { pin, type, time: Number(content.seconds ?? WEEK) } as AnyMessageContent);
  }

  async #disappearing(frame: ActFrame, content: Content): Promise<Begun> {
    const jid = requireJid(frame.to);
    const seconds = Number(content.seconds);
    if (!jid.endsWith('@g.us')) return this.#relay(frame, jid, { disappearingMessagesInChat: seconds });
    await this.#socket.groupToggleEphemeral(jid, seconds);
    return {};
  }

  /** What was sent lately was ours; who wrote what in a group is remembered for a while. */
  async #known(id: string): Promise<Known> {
    const message = await this.#sent.get(id);
    return { ours: message !== undefined, author: this.#authors.get<string>(id), message };
  }

  async #relay(
    frame: ActFrame,
    jid: string,
    content: AnyMessageContent,
    options: Partial<MiscMessageGenerationOptions> = {},
  ): Promise<Begun> {
    let uploadMs: number | undefined;
    let handle: string | undefined;
    const upload: WASocket['waUploadToServer'] = async (...given) => {
      const began = performance.now();
      const uploaded = await (isChannel(jid)
        ? uploadToChannel(this.#socket, ...given)
        : this.#socket.waUploadToServer(...given));
      handle = (uploaded as Partial<Uploaded>).handle;
      uploadMs = Math.round(performance.now() - began);
      return uploaded;
    };
    const made = {
      ...options,
      messageId: required(frame),
      userJid: this.#me(),
      logger: quietLogger,
      upload,
    } as Parameters<typeof generateWAMessage>[2];
    const generate = (): ReturnType<typeof generateWAMessage> => generateWAMessage(jid, content, made);
    const full = await (isLarge(frame.content) ? tidily(generate) : generate());
    if (full.message) decorate(full.message, frame.content ?? {});
    const departed = await (isChannel(jid)
      ? this.#publish(frame, publication(jid, required(frame), full.message ?? {}, { handle }))
      : this.#depart(frame, jid, full.message ?? {}, relayOptions(content, jid)));
    if (uploadMs === undefined || !departed.rest) return departed;
    const timed = departed.rest.then((result) => ({ ...result, data: { upload_ms: uploadMs } }));
    timed.catch(() => {});
    return { rest: timed };
  }

  /** Relays one message under its preset id. What Baileys' `sendMessage` does, with the proto in hand. */
  async #depart(frame: ActFrame, jid: string, message: proto.IMessage, options: RelayOptions): Promise<Begun> {
    const id = required(frame);
    this.#me();
    const readers = jid === STATUS ? await this.#audiences.of(frame, this.#socket) : undefined;
    this.#sent.add(id, message);
    const acked = this.#acks.wait(id, readers?.length);
    const to = readers && { statusJidList: readers };
    try {
      await this.#socket.relayMessage(jid, message, { ...options, ...to, messageId: id });
    } catch (error) {
      throw failed(error, this.#acks.cancel(id));
    }
    const rest = acked.then((at) => ({ message_id: id, at }));
    rest.catch(() => {});
    return { rest };
  }

  #me(): string {
    const me = this.#socket.authState.creds.me?.id;
    if (!me || !this.#socket.ws.isOpen) throw new ActionError('E_CONNECTION_LOST');
    return me;
  }

  async #type(jid: string, ms: number): Promise<void> {
    await this.#socket.sendPresenceUpdate('composing', jid);
    await new Promise((resolve) => setTimeout(resolve, Math.min(ms, MAX_TYPING_MS)));
    await this.#socket.sendPresenceUpdate('paused', jid);
  }

  async #read(frame: ActFrame, content: Content): Promise<Begun> {
    const jid = requireJid(frame.to);
    const ids = (content.message_ids ?? [content.message_id ?? frame.context?.message_id]) as string[];
    const keys = ids.map((id) => {
      const known = { ours: false, author: this.#authors.get<string>(id) };
      return targetKey(jid, { ...content, message_id: id }, frame.context, known);
    });
    await this.#socket.readMessages(keys);
    return {};
  }

  async #presence(frame: ActFrame, content: Content): Promise<Begun> {
    const body = (content.presence ?? content) as Content;
    const jid = frame.to && (frame.to.pn || frame.to.lid || frame.to.group) ? requireJid(frame.to) : undefined;
    await this.#socket.sendPresenceUpdate(String(body.state) as WAPresence, jid);
    return {};
  }

  async #checkNumbers(content: Content): Promise<Partial<Result>> {
    const numbers = (content.numbers ?? []) as string[];
    const found = (await this.#socket.onWhatsApp(...numbers)) ?? [];
    const exists = new Map(found.map(({ jid, exists: known }) => [jid.split(/[:@]/)[0], Boolean(known)]));
    return { data: numbers.map((number) => ({ number, exists: exists.get(number.replace(/\D/g, '')) ?? false })) };
  }
}

type RelayOptions = Omit<Parameters<WASocket['relayMessage']>[2], 'messageId'>;

function required({ id }: ActFrame): string {
  if (!id) throw new ActionError('E_MISSING_FIELD', 'id is missing');
  return id;
}

function relayOptions(content: AnyMessageContent, jid: string): RelayOptions {
  if ('poll' in content) return { additionalNodes: [{ tag: 'meta', attrs: { polltype: 'creation' } }] };
  if ('event' in content) return { additionalNodes: [{ tag: 'meta', attrs: { event_type: 'creation' } }] };
  if ('pin' in content) return { additionalAttributes: { edit: '2' } };
  if (!('delete' in content)) return {};
  // Someone else's message in a group is deleted as its admin.
  return { additionalAttributes: { edit: jid.endsWith('@g.us') && !content.delete.fromMe ? '8' : '7' } };
}

const quiet = (): void => {};
const quietLogger = {
  level: 'silent',
  child: () => quietLogger,
  trace: quiet,
  debug: quiet,
  info: quiet,
  warn: quiet,
  error: quiet,
};

function refused(error: unknown): Result {
  if (error instanceof ActionError) {
    return { ok: false, code: error.code, detail: error.message, uncertain: error.uncertain };
  }
  const { code, message } = failed(error, false);
  return { ok: false, code, detail: message, uncertain: false };
}

/** An error of Baileys as a refusal. `departed`: the stanza may have left before it. */
function failed(error: unknown, departed: boolean): ActionError {
  if (error instanceof ActionError) return error;
  const status = (error as { output?: { statusCode?: number } }).output?.statusCode;
  const message = error instanceof Error ? error.message : '';
  const detail = errorText(error);
  if (status === 428) return new ActionError('E_CONNECTION_LOST', detail, departed);
  if (message.startsWith('Media upload failed')) return new ActionError('E_MEDIA_UPLOAD_FAILED', detail, departed);
  if (message.startsWith('ENOENT')) return new ActionError('E_MEDIA_NOT_FOUND', '', departed);
  return new ActionError('E_ENGINE_ERROR', detail, departed);
}
