/** What the account's phone tells of the past: when the device is linked, and of a chat for which it is asked. */
import { setTimeout as delay } from 'node:timers/promises';
import {
  type BaileysEventMap,
  downloadAndProcessHistorySyncNotification,
  isLidUser,
  jidDecode,
  proto,
  type WAMessage,
  type WASocket,
} from 'baileys';
import { ActionError, type Settings } from '../../protocol.ts';
import type { Handler } from './ask.ts';
import { BoundedCache } from './caches.ts';
import { chat } from './identity.ts';
import { refusal } from './media.ts';
import { throughProxy } from './socket.ts';

export type Past = BaileysEventMap['messaging-history.set'];
type Notification = proto.Message.IHistorySyncNotification;

const { HistorySyncType } = proto.HistorySync;
const KINDS: Readonly<Record<number, string>> = {
  [HistorySyncType.INITIAL_BOOTSTRAP]: 'initial',
  [HistorySyncType.INITIAL_STATUS_V3]: 'statuses',
  [HistorySyncType.FULL]: 'full',
  [HistorySyncType.RECENT]: 'recent',
  [HistorySyncType.PUSH_NAME]: 'names',
  [HistorySyncType.ON_DEMAND]: 'on_demand',
};
const NO_MORE = proto.Conversation.EndOfHistoryTransferType.COMPLETE_AND_NO_MORE_MESSAGE_REMAIN_ON_PRIMARY;
/** Pauses before a part that could not be read is read again, in milliseconds. */
const PAUSES = [1_000, 4_000];
/** Trying again helps none of these. */
const FINAL = new Set(['E_MEDIA_EXPIRED', 'E_MEDIA_DECRYPT_FAILED', 'E_MEDIA_CORRUPT']);
const MAX_WAIT_MS = 15_000;
const MAX_COUNT = 50;
const RECENT_MS = 60_000;

/** Whether a part is read at all: with the setting everything, without it what was asked for. */
export const wantedHistory =
  (settings: Settings) =>
  ({ syncType }: Notification): boolean =>
    settings.history === true || syncType === HistorySyncType.ON_DEMAND;

/** A message that older ones are asked for by; `at` in milliseconds. */
interface Point {
  message_id: string;
  from_self: boolean;
  at: number;
}

/** What an event `history` tells of one part. */
interface Part extends Record<string, unknown> {
  request_id: string | null;
  messages: number;
  oldest: Point | null;
  more: boolean | null;
  code?: string;
}

export interface HistorySink {
  event(kind: string, data: Record<string, unknown>): void;
  /** Tells a message of the past; false for what is none. */
  past(message: WAMessage): boolean;
  /** The other address of a person, when it is known here. */
  otherJid(jid: string): Promise<string | null>;
  /** Reads a part once more. */
  read(notification: Notification): Promise<Past>;
}

interface Notice {
  id: string;
  at: number;
  notification: Notification;
}

interface Waiter {
  resolve(part: Part): void;
  reject(error: ActionError): void;
}

export class Histories {
  #sink: HistorySink;
  #wanted: (notification: Notification) => boolean;
  /** The part whose stanza is being handled; messages are handled one after the other. */
  #notice: Notice | undefined;
  #waiting = new Map<string, Waiter>();
  /** Answers that came before anybody waited. */
  #early = new BoundedCache(16, RECENT_MS);

  constructor(sink: HistorySink, settings: Settings) {
    this.#sink = sink;
    this.#wanted = wantedHistory(settings);
  }

  /** From `messages.upsert`: true when the message only announces a part of the history. */
  noticed({ key, message, messageTimestamp }: WAMessage): boolean {
    const notification = message?.protocolMessage?.historySyncNotification;
    if (!notification || !key.fromMe) return false;
    const at = Number(messageTimestamp ?? 0) * 1000 || Date.now();
    this.#notice = this.#wanted(notification) ? { id: key.id ?? '', at, notification } : undefined;
    return true;
  }

