/** A command's content (INTERFACE.md §3) as Baileys wants it. */
import { Readable } from 'node:stream';
import {
  type AnyMessageContent,
  getContentType,
  normalizeMessageContent,
  type proto,
  type WAMessage,
  type WAMessageKey,
  type WAUrlInfo,
} from 'baileys';
import { ActionError, type Address, type Content, type Context } from '../../protocol.ts';
import * as vcards from '../vcard.ts';
import { jidOf } from './identity.ts';
import { INTERACTIVE_KINDS } from './interactive.ts';

type Fields = Record<string, unknown>;

const fields = (content: Content, type: string): Fields => (content[type] ?? {}) as Fields;
const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);

function required(value: unknown, name: string): string {
  const found = text(value);
  if (found === undefined) throw new ActionError('E_MISSING_FIELD', `${name} is missing`);
  return found;
}

/** Media bytes: what the worker hands over in parts, `data` in the command or beside it, else a file's path. */
function media(content: Content, body: Fields): Buffer | { url: string } | { stream: Readable } {
  if (content.stream instanceof Readable) return { stream: content.stream };
  const data = body.data ?? content.data;
  if (data instanceof Uint8Array) return Buffer.from(data);
  return { url: required(body.path ?? content.path, 'data or path') };
}

const BUILDERS: Record<string, (body: Fields, content: Content) => AnyMessageContent> = {
  text: (body) => ({ text: required(body.body, 'text.body'), linkPreview: preview(body) }) as AnyMessageContent,
  image: (body, content) =>
    ({
      image: media(content, body),
      caption: text(body.caption),
      mimetype: text(body.mime_type),
      // Without a thumbnail Baileys would load an image library for each picture.
      jpegThumbnail: thumbnail(body),
      ...size(body),
      viewOnce: body.view_once === true || undefined,
    }) as AnyMessageContent,
  video: (body, content) =>
    ({
      video: media(content, body),
      caption: text(body.caption),
      mimetype: text(body.mime_type),
      jpegThumbnail: '',
      seconds: seconds(body),
      gifPlayback: body.gif === true || undefined,
      viewOnce: body.view_once === true || undefined,
    }) as AnyMessageContent,
  audio: (body, content) =>
    ({
      audio: media(content, body),
      mimetype: text(body.mime_type) ?? 'audio/mpeg',
      ptt: false,
      seconds: seconds(body),
    }) as AnyMessageContent,
  voice: (body, content) =>
    ({
      audio: media(content, body),
      mimetype: text(body.mime_type) ?? 'audio/ogg; codecs=opus',
      ptt: true,
      seconds: seconds(body),
      waveform: body.waveform instanceof Uint8Array ? body.waveform : new Uint8Array(64),
      viewOnce: body.view_once === true || undefined,
    }) as AnyMessageContent,
  document: (body, content) =>
    ({
      document: media(content, body),
      mimetype: text(body.mime_type) ?? 'application/octet-stream',
      fileName: text(body.filename),
      caption: text(body.caption),
    }) as AnyMessageContent,
  sticker: (body, content) =>
    ({
      sticker: media(content, body),
      ...size(body),
      isAnimated: body.animated === true,
      mimetype: text(body.mime_type),
    }) as AnyMessageContent,
  location: (body) =>
    ({
      location: {
        degreesLatitude: Number(body.latitude),
        degreesLongitude: Number(body.longitude),
        name: text(body.name),
        address: text(body.address),
        url: text(body.url),
      },
    }) as AnyMessageContent,
  contacts: (_body, content) => {
    const cards = content.contacts as Fields[];
    const contacts = cards.map((card) => ({ displayName: vcards.nameOf(card), vcard: vcards.write(card) }));
    return { contacts: { displayName: contacts[0]?.displayName, contacts } } as AnyMessageContent;
  },
  poll: (body) =>
    ({
      poll: {
        name: required(body.name, 'poll.name'),
        values: (body.options ?? []) as string[],
        selectableCount: Number(body.selectable ?? 1),
      },
    }) as AnyMessageContent,
  event,
};

/** The card under a text; null keeps Baileys from fetching one itself. */
function preview(body: Fields): WAUrlInfo | null {
  const card = body.preview as Fields | undefined;
  if (!card) return null;
  return {
    'canonical-url': required(card.url, 'text.preview.url'),
    'matched-text': card.url as string,
    title: text(card.title) ?? '',
    ...(text(card.description) ? { description: card.description as string } : {}),
    ...(card.thumbnail instanceof Uint8Array ? { jpegThumbnail: Buffer.from(card.thumbnail) } : {}),
  };
}

