/** What whatsapp-web.js has the page do: send, edit, delete, react, read, type. */

import { learnGroups } from './groups.js';
import { ask, say, transmit } from './link.js';
import { createWid, MsgKey } from './models.js';
import { alternates, Chat, chatOf, keep, learn, made, me, show } from './state.js';
import { statusChat } from './statuses.js';

/** A message is on disk before it leaves, and leaves again at the next login until it is acknowledged. */
export function addAndSendMsgToChat(_chat, fields) {
  const { id, from, to, author, ...rest } = fields;
  const plain = {
    ...rest,
    id: { fromMe: true, id: id.id, remote: id.remote._serialized, participant: id.participant?._serialized },
    from: from._serialized,
    to: to._serialized,
    ...(author ? { author: author._serialized } : {}),
  };
  // What only the page itself can use: the bytes are uploaded by now.
  delete plain.mediaBlob;
  delete plain.renderableUrl;
  const model = made(plain);
  const kept = keep(model).then(() => show(model));
  const result = kept.then(() => transmit(model)).then(() => ({ messageSendResult: model.ack === 1 ? 'OK' : 'ERROR' }));
  return [kept, result];
}

/** A message about another one: it has an id of its own, which this gives, and is not shown. */
export async function sendAbout(model, type, body, more = {}) {
  const id = await MsgKey.newId();
  const participant = model.id.participant?._serialized.replace('@c.us', '@s.whatsapp.net');
  const target = { id: model.id.id, fromMe: model.id.fromMe, ...(participant ? { participant } : {}) };
  const outgoing = { id: { id }, to: model.id.remote, outgoing: { type, body, target, ...more } };
  if ((await transmit(outgoing)) < 0) throw new Error('WhatsApp refused it');
  return id;
}

export async function sendMessageEdit(model, body) {
  await sendAbout(model, 'edit', body);
  model.set(model.caption === undefined ? { body } : { caption: body });
  await keep(model);
}

export async function sendRevokeMsgs(_chat, { list }) {
  for (const model of list) {
    await sendAbout(model, 'revoke');
    model.set({ type: 'revoked', body: '' });
    await keep(model);
  }
}

export async function sendReactionToMsg(model, emoji) {
  await sendAbout(model, 'reaction', emoji ?? '');
}

const PIN = 1;

export async function sendPinInChatMsg(model, action, duration) {
  await sendAbout(model, 'pin', undefined, { seconds: action === PIN ? duration : 0 });
  return { messageSendResult: 'OK' };
}

export async function forwardMessages({ chat, msgs }) {
  for (const model of msgs) {
    const { caption, body, type, mimetype, directPath, mediaKey, filehash, encFilehash, size, filename } = model;
    const id = await MsgKey.newId();
    const key = new MsgKey({ from: me.pn, to: chat.id, id, selfDir: 'out' });
    const content = { caption, body, type, mimetype, directPath, mediaKey, filehash, encFilehash, size, filename };
    const fields = {
      ...content,
      id: key,
      from: me.pn,
      to: chat.id,
      ack: 0,
      self: 'out',
      isNewMsg: true,
      isForwarded: true,
    };
    await addAndSendMsgToChat(chat, { ...fields, t: Math.floor(Date.now() / 1000) })[0];
  }
}

export async function sendSeen({ chat }) {
  const ids = chat.msgs.getModelsArray().flatMap(({ id, seen }) => (id.fromMe || seen ? [] : [id.id]));
  for (const model of chat.msgs.getModelsArray()) model.seen = true;
  if (ids.length > 0) say({ type: 'seen', chat: chat.id._serialized, ids });
  chat.set({ unreadCount: 0 });
}

export async function findOrCreateLatestChat(wid) {
  const known = Chat.get(wid);
  if (known) return { chat: known };
  if (wid.isStatus()) return { chat: statusChat };
  if (wid.isGroup()) {
    await learnGroups(await ask({ type: 'groups' }));
    const chat = Chat.get(wid);
    if (!chat) throw new Error('not a member of this group');
    return { chat };
  }
  const found = await queryWidExists(wid);
  if (!found) throw new Error('no account at this number');
  return { chat: chatOf(wid) };
}

export async function queryWidExists(wid) {
  const found = await ask({ type: 'exists', jid: wid._serialized });
  if (!found) return null;
  await learn(createWid(found.pn)._serialized, createWid(found.lid)._serialized);
  return { wid: createWid(found.pn), biz: false };
}

/** The other address of the same person; undefined when it is not known. */
export function alternateOf(wid) {
  const other = alternates.get(wid._serialized);
  return other ? createWid(other) : undefined;
}

export const presence = (state, to) => say({ type: 'presence', state, to: to?._serialized });
