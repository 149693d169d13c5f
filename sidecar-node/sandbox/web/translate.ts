import { proto } from 'baileys/WAProto/index.js';
import type { MediaKind } from '../content.ts';
import { Refusal } from '../refusal.ts';

/** A message as the page's models hold it: the fields of WhatsApp Web's own `Msg`, as JSON. Bytes are base64. */
export interface PageMessage {
  type: string;
  body?: string;
  caption?: string;
  mimetype?: string;
  filename?: string;
  size?: number;
  duration?: number;
  width?: number;
  height?: number;
  filehash?: string;
  encFilehash?: string;
  mediaKey?: string;
  directPath?: string;
  /** Of a file in a channel. */
  mediaHandle?: string;
  isGif?: boolean;
  isAnimated?: boolean;
  isViewOnce?: boolean;
  waveform?: string;
  lat?: number;
  lng?: number;
  loc?: string;
  vcardFormattedName?: string;
  vcardList?: { displayName: string; vcard: string }[];
  pollName?: string;
  pollOptions?: { name: string; localId: number }[];
  pollSelectableOptionsCount?: number;
  messageSecret?: string;
  isForwarded?: boolean;
  mentionedJidList?: string[];
  matchedText?: string;
  title?: string;
  description?: string;
  eventName?: string;
  eventDescription?: string;
  eventStartTime?: number;
  eventEndTime?: number;
  quotedStanzaID?: string;
  quotedParticipant?: string;
  /** Of a status of words: the colour below them (ARGB), and their font. */
  backgroundColor?: number;
  font?: number;
  /** Of `pin`: how long; 0 takes it away. */
  seconds?: number;
  /** Of `poll_vote`: sealed with the poll's secret. */
  payload?: string;
  iv?: string;
  senderTimestampMs?: number;
  /** For `reaction`, `edit`, `revoke`, `pin` and `poll_vote`: the message that it is about, and whether its sender is who sends this. */
  target?: { id: string; fromMe: boolean; participant?: string };
}

const { REVOKE, MESSAGE_EDIT } = proto.Message.ProtocolMessage.Type;
const { PIN_FOR_ALL, UNPIN_FOR_ALL } = proto.Message.PinInChatMessage.Type;
const MEDIA: Record<string, MediaKind> = {
  image: 'image',
  video: 'video',
  audio: 'audio',
  ptt: 'audio',
  document: 'document',
  sticker: 'sticker',
};

export const mediaKindOf = (type: string): MediaKind | undefined => MEDIA[type];

const base64 = (bytes: Uint8Array | null | undefined): string | undefined =>
  bytes ? Buffer.from(bytes).toString('base64') : undefined;
const bytes = (text: string | undefined): Buffer | undefined => (text ? Buffer.from(text, 'base64') : undefined);
const set = <T extends object>(fields: T): { [K in keyof T]: Exclude<T[K], undefined | null> } =>
  Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined && value !== null && value !== ''),
  ) as { [K in keyof T]: Exclude<T[K], undefined | null> };

function unwrapped(message: proto.IMessage): { inner: proto.IMessage; viewOnce: boolean } {
  const once = message.viewOnceMessage ?? message.viewOnceMessageV2 ?? message.viewOnceMessageV2Extension;
  const inner = once?.message ?? message.ephemeralMessage?.message ?? message.documentWithCaptionMessage?.message;
  return { inner: inner ?? message, viewOnce: Boolean(once) };
}

/** What a message says, for a page. */
export function toPage(message: proto.IMessage): PageMessage {
  const { inner, viewOnce } = unwrapped(message);
  const said = contentOf(inner) ?? { type: 'unknown' };
  return set({ ...said, ...(viewOnce ? { isViewOnce: true } : {}), ...contextOf(inner) }) as PageMessage;
}

function contextOf(message: proto.IMessage): Partial<PageMessage> {
  for (const content of Object.values(message)) {
    const info = (content as { contextInfo?: proto.IContextInfo | null } | null)?.contextInfo;
    if (!info) continue;
    return set({
      isForwarded: info.isForwarded || undefined,
      mentionedJidList: info.mentionedJid?.length ? info.mentionedJid : undefined,
      quotedStanzaID: info.stanzaId,
      quotedParticipant: info.participant,
    });
  }
  return {};
}

