/**
 * How the account itself sees its chats and messages: archived, muted, pinned, unread, starred, deleted for itself. Its
 * devices share this as encrypted state (`syncd`), and nobody else is told.
 */
import {
  type BaileysEventMap,
  type BinaryNode,
  type ChatModification,
  chatModificationToAppPatch,
  getBinaryNodeChild,
  getBinaryNodeChildren,
  jidNormalizedUser,
  processSyncAction,
  type WAPatchCreate,
  type WASocket,
} from 'baileys';
import { ActionError, type Address, type Content } from '../../protocol.ts';
import type { Ask, Handler } from './ask.ts';
import { jidOf } from './identity.ts';

/** The phone sends the key soon after a device was linked. */
const KEY_WAIT_MS = 5_000;
const TRIES = 5;
const FOR_EVER = -1;
const CONFLICT = '409';

/** Makes one change of the state, and tells it as one that another device made would be told. */
export async function changeState(socket: WASocket, patch: WAPatchCreate): Promise<void> {
  await hasKey(socket);
  for (let left = TRIES; ; left--) {
    const refusal = await patched(socket, patch);
    if (refusal === undefined) break;
    if (refusal !== CONFLICT) throw new ActionError('E_WHATSAPP_REJECTED', refusal);
    if (left <= 1) throw new ActionError('E_CONFLICT', 'other devices change the same at once');
  }
  const syncAction = { value: patch.syncAction };
  processSyncAction(
    { syncAction, index: patch.index } as Parameters<typeof processSyncAction>[0],
    socket.ev,
    me(socket),
  );
}

function me(socket: WASocket): NonNullable<WASocket['authState']['creds']['me']> {
  const found = socket.authState.creds.me;
  if (!found) throw new ActionError('E_CONNECTION_LOST');
  return found;
}

/** Resolves once the phone has shared the state's key. */
export async function hasKey({ authState, ev }: WASocket): Promise<void> {
  if (authState.creds.myAppStateKeyId) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const heard = ({ myAppStateKeyId }: { myAppStateKeyId?: string }): void => {
    if (myAppStateKeyId) resolve();
  };
  const timer = setTimeout(resolve, KEY_WAIT_MS);
  ev.on('creds.update', heard);
  await promise;
  clearTimeout(timer);
  ev.off('creds.update', heard);
  if (!authState.creds.myAppStateKeyId)
    throw new ActionError('E_SESSION_NOT_READY', 'the phone has not shared the key of the state yet');
}

/**
 * WhatsApp's refusal, if it refused. Baileys takes every answer for a consent and counts the change as made, so what it
 * knew before is put back: the next try begins with what the other device changed.
 */
async function patched(socket: WASocket, patch: WAPatchCreate): Promise<string | undefined> {
  const name = patch.type;
  const { keys } = socket.authState;
  const known = (await keys.get('app-state-sync-version', [name]))[name];
  let refusal: string | undefined;
  const heard = (answer: BinaryNode): void => {
    refusal ??= refusalIn(answer, name);
  };
  socket.ws.on('CB:iq,,sync', heard);
  try {
    await socket.appPatch(patch);
  } finally {
    socket.ws.off('CB:iq,,sync', heard);
  }
  if (refusal !== undefined) await keys.set({ 'app-state-sync-version': { [name]: known ?? null } });
  return refusal;
}

function refusalIn(answer: BinaryNode, name: string): string | undefined {
  const collections = getBinaryNodeChildren(getBinaryNodeChild(answer, 'sync'), 'collection');
  const ours = collections.find(({ attrs }) => attrs.name === name && attrs.type === 'error');
  return ours && (getBinaryNodeChild(ours, 'error')?.attrs.code ?? 'error');
}

/** The newest message of the chat, as the fleet's record has it: up to where the chat is archived or read. */
interface Newest {
  message_id: string;
  from_self: boolean;
  participant?: Address | null;
  /** Milliseconds. */
  at: number;
}

function messageRange(jid: string, newest: Newest | null | undefined): object {
  const at = Math.floor((newest?.at ?? Date.now()) / 1000);
  if (!newest) return { lastMessageTimestamp: at };
  const participant = newest.from_self ? undefined : jidOf(newest.participant);
  const key = {
    remoteJid: jid,
    id: newest.message_id,
    fromMe: newest.from_self,
    ...(jid.endsWith('@g.us') && participant ? { participant } : {}),
  };
  return { lastMessageTimestamp: at, messages: [{ key, timestamp: at }] };
}

/** `make` gives Baileys' words for the change. */
const changing =
  (make: (content: Content, lastMessages: object) => object): Handler =>
  async (ask) => {
    const jid = ask.jid();
    const range = messageRange(jid, ask.content.newest as Newest | undefined);
    await changeState(ask.socket, chatModificationToAppPatch(make(ask.content, range) as ChatModification, jid));
  };

/** The entry of a message. Baileys leaves out who wrote it, without which a group's is another's. */
function aboutMessage(modification: object, jid: string, content: Content): WAPatchCreate {
  const patch = chatModificationToAppPatch(modification as ChatModification, jid);
  const author = content.from_self === true ? undefined : jidOf(content.participant as Address | undefined);
  const participant = jid.endsWith('@g.us') && author ? jidNormalizedUser(author) : '0';
  return { ...patch, index: [...patch.index.slice(0, -1), participant] };
}

const keyOf = ({ message_id: id, from_self: fromMe }: Content): { id: string; fromMe: boolean } => ({
  id: String(id ?? ''),
  fromMe: fromMe === true,
});

const star: Handler = async (ask) => {
  const modification = { star: { messages: [keyOf(ask.content)], star: ask.content.starred !== false } };
  await changeState(ask.socket, aboutMessage(modification, ask.jid(), ask.content));
};

/** Takes a message away for this account only. */
export async function deleteForMe({ socket, content }: Pick<Ask, 'socket' | 'content'>, jid: string): Promise<void> {
  const timestamp = Math.floor(Number(content.sent_at ?? Date.now()) / 1000);
  const modification = { deleteForMe: { key: { ...keyOf(content), remoteJid: jid }, deleteMedia: true, timestamp } };
  await changeState(socket, aboutMessage(modification, jid, content));
}

/** What an update of the shared state says of a chat. */
export function settingOf({
  archived,
  pinned,
  unreadCount,
  ...rest
}: BaileysEventMap['chats.update'][number]): Record<string, unknown> | undefined {
  if (typeof archived === 'boolean') return { change: 'archive', on: archived };
  if (pinned !== undefined) return { change: 'pin', on: pinned !== null };
  if (typeof unreadCount === 'number') return { change: 'unread', on: unreadCount !== 0 };
  if (!('muteEndTime' in rest)) return undefined;
  const until = rest.muteEndTime === null ? null : Number(rest.muteEndTime);
  return { change: 'mute', on: until !== null, ...(until && until > 0 ? { until } : {}) };
}

export const CHATS: Readonly<Record<string, Handler>> = {
  'chat.archive': changing(({ archived }, lastMessages) => ({ archive: archived !== false, lastMessages })),
  'chat.mute': changing(({ muted, until }) => ({ mute: muted === false ? null : Number(until ?? FOR_EVER) })),
  'chat.pin': changing(({ pinned }) => ({ pin: pinned !== false })),
  'chat.mark': changing(({ unread }, lastMessages) => ({ markRead: unread === false, lastMessages })),
  'message.star': star,
};