  /** Tells a part: its messages, oldest first, then how far it goes. */
  async tell(past: Past): Promise<void> {
    const notice = this.#notice;
    const found = byChat(past.messages);
    const known = new Map<string, Promise<string | null>>();
    const other = (jid: string | null | undefined): Promise<string | null> => {
      if (!jid || /@(g\.us|broadcast|newsletter)$/.test(jid)) return Promise.resolve(null);
      const asked = known.get(jid) ?? this.#sink.otherJid(jid).catch(() => null);
      known.set(jid, asked);
      return asked;
    };
    const told: WAMessage[] = [];
    for (const message of found) {
      const addressed = await withOtherJids(message, other);
      if (this.#sink.past(addressed)) told.push(addressed);
    }
    if (notice) this.#part(notice, past, told, await other(past.chats[0]?.id));
    this.#notice = undefined;
  }

  #part({ id, at, notification }: Notice, past: Past, told: WAMessage[], alt: string | null): void {
    const [conversation] = past.chats;
    const asked = past.syncType === HistorySyncType.ON_DEMAND;
    this.#told({
      ...about(id, at, notification),
      progress: past.progress ?? notification.progress ?? null,
      messages: told.length,
      chats: past.chats.length,
      chat: asked && conversation ? chat(conversation.id, alt) : null,
      oldest: asked ? pointOf(told[0]) : null,
      more: asked ? moreOf(conversation) : null,
    });
  }

  /** A stanza's handling ended. A part that it announced and that was not told could not be read: it is read again. */
  async ended(id: string): Promise<void> {
    const notice = this.#notice;
    if (notice?.id !== id) return;
    try {
      await this.tell(await this.#readAgain(notice.notification));
    } catch (error) {
      this.#notice = undefined;
      const part = { messages: 0, chats: 0, chat: null, oldest: null, more: null, code: refusal(error).code };
      this.#told({ ...about(id, notice.at, notice.notification), ...part });
    }
  }

  async #readAgain(notification: Notification): Promise<Past> {
    for (const pause of PAUSES) {
      try {
        return await this.#sink.read(notification);
      } catch (error) {
        if (FINAL.has(refusal(error).code)) throw error;
        await delay(pause);
      }
    }
    return await this.#sink.read(notification);
  }

  #told(part: Part): void {
    this.#sink.event('history', part);
    if (!part.request_id) return;
    const waiter = this.#waiting.get(part.request_id);
    if (!waiter) this.#early.set(part.request_id, part);
    else if (part.code) waiter.reject(new ActionError(part.code));
    else waiter.resolve(part);
  }

  /** What the phone answers to a request. Rejects with E_PHONE_SILENT; its answer is told all the same when it comes. */
  async answer(request: string, waitMs: number): Promise<Part> {
    const early = this.#early.get<Part>(request);
    if (early?.code) throw new ActionError(early.code);
    if (early) return early;
    const { promise, resolve, reject } = Promise.withResolvers<Part>();
    this.#waiting.set(request, { resolve, reject });
    const timer = setTimeout(() => reject(new ActionError('E_PHONE_SILENT', request)), waitMs).unref();
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(request);
    }
  }

  /** The server refused a message: true when it was such a request. */
  refused({ id = '', error = '' }: Record<string, string>): boolean {
    const waiter = this.#waiting.get(id);
    waiter?.reject(new ActionError('E_WHATSAPP_REJECTED', error));
    return waiter !== undefined;
  }
}

const timeOf = ({ messageTimestamp }: WAMessage): number => Number(messageTimestamp ?? 0);

/** Chat by chat, of each the oldest first: so the worker reads of each once what it told of it already. */
function byChat(messages: WAMessage[]): WAMessage[] {
  const chats = Map.groupBy(messages.toReversed(), ({ key }) => key.remoteJid);
  return [...chats.values()].flatMap((of) => of.sort((one, other) => timeOf(one) - timeOf(other)));
}

async function withOtherJids(
  message: WAMessage,
  other: (jid: string | null | undefined) => Promise<string | null>,
): Promise<WAMessage> {
  const participant = message.key.participant || message.participant;
  const [remoteJidAlt, participantAlt] = [await other(message.key.remoteJid), await other(participant)];
  const key = {
    ...message.key,
    ...(remoteJidAlt ? { remoteJidAlt } : {}),
    ...(participant ? { participant } : {}),
    ...(participantAlt ? { participantAlt } : {}),
  };
  return { ...message, key };
}

function about(id: string, at: number, { syncType, chunkOrder, progress, ...rest }: Notification) {
  return {
    id,
    kind: KINDS[syncType ?? -1] ?? 'other',
    part: chunkOrder ?? null,
    progress: progress ?? null,
    request_id: rest.peerDataRequestSessionId || null,
    at,
  };
}

function pointOf(message: WAMessage | undefined): Point | null {
  if (!message) return null;
  return {
    message_id: message.key.id ?? '',
    from_self: message.key.fromMe === true,
    at: timeOf(message) * 1000,
  };
}

/** Null when the phone does not say. */
function moreOf(conversation: Past['chats'][number] | undefined): boolean | null {
  const end = conversation?.endOfHistoryTransferType;
  return end === null || end === undefined ? null : end !== NO_MORE;
}

/** Reads a part of the phone's history, and learns the addresses that it pairs, as Baileys does once. */
export async function readHistory(socket: WASocket, notification: Notification): Promise<Past> {
  const read = await downloadAndProcessHistorySyncNotification(notification, throughProxy(socket) as RequestInit);
  await socket.signalRepository.lidMapping.storeLIDPNMappings(read.lidPnMappings);
  return read as Past;
}

/** A person's LID for the number, or the number for the LID, as far as it is known here: nobody is asked. */
export async function otherJid({ signalRepository, authState }: WASocket, jid: string): Promise<string | null> {
  if (isLidUser(jid)) return signalRepository.lidMapping.getPNForLID(jid);
  const user = jidDecode(jid)?.user ?? '';
  const found = await authState.keys.get('lid-mapping', [user]);
  return found[user] ? `${found[user]}@lid` : null;
}

const fetchOlder: Handler = async (ask) => {
  const { content, socket, histories } = ask;
  const before = (content.before ?? {}) as Partial<Point>;
  const key = { remoteJid: ask.jid(), id: String(before.message_id ?? ''), fromMe: before.from_self === true };
  const count = Math.min(Number(content.count ?? MAX_COUNT), MAX_COUNT);
  const request = await socket.fetchMessageHistory(count, key, Number(before.at ?? Date.now()));
  const part = await histories.answer(request, Math.min(Number(content.wait_ms ?? MAX_WAIT_MS), MAX_WAIT_MS));
  return { request_id: request, messages: part.messages, oldest: part.oldest, more: part.more };
};

export const HISTORY: Readonly<Record<string, Handler>> = { 'history.fetch': fetchOlder };