function contentOf(message: proto.IMessage): PageMessage | undefined {
  if (message.conversation) return { type: 'chat', body: message.conversation };
  if (message.extendedTextMessage) {
    const { text, matchedText, title, description } = message.extendedTextMessage;
    return set({ type: 'chat', body: text ?? '', matchedText, title, description }) as PageMessage;
  }
  const { locationMessage: place, contactMessage: card, contactsArrayMessage: cards } = message;
  if (place) {
    const loc = place.address ? `${place.name ?? ''}\n${place.address}` : (place.name ?? '');
    return { type: 'location', lat: place.degreesLatitude ?? 0, lng: place.degreesLongitude ?? 0, loc };
  }
  if (card) return { type: 'vcard', body: card.vcard ?? '', vcardFormattedName: card.displayName ?? '' };
  if (cards) {
    const list = (cards.contacts ?? []).map(({ displayName, vcard }) => ({
      displayName: displayName ?? '',
      vcard: vcard ?? '',
    }));
    return { type: 'multi_vcard', vcardList: list };
  }
  return mediaOf(message) ?? pollOf(message) ?? eventOf(message) ?? aboutAnother(message);
}

function mediaOf(message: proto.IMessage): PageMessage | undefined {
  const { imageMessage, videoMessage, audioMessage, documentMessage, stickerMessage } = message;
  const file = imageMessage ?? videoMessage ?? audioMessage ?? documentMessage ?? stickerMessage;
  if (!file) return undefined;
  const kinds = { image: imageMessage, video: videoMessage, document: documentMessage, sticker: stickerMessage };
  const found = Object.entries(kinds).find(([, each]) => each)?.[0];
  return set({
    type: found ?? (audioMessage?.ptt ? 'ptt' : 'audio'),
    caption: (imageMessage ?? videoMessage ?? documentMessage)?.caption,
    mimetype: file.mimetype,
    filename: documentMessage?.fileName,
    size: Number(file.fileLength ?? 0),
    duration: (videoMessage ?? audioMessage)?.seconds,
    width: (imageMessage ?? videoMessage)?.width,
    height: (imageMessage ?? videoMessage)?.height,
    filehash: base64(file.fileSha256),
    encFilehash: base64(file.fileEncSha256),
    mediaKey: base64(file.mediaKey),
    directPath: file.directPath,
    isGif: videoMessage?.gifPlayback,
    isViewOnce: (imageMessage ?? videoMessage ?? audioMessage)?.viewOnce,
    isAnimated: stickerMessage?.isAnimated,
    waveform: base64(audioMessage?.waveform),
  }) as PageMessage;
}

function pollOf(message: proto.IMessage): PageMessage | undefined {
  const poll = message.pollCreationMessage ?? message.pollCreationMessageV2 ?? message.pollCreationMessageV3;
  if (!poll) return undefined;
  return {
    type: 'poll_creation',
    pollName: poll.name ?? '',
    ...set({ messageSecret: base64(message.messageContextInfo?.messageSecret) }),
    pollOptions: (poll.options ?? []).map(({ optionName }, localId) => ({ name: optionName ?? '', localId })),
    pollSelectableOptionsCount: poll.selectableOptionsCount ?? 0,
  };
}

function eventOf({ eventMessage: event }: proto.IMessage): PageMessage | undefined {
  if (!event) return undefined;
  return set({
    type: 'event_creation',
    eventName: event.name,
    eventDescription: event.description,
    eventStartTime: Number(event.startTime ?? 0),
    eventEndTime: event.endTime ? Number(event.endTime) : undefined,
  }) as PageMessage;
}

function aboutAnother({
  reactionMessage: reaction,
  protocolMessage: protocol,
  pollUpdateMessage: vote,
}: proto.IMessage): PageMessage | undefined {
  const target = (key: proto.IMessageKey | null | undefined) => ({
    id: key?.id ?? '',
    fromMe: Boolean(key?.fromMe),
    ...(key?.participant ? { participant: key.participant } : {}),
  });
  if (vote)
    return {
      type: 'poll_vote',
      target: target(vote.pollCreationMessageKey),
      senderTimestampMs: Number(vote.senderTimestampMs ?? 0),
      ...set({ payload: base64(vote.vote?.encPayload), iv: base64(vote.vote?.encIv) }),
    };
  if (reaction) return { type: 'reaction', body: reaction.text ?? '', target: target(reaction.key) };
  if (protocol?.type === REVOKE) return { type: 'revoke', target: target(protocol.key) };
  if (protocol?.type !== MESSAGE_EDIT) return undefined;
  const edited = protocol.editedMessage ? contentOf(protocol.editedMessage) : undefined;
  return { type: 'edit', body: edited?.caption ?? edited?.body ?? '', target: target(protocol.key) };
}

