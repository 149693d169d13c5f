/** What is posted to whoever follows: statuses, and posts of channels. */
import { createHash } from 'node:crypto';
import { type BinaryNode, normalizeMessageContent, proto, type WAMessage } from 'baileys';
import { ActionError, type Content } from '../../protocol.ts';
import { edited } from './content.ts';
import { type Place, person } from './identity.ts';
import { contentFields, describe } from './messages.ts';

export const STATUS = 'status@broadcast';
const STATUS_KINDS = ['text', 'image', 'video', 'voice', 'delete'];
const CHANNEL_KINDS = ['text', 'image', 'video', 'audio', 'voice', 'document', 'sticker', 'poll', 'edit', 'delete'];
/** What can be posted and taken back, as `contracts/capabilities.py` names it. */
export const POSTS: readonly string[] = [
  ...STATUS_KINDS.map((kind) => `status_post.${kind}`),
  ...CHANNEL_KINDS.map((kind) => `channel_post.${kind}`),
];

const { REVOKE } = proto.Message.ProtocolMessage.Type;
/** A channel's posts are changed and taken back by stanzas of the same id with these `edit`s. */
const TAKEN_BACK = new Set(['7', '8']);
const AS_ADMIN = '8';
const CORRECTED = '3';

/** WhatsApp's own green, where a status asks for none: without any, phones show its text on nothing. */
const BACKGROUND = '#075E54';

/** What a status of words, or a voice, stands on. */
export function backgroundOf({ text }: Content): string {
  const { background } = (text ?? {}) as { background?: unknown };
  return typeof background === 'string' ? background : BACKGROUND;
}

export const isChannel = (jid: string): boolean => jid.endsWith('@newsletter');

/** A post in a channel. `handle` is its file's; `corrects`: it stands from now on for the post of this id. */
export function publication(
  channel: string,
  id: string,
  message: proto.IMessage,
  { handle, corrects = false }: { handle?: string | undefined; corrects?: boolean } = {},
): BinaryNode {
  const { type, mediatype } = shownAs(normalizeMessageContent(message) ?? {});
  const attrs = {
    to: channel,
    id,
    type,
    ...(handle ? { media_id: handle } : {}),
    ...(corrects ? { edit: CORRECTED } : {}),
  };
  const meta = { tag: 'meta', attrs: { polltype: 'creation', contenttype: 'text' } };
  const content = proto.Message.encode(message).finish();
  const plaintext = { tag: 'plaintext', attrs: mediatype ? { mediatype } : {}, content };
  return { tag: 'message', attrs, content: [...(type === 'poll' ? [meta] : []), plaintext] };
}

function shownAs(content: proto.IMessage): { type: string; mediatype?: string } {
  const media = (mediatype: string) => ({ type: 'media', mediatype });
  if (content.imageMessage) return media('image');
  if (content.videoMessage) return media(content.videoMessage.gifPlayback ? 'gif' : 'video');
  if (content.audioMessage) return media(content.audioMessage.ptt ? 'ptt' : 'audio');
  if (content.documentMessage) return media('document');
  if (content.stickerMessage) return media('sticker');
  if (content.pollCreationMessage ?? content.pollCreationMessageV3) return { type: 'poll' };
  return { type: 'text' };
}

/** Another text for a post; nobody knows how WhatsApp wants a file's. */
export function correction(channel: string, id: string, content: Content): BinaryNode {
  const { type = 'text' } = content;
  if (type !== 'text') throw new ActionError('E_UNSUPPORTED_TYPE', String(type).slice(0, 40));
  return publication(channel, id, edited(content), { corrects: true });
}

/** Takes a channel's post back. */
export function withdrawal(channel: string, id: string): BinaryNode {
  const content = [{ tag: 'plaintext', attrs: {}, content: new Uint8Array() }];
  return { tag: 'message', attrs: { to: channel, id, type: 'text', edit: AS_ADMIN }, content };
}

type Told = Record<string, unknown>;

/** Ours, as far as known. */
interface Me {
  id?: string | undefined;
  lid?: string | undefined;
}

/** The event that tells a post or its end, by the message and its stanza's attributes; undefined for what shows nothing. */
export function postOf(message: WAMessage, place: Place, attrs: Record<string, string>, me: Me): Told | undefined {
  const { key } = message;
  const content = normalizeMessageContent(message.message);
  const ours = isOurs(message, attrs, me);
  const head = {
    id: key.id,
    ...place,
    from: ours ? person(me.id, me.lid, message.pushName) : person(key.participant, key.remoteJidAlt, message.pushName),
    from_self: ours,
    sent_at: Number(message.messageTimestamp ?? 0) * 1000 || Date.now(),
    offline: attrs.offline !== undefined,
  };
  if (place.channel && TAKEN_BACK.has(attrs.edit ?? ''))
    return { ...head, id: `${key.id}.deleted`, type: 'deleted', message_id: key.id };
  const revoked = content?.protocolMessage?.type === REVOKE ? content.protocolMessage.key?.id : undefined;
  if (revoked) return { ...head, type: 'deleted', message_id: revoked };
  if (content?.protocolMessage || content?.reactionMessage) return undefined;
  const described = describe(message.message);
  if (!described) return undefined;
  const told = { ...head, ...contentFields(described) };
  if (!place.channel || attrs.edit !== CORRECTED) return told;
  return { ...told, id: `${key.id}.edited.${versionOf(message)}`, message_id: key.id };
}

/** Tells one correction of a post from the next, and not from its own repetition. */
function versionOf({ message, messageTimestamp }: WAMessage): string {
  const content = proto.Message.encode(message ?? {}).finish();
  return createHash('sha256').update(`${messageTimestamp} `).update(content).digest('hex').slice(0, 12);
}

/** Baileys knows us by our number only, and in channels not at all. */
function isOurs({ key }: WAMessage, attrs: Record<string, string>, me: Me): boolean {
  const { lid } = person(me.lid);
  return Boolean(key.fromMe) || attrs.is_sender === 'true' || (lid !== null && person(key.participant).lid === lid);
}
