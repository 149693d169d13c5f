/** How the account sees its chats and messages, which its devices share: archived, muted, pinned, unread, starred. */
import { labelChanged } from './labels.js';
import { ask } from './link.js';
import { createWid } from './models.js';
import { Chat, Conn, chatOf, drop, keep, keepChat, Msg, Mute } from './state.js';

const FOR_EVER = -1;
export const jidOf = ({ _serialized }) => _serialized.replace('@c.us', '@s.whatsapp.net');
const now = () => Math.floor(Date.now() / 1000);

export const share = (collection, index, action) => ask({ type: 'state', collection, index, action });

/** Up to where the chat is archived or read. */
function messageRange(chat) {
  const newest = chat.msgs.getModelsArray().at(-1);
  if (!newest) return { lastMessageTimestamp: now() };
  const { fromMe, id, remote, participant } = newest.id;
  const key = { remoteJid: jidOf(remote), fromMe, id, ...(participant ? { participant: jidOf(participant) } : {}) };
  return { lastMessageTimestamp: newest.t, messages: [{ key, timestamp: newest.t }] };
}

export async function archiveChat(chat, archived) {
  const archiveChatAction = { archived, messageRange: messageRange(chat) };
  await share('regular_low', ['archive', jidOf(chat.id)], { archiveChatAction });
  await mark(chat, { archive: archived });
}

export async function pinChat(chat, pinned) {
  await share('regular_low', ['pin_v1', jidOf(chat.id)], { pinAction: { pinned } });
  await mark(chat, { pin: pinned ? now() : 0 });
}

export async function markChatUnread(chat, unread) {
  const markChatAsReadAction = { read: !unread, messageRange: messageRange(chat) };
  await share('regular_low', ['markChatAsRead', jidOf(chat.id)], { markChatAsReadAction });
  await mark(chat, { unreadCount: unread ? -1 : 0 });
}

/** `expiration` in seconds; -1: for ever, 0: not muted. */
export async function muteChat(id, expiration) {
  const muted = expiration !== 0;
  const end = expiration > 0 ? { muteEndTimestamp: expiration * 1000 } : muted ? { muteEndTimestamp: FOR_EVER } : {};
  await share('regular_high', ['mute', jidOf(id)], { muteAction: { muted, ...end } });
  await mute(id, expiration);
}

export async function sendStarMsgs(_chat, messages) {
  await starAll(messages, true);
}

export async function sendUnstarMsgs(_chat, messages) {
  await starAll(messages, false);
}

/** Takes messages away for this account alone. */
export async function sendDeleteMsgs(_chat, { list }) {
  for (const message of list) {
    const deleteMessageForMeAction = { deleteMedia: true, messageTimestamp: message.t };
    await share('regular_high', ['deleteMessageForMe', ...placeOf(message)], { deleteMessageForMeAction });
    await drop(message);
  }
}

function placeOf({ id: { remote, id, fromMe, participant } }) {
  const author = remote.isGroup() && !fromMe && participant ? jidOf(participant) : '0';
  return [jidOf(remote), id, fromMe ? '1' : '0', author];
}

async function starAll(messages, starred) {
  for (const message of messages) {
    await share('regular_low', ['star', ...placeOf(message)], { starAction: { starred } });
    message.set({ star: starred });
    await keep(message);
  }
}

async function mark(chat, changes) {
  chat.set(changes);
  await keepChat(chat);
}

async function mute(id, expiration) {
  const chat = chatOf(id);
  Mute.get(id).set({ expiration });
  await keepChat(chat);
}

const MARKS = {
  archive: (chat, { archiveChatAction: { archived = false } }) => mark(chat, { archive: archived }),
  pin_v1: (chat, { pinAction: { pinned = false } }) => mark(chat, { pin: pinned ? now() : 0 }),
  markChatAsRead: (chat, { markChatAsReadAction: { read = false } }) => mark(chat, { unreadCount: read ? 0 : -1 }),
  mute: (chat, { muteAction: { muted = false, muteEndTimestamp } }) => {
    const end = Number(muteEndTimestamp ?? FOR_EVER);
    return mute(chat.id, muted ? (end > 0 ? Math.floor(end / 1000) : FOR_EVER) : 0);
  },
};

/** Another device of the account changed something. */
export async function stateChanged({ index: [what, about, id, fromMe], action, removed }) {
  if (removed) return;
  if (what.startsWith('label_')) return await labelChanged([what, about, id], action);
  if (action.pushNameSetting) Conn.set({ pushname: action.pushNameSetting.name });
  if (what === 'star' || what === 'deleteMessageForMe') {
    const found = Msg.getModelsArray().find(({ id: key }) => key.id === id && key.fromMe === (fromMe === '1'));
    if (!found) return;
    if (what === 'deleteMessageForMe') return await drop(found);
    found.set({ star: action.starAction?.starred === true });
    await keep(found);
  } else if (MARKS[what]) await MARKS[what](Chat.get(createWid(about)) ?? chatOf(createWid(about)), action);
}
