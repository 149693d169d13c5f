/** What is posted to whoever follows: statuses, and posts of channels. */
import { type BinaryNode, normalizeMessageContent, proto, type WAMessage } from 'baileys';
import type { Content } from '../../protocol.ts';
import { type Place, person } from './identity.ts';
import { contentFields, describe } from './messages.ts';

export const STATUS = 'status@broadcast';
const STATUS_KINDS = ['text', 'image', 'video', 'voice', 'delete'];
/** No files: Baileys uploads them as those of chats, whose place channels do not read. */
const CHANNEL_KINDS = ['text', 'delete'];
/** What can be posted and taken back, as `contracts/capabilities.py` names it. */
export const POSTS: readonly string[] = [
  ...STATUS_KINDS.map((kind) => `status_post.${kind}`),
  ...CHANNEL_KINDS.map((kind) => `channel_post.${kind}`),
];

const { REVOKE } = proto.Message.ProtocolMessage.Type;
/** A channel's posts are taken back by a stanza of the same id with this `edit`, by their author or an admin. */
const TAKEN_BACK = new Set(['7', '8']);
const AS_ADMIN = '8';

/** WhatsApp's own green, where a status asks for none: without any, phones show its text on nothing. */
const BACKGROUND = '#075E54';

/** What a status of words, or a voice, stands on. */
export function backgroundOf({ text }: Content): string {
  const { background } = (text ?? {}) as { background?: unknown };
  return typeof background === 'string' ? background : BACKGROUND;
}

export const isChannel = (jid: string): boolean => jid.endsWith('@newsletter');

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
  return described && { ...head, ...contentFields(described) };
}

/** Baileys knows us by our number only, and in channels not at all. */
function isOurs({ key }: WAMessage, attrs: Record<string, string>, me: Me): boolean {
  const { lid } = person(me.lid);
  return Boolean(key.fromMe) || attrs.is_sender === 'true' || (lid !== null && person(key.participant).lid === lid);
}
