/** A part of its phone's history, as a page reads it. */
import { inflateSync } from 'node:zlib';
import { proto } from 'baileys/WAProto/index.js';
import { type PageMessage, toPage } from './translate.ts';

/** A message of the past, and whose it is. */
interface PastMessage {
  id: string;
  fromMe: boolean;
  participant?: string;
  t: number;
  notify?: string;
  message: PageMessage;
}

interface Past {
  chat: string;
  /** The chat's other address, when the phone names it. */
  other?: string;
  /** `Conversation.EndOfHistoryTransferType`. */
  end: number;
  messages: PastMessage[];
}

/** Undefined for another message, an empty object for a part that cannot be read. */
export function pastOf({ protocolMessage }: proto.IMessage): { past?: Past } | undefined {
  const notification = protocolMessage?.historySyncNotification;
  if (!notification) return undefined;
  let chat: proto.IConversation | undefined;
  try {
    const payload = inflateSync(notification.initialHistBootstrapInlinePayload ?? Buffer.alloc(0));
    [chat] = proto.HistorySync.decode(payload).conversations;
  } catch {
    return {};
  }
  if (!chat) return {};
  const other = chat.pnJid ?? chat.lidJid;
  const messages = (chat.messages ?? []).flatMap(({ message }) => (message ? [told(message)] : []));
  return {
    past: { chat: chat.id ?? '', end: chat.endOfHistoryTransferType ?? 0, messages, ...(other ? { other } : {}) },
  };
}

function told({ key, message, messageTimestamp, pushName }: proto.IWebMessageInfo): PastMessage {
  return {
    id: key?.id ?? '',
    fromMe: key?.fromMe === true,
    t: Number(messageTimestamp ?? 0),
    message: toPage(message ?? {}),
    ...(key?.participant ? { participant: key.participant } : {}),
    ...(pushName ? { notify: pushName } : {}),
  };
}