function event(body: Fields): AnyMessageContent {
  const place = (body.location ?? {}) as Fields;
  const location = body.location
    ? { degreesLatitude: Number(place.latitude), degreesLongitude: Number(place.longitude), name: text(place.name) }
    : undefined;
  return {
    event: {
      name: required(body.name, 'event.name'),
      description: text(body.description),
      startDate: moment(body.start_at, 'event.start_at'),
      endDate: body.end_at ? moment(body.end_at, 'event.end_at') : undefined,
      location,
      isCancelled: body.cancelled === true,
      extraGuestsAllowed: body.extra_guests === true,
    },
  } as AnyMessageContent;
}

/** A time as ISO-8601, in milliseconds, or as MessagePack's own timestamp. */
function moment(value: unknown, name: string): Date {
  const date = value instanceof Date ? value : new Date(value as string | number);
  if (Number.isNaN(date.getTime())) throw new ActionError('E_INVALID_FIELD', `${name} is no time`);
  return date;
}

/** The new content of a message sent before; of a file only the caption can change. */
export function edited(content: Content): proto.IMessage {
  const type = String(content.type ?? 'text');
  const body = fields(content, type);
  if (type === 'text') return { extendedTextMessage: { text: required(body.body, 'text.body') } };
  const caption = text(body.caption) ?? '';
  if (type === 'image') return { imageMessage: { caption } };
  if (type === 'video') return { videoMessage: { caption } };
  if (type === 'document') return { documentWithCaptionMessage: { message: { documentMessage: { caption } } } };
  throw new ActionError('E_UNSUPPORTED_TYPE', type.slice(0, 40));
}

/** Kinds of content that `build` can make. */
export const KINDS: readonly string[] = [
  ...Object.keys(BUILDERS),
  ...INTERACTIVE_KINDS.map((kind) => `interactive.${kind}`),
  'reaction',
];

/** The worker makes it; an empty one keeps Baileys from making it. */
function thumbnail(body: Fields): string {
  return body.thumbnail instanceof Uint8Array ? Buffer.from(body.thumbnail).toString('base64') : '';
}

function size({ width, height }: Fields): Fields {
  return typeof width === 'number' && typeof height === 'number' ? { width, height } : {};
}

/** Zero keeps Baileys from reading the whole file for its duration. */
function seconds(body: Fields): number {
  return Number(body.seconds ?? 0);
}

/** `stream`: the file that goes with the act. */
export function build(act: Content, stream?: Readable): AnyMessageContent {
  const content = stream ? { ...act, stream } : act;
  const type = String(content.type ?? '');
  const builder = BUILDERS[type];
  if (!builder) throw new ActionError('E_UNSUPPORTED_TYPE', type.slice(0, 40));
  const built = builder(fields(content, type), content);
  for (const key of Object.keys(built)) {
    if ((built as Fields)[key] === undefined) delete (built as Fields)[key];
  }
  return built;
}

/** Puts beside a message's content whom it names, and whence it came. */
export function decorate(message: proto.IMessage, act: Content): void {
  const named = (act.mentions ?? fields(act, String(act.type)).mentions) as (Address | string)[] | undefined;
  const mentionedJid = (named ?? []).map(jidOf).filter((jid) => jid !== undefined);
  const forwarded = act.forwarded === true ? { isForwarded: true, forwardingScore: 1 } : {};
  const inner = normalizeMessageContent(message);
  const field = getContentType(inner);
  if (!inner || !field || (mentionedJid.length === 0 && act.forwarded !== true)) return;
  const about = inner[field] as { contextInfo?: proto.IContextInfo | null };
  about.contextInfo = { ...about.contextInfo, ...forwarded, ...(mentionedJid.length > 0 ? { mentionedJid } : {}) };
}

/** What is remembered of a message that an action speaks of. */
export interface Known {
  ours: boolean;
  /** The jid of who wrote it, in a group. */
  author?: string | undefined;
  message?: proto.IMessage | undefined;
}

/** The key of the message an action is about: `content` names it, or the context does. */
export function targetKey(
  jid: string,
  content: Content,
  context: Context | null | undefined,
  { ours, author }: Known,
): WAMessageKey {
  const id = text(content.message_id) ?? text(context?.message_id);
  if (!id) throw new ActionError('E_MISSING_FIELD', 'message_id is missing');
  const participant = jidOf((content.participant ?? context?.participant) as Address | string | undefined) ?? author;
  const fromMe = (content.from_self ?? context?.from_self ?? ours) as boolean;
  return { remoteJid: jid, id, fromMe, ...(participant && !fromMe ? { participant } : {}) };
}

/** What a reply quotes: only the id and author matter to WhatsApp; the text is shown when it is known. */
export function quoted(jid: string, context: Context, { ours, author, message }: Known): WAMessage {
  const participant = jidOf(context.participant) ?? author;
  return {
    key: {
      remoteJid: jid,
      id: context.message_id,
      fromMe: context.from_self ?? ours,
      ...(participant ? { participant } : {}),
    },
    message: message ?? { conversation: '' },
  };
}
