/**
 * What runs inside WhatsApp Web's page, beside what the library injects there. Each function is sent as its text: it
 * may use nothing but its arguments.
 */
import type { Model } from './library.ts';

interface Wid {
  _serialized: string;
}

interface PageMessage {
  id: { id: string; fromMe: boolean; _serialized: string };
  t: number;
  ack: number;
  star?: boolean;
}

/** `change:…` of a model: as it is now, its new value, the one before. */
interface Changing<T> {
  on(change: string, listener: (model: T, now: unknown, before: unknown) => void): void;
}

/** A change in how the account sees a chat, or a message of one. */
export interface Mark {
  chat: string;
  change: 'archive' | 'mute' | 'pin' | 'unread' | 'star';
  on: boolean;
  /** Of `mute`: milliseconds; absent: for ever. */
  until?: number;
  /** Of `star`. */
  message?: { id: string; fromMe: boolean };
}

interface PageChat {
  id: Wid;
  t?: number;
  archive?: boolean;
  /** Since when, in seconds. */
  pin?: number;
  /** -1 when it was marked. */
  unreadCount?: number;
  msgs: { getModelsArray(): PageMessage[] };
}

/** The page's globals. */
interface Window {
  require(name: 'WAWebCollections'): {
    Msg: Changing<PageMessage & { id: { remote: Wid } }> & {
      get(id: string): PageMessage | undefined;
      getMessagesById(ids: string[]): Promise<{ messages?: PageMessage[] }>;
    };
    Chat: Changing<PageChat> & { get(id: Wid): PageChat | undefined; getModelsArray(): PageChat[] };
    WAWebNewsletterCollection?: {
      getModelsArray(): (PageChat & { newsletterMetadata?: { membershipType?: string } })[];
    };
    /** A model of each person who posted one. */
    Status?: { getModelsArray(): PageChat[] };
    Mute?: Changing<{ id: Wid; expiration: number }>;
    Contact: { find(id: Wid): Promise<unknown> };
    Blocklist: { getModelsArray(): { id: Wid }[] };
  };
  require(name: 'WAWebCmd'): { Cmd: { markChatUnread(chat: PageChat, unread: boolean): Promise<void> } };
  require(name: 'WAWebConnModel'): { Conn: { pushname: string } };
  require(name: 'WAWebContactStatusBridge'): {
    getStatus(of: { token: string; wid: Wid }): Promise<{ status?: string }>;
  };
  require(name: 'WAWebBlockContactUtils'): {
    getContactToBlockOnlyUseIfNoAssociatedChat(contact: unknown, place: string): unknown;
  };
  require(name: 'WAWebBlockContactAction'): {
    blockContact(how: { contact: unknown }): Promise<void>;
    unblockContact(contact: unknown): Promise<void>;
  };
  require(name: 'WAWebMsgKey'): { newId(): Promise<string> };
  require(name: 'WAWebWidFactory'): { createWid(id: string): Wid };
  require(name: 'WAWebSocketModel'): { Socket: { state: string; hasSynced: boolean } };
  require(name: 'WAWebChatLoadMessages'): {
    loadEarlierMsgs(of: { chat: PageChat }): Promise<PageMessage[] | undefined>;
  };
  require(name: 'WAWebDownloadManager'): {
    downloadManager: { downloadAndMaybeDecrypt(file: Record<string, unknown>): Promise<ArrayBuffer> };
  };
  WWebJS: {
    getChat(id: string, how: { getAsModel: false }): Promise<PageChat>;
    getMessageModel(message: PageMessage): Model;
    sendChatstate(state: string, chat: string): Promise<boolean>;
    arrayBufferToBase64Async(bytes: ArrayBuffer): Promise<string>;
  };
  onAppStateHasSyncedEvent(): void;
  pwwMarked(mark: Mark): void;
  pww: { next: string | undefined; files: Map<number, ArrayBuffer>; file: number };
}

