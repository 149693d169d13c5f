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
}

interface PageChat {
  t?: number;
  msgs: { getModelsArray(): PageMessage[] };
}

/** The page's globals. */
interface Window {
  require(name: 'WAWebCollections'): {
    Msg: {
      get(id: string): PageMessage | undefined;
      getMessagesById(ids: string[]): Promise<{ messages?: PageMessage[] }>;
    };
    Chat: { get(id: Wid): PageChat | undefined; getModelsArray(): PageChat[] };
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
    getMessageModel(message: PageMessage): Model;
    sendChatstate(state: string, chat: string): Promise<boolean>;
    arrayBufferToBase64Async(bytes: ArrayBuffer): Promise<string>;
  };
  onAppStateHasSyncedEvent(): void;
  pww: { next: string | undefined; files: Map<number, ArrayBuffer>; file: number };
}

/** Has the next message take the id in `pww.next`; false when this page does not let itself be told. */
export function presetIds(): boolean {
  const page = globalThis as unknown as Window;
  if (page.pww) return true;
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
  if (keys.newId !== preset) return false;
  page.pww = { next: undefined, files: new Map(), file: 0 };
  return true;
}

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

/** Messages since a time (seconds), oldest first, the newest `most` of them: what came while nobody listened. */
export async function since(time: number, most: number): Promise<Model[]> {
  const page = globalThis as unknown as Window;
  const found: PageMessage[] = [];
  for (const chat of page.require('WAWebCollections').Chat.getModelsArray()) {
    if ((chat.t ?? 0) < time) continue;
    let messages = chat.msgs.getModelsArray();
    for (let round = 0; round < 20 && messages.length < most; round++) {
      if (messages.some(({ t }) => t < time)) break;
      const earlier = await page.require('WAWebChatLoadMessages').loadEarlierMsgs({ chat });
      if (!earlier?.length) break;
      messages = [...earlier, ...messages];
    }
    found.push(...messages.filter(({ t }) => t >= time));
  }
  found.sort((a, b) => a.t - b.t);
  return found.slice(-most).map((message) => page.WWebJS.getMessageModel(message));
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