/** What a page sends, as a message; `chat` is where. Throws a Refusal for what is none. */
export function fromPage(page: PageMessage, chat: string): proto.IMessage {
  const contextInfo = contextInfoOf(page);
  const context = contextInfo ? { contextInfo } : {};
  const kind = mediaKindOf(page.type);
  if (kind) return sentMedia(page, context);
  const about = aboutFromPage(page, { remoteJid: chat, ...page.target });
  if (about) return about;
  switch (page.type) {
    case 'chat':
      return contextInfo || page.matchedText || page.backgroundColor !== undefined
        ? { extendedTextMessage: { text: page.body ?? '', ...previewOf(page), ...lookOf(page), ...context } }
        : { conversation: page.body ?? '' };
    case 'location': {
      const [name, address] = (page.loc ?? '').split('\n');
      return {
        locationMessage: {
          degreesLatitude: page.lat ?? 0,
          degreesLongitude: page.lng ?? 0,
          ...set({ name, address }),
          ...context,
        },
      };
    }
    case 'vcard':
      return { contactMessage: { displayName: page.vcardFormattedName ?? '', vcard: page.body ?? '', ...context } };
    case 'multi_vcard': {
      const contacts = (page.vcardList ?? []).map(({ displayName, vcard }) => ({ displayName, vcard }));
      return { contactsArrayMessage: { displayName: contacts[0]?.displayName ?? '', contacts, ...context } };
    }
    case 'poll_creation':
      return {
        messageContextInfo: set({ messageSecret: bytes(page.messageSecret) }),
        pollCreationMessageV3: {
          name: page.pollName ?? '',
          options: (page.pollOptions ?? []).map(({ name }) => ({ optionName: name })),
          selectableOptionsCount: page.pollSelectableOptionsCount ?? 0,
          ...context,
        },
      };
    case 'event_creation':
      return {
        messageContextInfo: set({ messageSecret: bytes(page.messageSecret) }),
        eventMessage: set({
          name: page.eventName,
          description: page.eventDescription,
          startTime: page.eventStartTime,
          endTime: page.eventEndTime,
        }),
      };
    default:
      throw new Refusal(`A page cannot send "${String(page.type).slice(0, 40)}".`);
  }
}

/** A message about the one that `key` names. */
function aboutFromPage(page: PageMessage, key: proto.IMessageKey): proto.IMessage | undefined {
  switch (page.type) {
    case 'reaction':
      return { reactionMessage: { key, text: page.body ?? '', senderTimestampMs: Date.now() } };
    case 'edit':
      return {
        protocolMessage: {
          type: MESSAGE_EDIT,
          key,
          editedMessage: { conversation: page.body ?? '' },
          timestampMs: Date.now(),
        },
      };
    case 'revoke':
      return { protocolMessage: { type: REVOKE, key } };
    case 'poll_vote':
      return {
        pollUpdateMessage: {
          pollCreationMessageKey: key,
          vote: set({ encPayload: bytes(page.payload), encIv: bytes(page.iv) }),
          senderTimestampMs: page.senderTimestampMs ?? 0,
        },
      };
    case 'pin':
      return {
        messageContextInfo: { messageAddOnDurationInSecs: page.seconds ?? 0 },
        pinInChatMessage: { key, type: page.seconds ? PIN_FOR_ALL : UNPIN_FOR_ALL, senderTimestampMs: Date.now() },
      };
    default:
      return undefined;
  }
}

const lookOf = ({ backgroundColor, font }: PageMessage) => set({ backgroundArgb: backgroundColor, font });
const previewOf = ({ matchedText, title, description }: PageMessage) => set({ matchedText, title, description });

function contextInfoOf(page: PageMessage): proto.IContextInfo | undefined {
  const info = set({
    isForwarded: page.isForwarded || undefined,
    mentionedJid: page.mentionedJidList?.length ? page.mentionedJidList : undefined,
    stanzaId: page.quotedStanzaID,
    participant: page.quotedParticipant,
  });
  return Object.keys(info).length > 0 ? info : undefined;
}

function sentMedia(page: PageMessage, context: { contextInfo?: proto.IContextInfo }): proto.IMessage {
  const file = {
    ...set({
      mimetype: page.mimetype,
      directPath: page.directPath,
      mediaKey: bytes(page.mediaKey),
      fileSha256: bytes(page.filehash),
      fileEncSha256: bytes(page.encFilehash),
      fileLength: page.size,
    }),
    ...context,
  };
  const seconds = set({ seconds: page.duration });
  const captioned = { ...file, ...set({ caption: page.caption, viewOnce: page.isViewOnce || undefined }) };
  const size = set({ width: page.width, height: page.height });
  const message: proto.IMessage =
    page.type === 'image'
      ? { imageMessage: { ...captioned, ...size } }
      : page.type === 'video'
        ? { videoMessage: { ...captioned, ...size, ...seconds, ...set({ gifPlayback: page.isGif || undefined }) } }
        : page.type === 'document'
          ? { documentMessage: { ...captioned, ...set({ fileName: page.filename }) } }
          : page.type === 'sticker'
            ? { stickerMessage: file }
            : {
                audioMessage: {
                  ...file,
                  ...seconds,
                  ptt: page.type === 'ptt',
                  ...set({ waveform: bytes(page.waveform) }),
                },
              };
  return page.isViewOnce ? { viewOnceMessage: { message } } : message;
}
