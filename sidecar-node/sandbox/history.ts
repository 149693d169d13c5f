import { deflateSync } from 'node:zlib';
import { proto } from 'baileys/WAProto/index.js';
import type { Companion } from './companions.ts';
import { describe, phoneMessageId } from './content.ts';
import { addressesOf, parseNumber } from './people.ts';
import { Refusal } from './refusal.ts';
import type { Sandbox } from './sandbox.ts';
import { lidJid } from './wire.ts';

const { HISTORY_SYNC_NOTIFICATION } = proto.Message.ProtocolMessage.Type;
const { INITIAL_BOOTSTRAP, RECENT, ON_DEMAND } = proto.HistorySync.HistorySyncType;
const {
  COMPLETE_AND_NO_MORE_MESSAGE_REMAIN_ON_PRIMARY: NO_MORE,
  COMPLETE_ON_DEMAND_SYNC_BUT_MORE_MSG_REMAIN_ON_PRIMARY: MORE,
} = proto.Conversation.EndOfHistoryTransferType;
/** Messages of all chats that a device gets when it is linked, and of one part of them. */
const MESSAGES = 500;
const PART = 250;
const MAX_PAST = 10_000;
const DAY_MS = 86_400_000;
/** What changes a message, or passes between devices, is no message of the chat. */
const NO_MESSAGES = "'reaction', 'edit', 'revoke', 'protocol', 'poll_vote', 'pin', 'empty', 'raw', 'device_sent'";

/** A message for an account's device, from its own phone. */
export interface PeerMessage {
  id: string;
  message: proto.IMessage;
}

interface Row {
  seq: number;
  at: number;
  own: number;
  contact: string;
  group: string | null;
  id: string;
  content: Uint8Array;
}

/** Where to go on: what is older than this. */
type Place = Pick<Row, 'at' | 'seq'>;

/** A chat as its phone's user names it: a contact's number, or a group's id. */
type ChatName = { contact: string } | { group: string };

/** What an account's phone holds, newest first; a group's message, which is noted once a member, once. */
function held(sandbox: Sandbox, account: string, limit: number, chat?: ChatName, before?: Place): Row[] {
  const group = "json_extract(detail, '$.group')";
  const parameters: (string | number)[] = [account];
  let where = "account = ? AND kind IN ('message', 'inbound', 'past') AND content IS NOT NULL";
  if (chat) {
    where += 'contact' in chat ? ` AND contact = ? AND ${group} IS NULL` : ` AND ${group} = ?`;
    parameters.push('contact' in chat ? chat.contact : chat.group);
  }
  if (before) {
    where += ' AND (at, seq) < (?, ?)';
    parameters.push(before.at, before.seq);
  }
  return sandbox.store.all<Row>(
    `SELECT min(seq) AS seq, at, kind = 'message' OR coalesce(json_extract(detail, '$.own'), 0) AS own, contact,
       ${group} AS "group", id, content
     FROM journal WHERE ${where} AND type NOT IN (${NO_MESSAGES}) GROUP BY id ORDER BY at DESC, seq DESC LIMIT ?`,
    ...parameters,
    limit,
  );
}

/** One row as the phone tells it, with its chat's id. */
function told(sandbox: Sandbox, row: Row): { chat: string; message: proto.IWebMessageInfo } {
  const phone = sandbox.people.ensure(row.contact);
  const fromMe = row.own === 1;
  const chat = row.group ?? addressesOf(phone, sandbox.people.behaviourOf(phone).addressing).jid;
  const participant = row.group && !fromMe ? { participant: lidJid(phone.lid) } : {};
  return {
    chat,
    message: {
      key: { remoteJid: chat, fromMe, id: row.id, ...participant },
      message: proto.Message.decode(row.content),
      messageTimestamp: Math.floor(row.at / 1000),
      ...(fromMe ? {} : { pushName: phone.name }),
    },
  };
}

function conversations(sandbox: Sandbox, rows: Row[]): proto.IConversation[] {
  const chats = new Map<string, proto.IConversation & { messages: proto.IHistorySyncMsg[] }>();
  for (const row of rows) {
    const { chat, message } = told(sandbox, row);
    const phone = sandbox.people.ensure(row.contact);
    const { other } = addressesOf(phone, chat.endsWith('@lid') ? 'lid' : 'pn');
    const also = row.group ? {} : { name: phone.name, [chat.endsWith('@lid') ? 'pnJid' : 'lidJid']: other };
    const known = chats.get(chat) ?? { id: chat, messages: [], ...also };
    known.messages.push({ message });
    chats.set(chat, known);
  }
  return [...chats.values()];
}

