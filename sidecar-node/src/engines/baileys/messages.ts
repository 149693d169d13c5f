/** What a WhatsApp message says, in the shapes of a send command (INTERFACE.md §3). */
import { Encoder } from '@msgpack/msgpack';
import { getContentType, normalizeMessageContent, type proto } from 'baileys';
import * as vcards from '../vcard.ts';
import { type Person, person } from './identity.ts';
import { interactiveFrom, nativeReply } from './interactive.ts';

export interface Described {
  type: string;
  body: unknown;
  media?: MediaDescriptor;
  context?: { message_id?: string; from?: Person; forwarded?: boolean };
  mentions?: Person[];
  /** Seconds. */
  disappearAfter?: number;
}

interface MediaDescriptor {
  mime_type: string | undefined;
  size: number;
  sha256: string | undefined;
  filename: string | undefined;
  source: Uint8Array;
}

/** What `media.get` needs to fetch and decrypt a file later; opaque to the worker. */
export interface MediaSource {
  type: 'image' | 'video' | 'audio' | 'document' | 'sticker';
  path: string | undefined;
  url: string | undefined;
  /** Empty for a channel's file, which is not encrypted. */
  key: Uint8Array;
  sha256: Uint8Array | undefined;
}

type Nullable<T> = { [K in keyof T]?: T[K] | null };
type MediaProto = Nullable<{
  mimetype: string;
  fileLength: unknown;
  fileSha256: Uint8Array;
  directPath: string;
  url: string;
  mediaKey: Uint8Array;
  fileName: string;
}>;

const encoder = new Encoder({ ignoreUndefined: true });

/** A number that every reader can hold. */
export function counted(value: unknown): number {
  const number = Number(value ?? 0);
  return Number.isSafeInteger(number) && number >= 0 ? number : 0;
}

function describeMedia(type: MediaSource['type'], message: MediaProto): MediaDescriptor {
  const source: MediaSource = {
    type,
    path: message.directPath ?? undefined,
    url: message.url ?? undefined,
    key: message.mediaKey ?? new Uint8Array(0),
    sha256: message.fileSha256 ?? undefined,
  };
  return {
    mime_type: message.mimetype ?? undefined,
    size: counted(message.fileLength),
    sha256: message.fileSha256 ? Buffer.from(message.fileSha256).toString('hex') : undefined,
    filename: message.fileName ?? undefined,
    source: encoder.encode(source),
  };
}

const optional = (fields: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== null && value !== undefined && value !== ''),
  );

type Reader = (content: proto.IMessage) => Described;

const readers: Record<string, Reader> = {
  conversation: ({ conversation }) => ({ type: 'text', body: { body: conversation } }),
  extendedTextMessage: ({ extendedTextMessage: m }) => ({
    type: 'text',
    body: { body: m?.text ?? '', ...optional({ preview: preview(m) }) },
  }),
  imageMessage: ({ imageMessage: m }) => ({
    type: 'image',
    body: optional({ caption: m?.caption, view_once: m?.viewOnce || undefined }),
    media: describeMedia('image', m ?? {}),
  }),
  videoMessage: ({ videoMessage: m }) => ({
    type: 'video',
    body: optional({
      caption: m?.caption,
      gif: m?.gifPlayback || undefined,
      view_once: m?.viewOnce || undefined,
      seconds: m?.seconds || undefined,
    }),
    media: describeMedia('video', m ?? {}),
  }),
  ptvMessage: ({ ptvMessage: m }) => ({ type: 'video', body: {}, media: describeMedia('video', m ?? {}) }),
  audioMessage: ({ audioMessage: m }) => ({
    type: m?.ptt ? 'voice' : 'audio',
    body: optional({
      seconds: m?.seconds || undefined,
      ...(m?.ptt ? { view_once: m.viewOnce || undefined, waveform: m.waveform?.length ? m.waveform : undefined } : {}),
    }),
    media: describeMedia('audio', m ?? {}),
  }),
  documentMessage: ({ documentMessage: m }) => ({
    type: 'document',
    body: optional({ caption: m?.caption, filename: m?.fileName }),
    media: describeMedia('document', m ?? {}),
  }),
  stickerMessage: ({ stickerMessage: m }) => ({
    type: 'sticker',
    body: optional({ animated: m?.isAnimated || undefined }),
    media: describeMedia('sticker', m ?? {}),
  }),
  locationMessage: ({ locationMessage: m }) => ({
    type: 'location',
    body: {
      latitude: m?.degreesLatitude ?? 0,
      longitude: m?.degreesLongitude ?? 0,
      ...optional({ name: m?.name, address: m?.address, url: m?.url }),
    },
  }),
  liveLocationMessage: ({ liveLocationMessage: m }) => ({
    type: 'live_location',
    body: {
      latitude: m?.degreesLatitude ?? 0,
      longitude: m?.degreesLongitude ?? 0,
      ...optional({
        accuracy: m?.accuracyInMeters,
        speed: m?.speedInMps,
        heading: m?.degreesClockwiseFromMagneticNorth,
        sequence: m?.sequenceNumber ? Number(m.sequenceNumber) : undefined,
        caption: m?.caption,
      }),
    },
  }),
  contactMessage: ({ contactMessage: m }) => ({ type: 'contacts', body: [vcards.read(m?.displayName, m?.vcard)] }),
  contactsArrayMessage: ({ contactsArrayMessage: m }) => ({
    type: 'contacts',
    body: (m?.contacts ?? []).map((each) => vcards.read(each.displayName, each.vcard)),
  }),
  pollCreationMessage: ({ pollCreationMessage: m }) => poll(m),
  pollCreationMessageV2: ({ pollCreationMessageV2: m }) => poll(m),
  pollCreationMessageV3: ({ pollCreationMessageV3: m }) => poll(m),
  buttonsResponseMessage: ({ buttonsResponseMessage: m }) =>
    reply('button_reply', m?.selectedButtonId, m?.selectedDisplayText),
  templateButtonReplyMessage: ({ templateButtonReplyMessage: m }) =>
    reply('button_reply', m?.selectedId, m?.selectedDisplayText),
  listResponseMessage: ({ listResponseMessage: m }) =>
    reply('list_reply', m?.singleSelectReply?.selectedRowId, m?.title, m?.description),
  interactiveResponseMessage: ({ interactiveResponseMessage: m }) => ({
    type: 'interactive',
    body: nativeReply(m ?? {}),
  }),
  interactiveMessage: interactive,
  buttonsMessage: interactive,
  listMessage: interactive,
  templateMessage: interactive,
  eventMessage: ({ eventMessage: m }) => ({
    type: 'event',
    body: {
      name: m?.name ?? '',
      start_at: new Date(Number(m?.startTime ?? 0) * 1000).toISOString(),
      ...optional({
        end_at: m?.endTime ? new Date(Number(m.endTime) * 1000).toISOString() : undefined,
        description: m?.description,
        location: place(m?.location),
        link: m?.joinLink,
        extra_guests: m?.extraGuestsAllowed || undefined,
        cancelled: m?.isCanceled || undefined,
      }),
    },
  }),
};