/** Has the next message take the id in `pww.next`; false when this page does not let itself be told. */
export function presetIds(): boolean {
  const page = globalThis as unknown as Window;
  page.pww = { next: undefined, files: new Map(), file: 0 };
  const keys = page.require('WAWebMsgKey');
  const made = keys.newId;
  const preset = async (): Promise<string> => {
    const id = page.pww.next;
    page.pww.next = undefined;
    return id ?? (await made.call(keys));
  };
  try {
    keys.newId = preset;
  } catch {
    return false;
  }
  return keys.newId === preset;
}

/** Whether this is the page that `presetIds` was done in, and not one that was loaded since. */
export const isPrepared = (): boolean => (globalThis as unknown as Partial<Window>).pww !== undefined;

/** An empty one: the page chooses. */
export function setNextId(id: string): void {
  (globalThis as unknown as Window).pww.next = id || undefined;
}

/** The page may have synced before the library listened: then nobody would ever hear of it. */
export function hasSynced(): boolean {
  return (globalThis as unknown as Window).require('WAWebSocketModel').Socket.hasSynced;
}

/** '' while the page has not come so far. */
export function socketState(): string {
  const page = globalThis as unknown as Partial<Window>;
  return page.require ? page.require('WAWebSocketModel').Socket.state : '';
}

export function tellSynced(): void {
  (globalThis as unknown as Window).onAppStateHasSyncedEvent();
}

/** A message of a chat by its short id: its key and acknowledgement. */
export async function locate(
  chats: string[],
  id: string,
  keys: string[],
): Promise<{ key: string; ack: number } | null> {
  const page = globalThis as unknown as Window;
  const { Msg, Chat } = page.require('WAWebCollections');
  for (const jid of chats) {
    const chat = Chat.get(page.require('WAWebWidFactory').createWid(jid));
    const found = chat?.msgs.getModelsArray().find((message) => message.id.id === id);
    if (found) return { key: found.id._serialized, ack: found.ack };
  }
  for (const key of keys) {
    const found = Msg.get(key) ?? (await Msg.getMessagesById([key]))?.messages?.[0];
    if (found) return { key: found.id._serialized, ack: found.ack };
  }
  return null;
}

/** Messages since a time (seconds), oldest first: `most` of them behind the first `skip`. Posts are among them. */
export async function messagesSince(time: number, skip: number, most: number): Promise<Model[]> {
  const page = globalThis as unknown as Window;
  const { Chat, WAWebNewsletterCollection: channels, Status: statuses } = page.require('WAWebCollections');
  // A channel that was only looked at is none of the account's.
  const followed = channels
    ?.getModelsArray()
    .filter(({ newsletterMetadata: about }) => about?.membershipType !== 'guest');
  const places = [...(followed ?? []), ...(statuses?.getModelsArray() ?? [])];
  const found = places.flatMap(({ msgs }) => msgs.getModelsArray().filter(({ t }) => t >= time));
  for (const chat of Chat.getModelsArray()) {
    if ((chat.t ?? 0) < time) continue;
    let messages = chat.msgs.getModelsArray();
    // The page holds the newest ones of each chat, and reads older ones from its disk some at a time.
    while (!messages.some(({ t }) => t < time)) {
      const earlier = await page.require('WAWebChatLoadMessages').loadEarlierMsgs({ chat });
      if (!earlier?.length) break;
      messages = [...earlier, ...messages];
    }
    found.push(...messages.filter(({ t }) => t >= time));
  }
  found.sort((a, b) => a.t - b.t);
  return found.slice(skip, skip + most).map((message) => page.WWebJS.getMessageModel(message));
}

/** Of a person's addresses the one under which the page has a chat; the first when it has none. */
export function chatAmong(jids: string[]): string {
  const page = globalThis as unknown as Window;
  const { createWid } = page.require('WAWebWidFactory');
  return jids.find((jid) => page.require('WAWebCollections').Chat.get(createWid(jid))) ?? (jids[0] as string);
}

