import { randomBytes } from 'node:crypto';
import { proto } from 'baileys/WAProto/index.js';

const PROTOCOL = proto.Message.ProtocolMessage.Type;

export interface Described {
  readonly type: string;
  readonly text: string;
  readonly media: MediaContent | undefined;
}

export interface MediaContent {
  readonly kind: MediaKind;
  readonly directPath: string;
  /** None: a channel's file. */
  readonly mediaKey: Uint8Array | undefined;
  readonly mimeType: string;
}

export type MediaKind = 'image' | 'video' | 'audio' | 'document' | 'sticker';

/** Takes off the envelopes that only say how a message is to be shown. */
export function unwrap(message: proto.IMessage): proto.IMessage {
  let current = message;
  for (let depth = 0; depth < 5; depth++) {
    const inner =
      current.deviceSentMessage?.message ??
      current.ephemeralMessage?.message ??
      current.viewOnceMessage?.message ??
      current.viewOnceMessageV2?.message ??
      current.documentWithCaptionMessage?.message ??
      current.editedMessage?.message;
    if (!inner) break;
    current = inner;
  }
  return current;
}

/** A message's type and text, in the words of the control interface. */
export function describe(message: proto.IMessage): Described {
  const inner = unwrap(message);
  const plain = (type: string, text?: string | null): Described => ({ type, text: text ?? '', media: undefined });
  if (inner.conversation) return plain('text', inner.conversation);
  if (inner.extendedTextMessage) return plain('text', inner.extendedTextMessage.text);
  const media = describeMedia(inner);
  if (media) return media;
  if (inner.locationMessage)
    return plain('location', `${inner.locationMessage.degreesLatitude},${inner.locationMessage.degreesLongitude}`);
  if (inner.liveLocationMessage) return plain('live_location', inner.liveLocationMessage.caption);
  if (inner.contactMessage) return plain('contact', inner.contactMessage.displayName);
  if (inner.contactsArrayMessage) return plain('contacts', inner.contactsArrayMessage.displayName);
  if (inner.reactionMessage) return plain('reaction', inner.reactionMessage.text);
  const poll = inner.pollCreationMessage ?? inner.pollCreationMessageV2 ?? inner.pollCreationMessageV3;
  if (poll) return plain('poll', poll.name);
  if (inner.pollUpdateMessage) return plain('poll_vote');
  if (inner.pinInChatMessage) return plain('pin', inner.pinInChatMessage.key?.id);
  if (inner.eventMessage) return plain('event', inner.eventMessage.name);
  if (inner.protocolMessage) return describeProtocol(inner.protocolMessage);
  if (inner.buttonsMessage) return plain('interactive', inner.buttonsMessage.contentText);
  if (inner.listMessage) return plain('interactive', inner.listMessage.description);
  if (inner.interactiveMessage) return plain('interactive', inner.interactiveMessage.body?.text);
  if (inner.templateMessage) return plain('template');
  const [field] = Object.keys(inner).filter(
    (key) => key !== 'messageContextInfo' && key !== 'senderKeyDistributionMessage',
  );
  return plain(field ?? 'empty');
}

function describeProtocol(message: proto.Message.IProtocolMessage): Described {
  const target = message.key?.id ?? '';
  if (message.type === PROTOCOL.REVOKE) return { type: 'revoke', text: target, media: undefined };
  if (message.type === PROTOCOL.MESSAGE_EDIT) {
    return {
      type: 'edit',
      text: message.editedMessage ? describe(message.editedMessage).text : target,
      media: undefined,
    };
  }
  return { type: 'protocol', text: PROTOCOL[message.type ?? 0] ?? '', media: undefined };
}

interface MediaFields {
  directPath?: string | null;
  mediaKey?: Uint8Array | null;
  mimetype?: string | null;
}

function describeMedia(message: proto.IMessage): Described | undefined {
  const of = (type: string, kind: MediaKind, fields: MediaFields, text?: string | null): Described => ({
    type,
    text: text ?? '',
    media: fields.directPath
      ? {
          kind,
          directPath: fields.directPath,
          mediaKey: fields.mediaKey ?? undefined,
          mimeType: fields.mimetype ?? '',
        }
      : undefined,
  });
  const { imageMessage, videoMessage, audioMessage, documentMessage, stickerMessage } = message;
  if (imageMessage) return of('image', 'image', imageMessage, imageMessage.caption);
  if (videoMessage) return of('video', 'video', videoMessage, videoMessage.caption);
  if (audioMessage) return of(audioMessage.ptt ? 'voice' : 'audio', 'audio', audioMessage);
  if (documentMessage)
    return of('document', 'document', documentMessage, documentMessage.caption ?? documentMessage.fileName);
  if (stickerMessage) return of('sticker', 'sticker', stickerMessage);
  return undefined;
}

/** Signal plaintext: the message and one to sixteen bytes of padding that tell their own number. */
export function pad(message: Uint8Array): Buffer {
  const length = 1 + ((randomBytes(1)[0] ?? 0) & 15);
  return Buffer.concat([message, Buffer.alloc(length, length)]);
}

export function unpad(plaintext: Buffer): Buffer {
  const length = plaintext[plaintext.length - 1] ?? 0;
  if (length === 0 || length > plaintext.length) throw new Error('the padding is malformed');
  return plaintext.subarray(0, plaintext.length - length);
}

/** The stanza's `type` attribute, and its enc node's `mediatype`. */
export function stanzaType(message: proto.IMessage): { type: string; mediaType?: string } {
  const { type, media } = describe(message);
  if (type === 'reaction' || type === 'poll') return { type };
  if (type === 'voice') return { type: 'media', mediaType: 'ptt' };
  if (media) return { type: 'media', mediaType: type };
  if (type === 'contact') return { type: 'media', mediaType: 'vcard' };
  if (type === 'location') return { type: 'media', mediaType: 'location' };
  return { type: 'text' };
}

/** `3EB0` and 18 hex digits are a web client's; a phone's ids are 32 hex digits. */
export const phoneMessageId = (): string => `AC${randomBytes(15).toString('hex').toUpperCase()}`;