function place(location: proto.Message.ILocationMessage | null | undefined): unknown {
  if (!location) return undefined;
  const { degreesLatitude, degreesLongitude, name, address } = location;
  return { latitude: degreesLatitude ?? 0, longitude: degreesLongitude ?? 0, ...optional({ name, address }) };
}

function preview(text: proto.Message.IExtendedTextMessage | null | undefined): unknown {
  if (!text?.matchedText || !(text.title || text.description)) return undefined;
  const { matchedText, title, description, jpegThumbnail } = text;
  const thumbnail = jpegThumbnail?.length ? jpegThumbnail : undefined;
  return { url: matchedText, ...optional({ title, description, thumbnail }) };
}

function interactive(content: proto.IMessage): Described {
  const body = interactiveFrom(content);
  return body
    ? { type: 'interactive', body }
    : { type: 'unsupported', body: { kind: String(getContentType(content)) } };
}

function poll(m: proto.Message.IPollCreationMessage | null | undefined): Described {
  return {
    type: 'poll',
    body: {
      name: m?.name ?? '',
      options: (m?.options ?? []).map(({ optionName }) => optionName ?? ''),
      selectable: m?.selectableOptionsCount ?? 0,
    },
  };
}

function reply(kind: string, id: unknown, title: unknown, description?: unknown): Described {
  return {
    type: 'interactive',
    body: { type: kind, [kind]: { id: id ?? '', title: title ?? '', ...optional({ description }) } },
  };
}

/** Strangers choose every value: one that no reader expects must not end the session, which would get it again. */
function readBy(reader: Reader | undefined, content: proto.IMessage): Described | undefined {
  try {
    return reader?.(content);
  } catch {
    return undefined;
  }
}

/** What only announces others: the pictures of an album come as messages of their own. */
const SILENT = new Set(['albumMessage', 'senderKeyDistributionMessage']);

/** Undefined for what carries nothing to show: key distribution, protocol messages. */
export function describe(message: proto.IMessage | null | undefined): Described | undefined {
  const content = normalizeMessageContent(message);
  const field = getContentType(content);
  if (!content || !field || SILENT.has(field)) return undefined;
  const described = readBy(readers[field], content) ?? { type: 'unsupported', body: { kind: field } };
  const info = content[field] as { contextInfo?: proto.IContextInfo | null } | string | null | undefined;
  if (typeof info === 'object' && info?.contextInfo) addContext(described, info.contextInfo);
  return described;
}

function addContext(described: Described, info: proto.IContextInfo): void {
  if (info.stanzaId || info.isForwarded) {
    described.context = {
      ...(info.stanzaId ? { message_id: info.stanzaId } : {}),
      ...(info.participant ? { from: person(info.participant) } : {}),
      ...(info.isForwarded ? { forwarded: true } : {}),
    };
  }
  if (info.expiration) described.disappearAfter = info.expiration;
  if (info.mentionedJid?.length) described.mentions = info.mentionedJid.map((jid) => person(jid));
}

/** `type`, its field, and what goes beside it in an event. */
export function contentFields({
  type,
  body,
  media,
  context,
  mentions,
  disappearAfter,
}: Described): Record<string, unknown> {
  return {
    type,
    [type]: body,
    ...(context ? { context } : {}),
    ...(mentions ? { mentions } : {}),
    ...(media ? { media } : {}),
    ...(disappearAfter ? { disappear_after: disappearAfter } : {}),
  };
}