/** Tells how the account's devices mark chats and messages from now on: the library tells some of it. */
export function watchMarks(): void {
  const page = globalThis as unknown as Window;
  const { Chat, Mute, Msg } = page.require('WAWebCollections');
  const tell = (id: { _serialized: string }, change: Mark['change'], on: boolean, more: Partial<Mark> = {}): void =>
    page.pwwMarked({ chat: id._serialized, change, on, ...more });
  Chat.on('change:archive', ({ id, archive }) => tell(id, 'archive', Boolean(archive)));
  Chat.on('change:pin', ({ id, pin }) => tell(id, 'pin', Boolean(pin)));
  Chat.on('change:unreadCount', ({ id }, now, before) => {
    if (Number(now) < 0 || Number(before) < 0) tell(id, 'unread', Number(now) < 0);
  });
  Mute?.on('change:expiration', ({ id, expiration }) =>
    tell(id, 'mute', expiration !== 0, expiration > 0 ? { until: expiration * 1000 } : {}),
  );
  Msg.on('change:star', ({ id, star }) =>
    tell(id.remote, 'star', Boolean(star), { message: { id: id.id, fromMe: id.fromMe } }),
  );
}

export async function markUnread(jid: string, unread: boolean): Promise<void> {
  const page = globalThis as unknown as Window;
  const chat = await page.WWebJS.getChat(jid, { getAsModel: false });
  await page.require('WAWebCmd').Cmd.markChatUnread(chat, unread);
}

/** A person's about text; null when it is hidden, or there is none. */
export async function aboutOf(jid: string): Promise<string | null> {
  const page = globalThis as unknown as Window;
  const wid = page.require('WAWebWidFactory').createWid(jid);
  const found = await page.require('WAWebContactStatusBridge').getStatus({ token: '', wid });
  return typeof found.status === 'string' && found.status ? found.status : null;
}

/** The name that the account shows to others. */
export const ownName = (): string => (globalThis as unknown as Window).require('WAWebConnModel').Conn.pushname;

/** As the library's `Contact.block`, for whom it wants a contact's whole model. */
export async function setBlocked(jid: string, on: boolean): Promise<void> {
  const page = globalThis as unknown as Window;
  const wid = page.require('WAWebWidFactory').createWid(jid);
  const contact = await page.require('WAWebCollections').Contact.find(wid);
  const { getContactToBlockOnlyUseIfNoAssociatedChat: resolve } = page.require('WAWebBlockContactUtils');
  const resolved = resolve(contact, 'ChatListBlock');
  const { blockContact, unblockContact } = page.require('WAWebBlockContactAction');
  await (on ? blockContact({ contact: resolved }) : unblockContact(resolved));
}

export function blockedJids(): string[] {
  const page = globalThis as unknown as Window;
  return page
    .require('WAWebCollections')
    .Blocklist.getModelsArray()
    .map(({ id }) => id._serialized);
}

export async function chatState(state: string, chat: string): Promise<void> {
  await (globalThis as unknown as Window).WWebJS.sendChatstate(state, chat);
}

/** Downloads and decrypts a file and keeps it in the page; its number and size, or what went wrong. */
export async function fetchFile(
  file: Record<string, unknown>,
): Promise<{ file: number; size: number } | { status: number; error: string }> {
  const page = globalThis as unknown as Window;
  const point = { addAnnotations: () => point, addPoint: () => point };
  try {
    const { downloadManager } = page.require('WAWebDownloadManager');
    const signal = new AbortController().signal;
    const bytes = await downloadManager.downloadAndMaybeDecrypt({ ...file, signal, downloadQpl: point });
    const number = ++page.pww.file;
    page.pww.files.set(number, bytes);
    return { file: number, size: bytes.byteLength };
  } catch (error) {
    const { status = 0, message = '' } = error as { status?: number; message?: string };
    return { status, error: String(message) };
  }
}

/** A part of a fetched file, base64. */
export async function partOf(file: number, offset: number, length: number): Promise<string> {
  const page = globalThis as unknown as Window;
  const bytes = page.pww.files.get(file);
  return bytes ? await page.WWebJS.arrayBufferToBase64Async(bytes.slice(offset, offset + length)) : '';
}

export function dropFile(file: number): void {
  (globalThis as unknown as Window).pww.files.delete(file);
}
