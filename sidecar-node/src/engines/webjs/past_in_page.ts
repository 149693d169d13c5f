/** What runs inside WhatsApp Web's page for the messages of a chat's past. Each function is sent as its text. */
import type { Model } from './library.ts';

/** A message that older ones are asked for by; `at` in milliseconds. */
export interface Point {
  message_id: string;
  from_self: boolean;
  at: number;
}

/** Messages older than a point, oldest first. `more`: whether there are still older ones, null when nobody says. */
export interface Older {
  messages: Model[];
  more: boolean | null;
}

interface PageMessage {
  id: { id: string; fromMe: boolean; _serialized: string };
  t: number;
  type: string;
}

interface PageChat {
  id: object;
  /** What its phone said of the messages that it holds: `Conversation.EndOfHistoryTransferType`. */
  endOfHistoryTransferType?: number;
  msgs: { getModelsArray(): PageMessage[]; msgLoadState?: { noEarlierMsgs?: boolean } };
}

/** The page's globals. */
interface Window {
  require(name: 'WAWebCollections'): {
    Chat: { get(id: object): PageChat | undefined; find(id: object): Promise<PageChat> };
  };
  require(name: 'WAWebWidFactory'): { createWid(id: string): object };
  require(name: 'WAWebChatLoadMessages'): {
    loadEarlierMsgs(of: { chat: PageChat }): Promise<PageMessage[] | undefined>;
  };
  require(name: 'WAWebSendNonMessageDataRequest'): {
    sendPeerDataOperationRequest(kind: number, about: { chatId: object }): Promise<unknown>;
  };
  WWebJS: { getMessageModel(message: PageMessage): Model };
}

/** The newest `count` messages before a point that the page has, on its disk too. `silent`: types that are none. */
export async function messagesBefore(jid: string, point: Point, count: number, silent: string[]): Promise<Older> {
  const page = globalThis as unknown as Window;
  const { Chat } = page.require('WAWebCollections');
  const wid = page.require('WAWebWidFactory').createWid(jid);
  const chat = Chat.get(wid) ?? (await Chat.find(wid));
  let held: PageMessage[] = [];
  const hold = (messages: PageMessage[]): void => {
    const known = new Set(held.map(({ id }) => id._serialized));
    held = [...messages.filter(({ id }) => !known.has(id._serialized)), ...held];
  };
  const older = (): PageMessage[] => {
    const sorted = [...held].sort((one, other) => one.t - other.t);
    const at = sorted.findIndex(({ id }) => id.id === point.message_id && id.fromMe === point.from_self);
    const before = at < 0 ? sorted.filter(({ t }) => t * 1000 <= point.at) : sorted.slice(0, at);
    return before.filter(({ type }) => !silent.includes(type));
  };
  hold(chat.msgs.getModelsArray());
  const { msgLoadState: state } = chat.msgs;
  // Where its disk had no more, the phone may have told more since.
  if (state?.noEarlierMsgs) state.noEarlierMsgs = false;
  while (older().length <= count) {
    const earlier = await page.require('WAWebChatLoadMessages').loadEarlierMsgs({ chat });
    if (!earlier?.length) break;
    hold(earlier);
  }
  const found = older();
  const end = chat.endOfHistoryTransferType;
  // 1: the phone has no more; 3: it has, and gives them to nobody.
  const onPhone = typeof end === 'number' ? end !== 1 && end !== 3 : null;
  return {
    messages: found.slice(-count).map((message) => page.WWebJS.getMessageModel(message)),
    more: found.length > count || onPhone,
  };
}

/** Has the page ask the account's phone for what is older than all that it has of a chat, as `Client.syncHistory`. */
export async function askForOlder(jid: string): Promise<void> {
  const page = globalThis as unknown as Window;
  const { Chat } = page.require('WAWebCollections');
  const wid = page.require('WAWebWidFactory').createWid(jid);
  const chat = Chat.get(wid) ?? (await Chat.find(wid));
  // 3: HISTORY_SYNC_ON_DEMAND.
  await page.require('WAWebSendNonMessageDataRequest').sendPeerDataOperationRequest(3, { chatId: chat.id });
}