type About = Pick<proto.IHistorySync, 'syncType' | 'chunkOrder' | 'progress'> & { request?: string };

function notification({ request, ...about }: About, chats: proto.IConversation[], broken = false): PeerMessage {
  const history = proto.HistorySync.encode({ ...about, conversations: chats } as proto.IHistorySync).finish();
  const payload = deflateSync(history);
  const historySyncNotification = {
    ...about,
    initialHistBootstrapInlinePayload: broken ? payload.subarray(0, payload.length >> 1) : payload,
    ...(request ? { peerDataRequestSessionId: request } : {}),
  } as proto.Message.IHistorySyncNotification;
  return {
    id: phoneMessageId(),
    message: { protocolMessage: { type: HISTORY_SYNC_NOTIFICATION, historySyncNotification } },
  };
}

/**
 * What an account's phone sends to a device that was just linked: the chats so far, in parts. Only with `--history`,
 * since a client that wants none does not miss it, and one that waits for it waits twenty seconds.
 */
export function historyFor(sandbox: Sandbox, companion: Companion): PeerMessage[] {
  const rows = held(sandbox, companion.number, MESSAGES);
  const parts = Math.max(1, Math.ceil(rows.length / PART));
  return Array.from({ length: parts }, (_, part) => {
    const progress = Math.floor((100 * (part + 1)) / parts);
    const syncType = part === 0 ? INITIAL_BOOTSTRAP : RECENT;
    const some = conversations(sandbox, rows.slice(part * PART, (part + 1) * PART));
    return notification({ syncType, chunkOrder: part + 1, progress }, some);
  });
}

export type OlderAsked = proto.Message.PeerDataOperationRequestMessage.IHistorySyncOnDemandRequest;

/** What a phone answers a device that asks for the messages of a chat before one that it names. */
export function olderFor(sandbox: Sandbox, account: string, asked: OlderAsked, request: string): PeerMessage {
  const { chatJid, oldestMsgId, oldestMsgTimestampMs, onDemandMsgCount } = asked;
  const group = sandbox.groups.find(chatJid ?? '');
  const contact = group ? undefined : sandbox.people.ofJid(chatJid ?? '');
  const chat = group ? { group: group.id } : { contact: contact?.number ?? '' };
  const count = onDemandMsgCount ?? 50;
  const known = sandbox.store.get<Place>(
    'SELECT at, min(seq) AS seq FROM journal WHERE account = ? AND id = ? AND content IS NOT NULL GROUP BY id',
    account,
    oldestMsgId ?? '',
  );
  const rows = held(sandbox, account, count + 1, chat, known ?? { at: Number(oldestMsgTimestampMs ?? 0), seq: 0 });
  const [found] = conversations(sandbox, rows.slice(0, count));
  const end = { endOfHistoryTransferType: rows.length > count ? MORE : NO_MORE };
  const conversation = { ...(found ?? { id: chatJid ?? '', messages: [] }), ...end };
  const broken = sandbox.faults.take('broken_history', account) !== undefined;
  return notification({ syncType: ON_DEMAND, chunkOrder: 1, progress: 100, request }, [conversation], broken);
}

/**
 * `POST /api/phones/<n>/past {contact, text, count?, own?, group?, at?}`: the phone had these texts before any device was
 * linked, one a second from `at` (milliseconds; a day ago). With `count` they are numbered.
 */
export function addPast(sandbox: Sandbox, account: string, body: Record<string, unknown>): { ids: string[] } {
  const { text, count = 1, own = false, group, at = Date.now() - DAY_MS } = body;
  const contact = sandbox.people.ensure(parseNumber(body.contact, 'contact')).number;
  if (typeof text !== 'string' || text === '') throw new Refusal('"text" must be a text.');
  if (typeof count !== 'number' || !Number.isInteger(count) || count < 1 || count > MAX_PAST)
    throw new Refusal(`"count" must be a whole number from 1 to ${MAX_PAST}.`);
  if (typeof at !== 'number' || !Number.isSafeInteger(at)) throw new Refusal('"at" must be milliseconds since 1970.');
  if (group !== undefined && !sandbox.groups.find(String(group))) throw new Refusal('"group" is not known here.', 404);
  const detail = { own: own === true ? 1 : 0, ...(group === undefined ? {} : { group: String(group) }) };
  const ids = Array.from({ length: count }, (_, index) => {
    const message = { conversation: count === 1 ? text : `${text} ${index + 1}` };
    const id = phoneMessageId();
    const content = proto.Message.encode(message).finish();
    const said = { ...describe(message), media: undefined };
    sandbox.journal.append({ kind: 'past', account, contact, id, ...said, content, detail, at: at + 1000 * index });
    return id;
  });
  return { ids };
}
