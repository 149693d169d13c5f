/** Statuses as WhatsApp Web posts them: to the people of the account's chats. */
import { send } from './link.js';
import { createWid, Model, MsgKey } from './models.js';
import { Chat, drop, keep, made, me, recordOf, show } from './state.js';

const STATUS = 'status@broadcast';
/** What the page has instead of a chat. */
export const statusChat = new Model({ id: createWid(STATUS) });

const readers = () =>
  Chat.getModelsArray().flatMap(({ id }) => (['c.us', 'lid'].includes(id.server) ? [id._serialized] : []));

async function post(fields, id) {
  const own = me.pn._serialized;
  const about = { from: own, to: STATUS, author: own, self: 'out', ack: 0, isNewMsg: true };
  const key = { fromMe: true, id, remote: STATUS, participant: own };
  const message = made({ t: Math.floor(Date.now() / 1000), ...fields, ...about, id: key });
  await keep(message);
  show(message);
  const { error } = await send(message, { audience: readers() });
  return error ? { messageSendResult: 'ERROR_NETWORK' } : { messageSendResult: 'OK', msg: message };
}

export async function sendStatusTextMsgAction({ text, color, font }) {
  const body = text.trim();
  if (!body) throw new Error('a status has words');
  return await post({ type: 'chat', body, backgroundColor: color, font }, await MsgKey.newId());
}

export async function sendStatusMediaMsgAction(message, update) {
  await update(message);
  return await post(recordOf(message), message.id.id);
}

/** A file that was uploaded, in its message. */
export async function updateMediaMsg(message, media) {
  message.set(media.toJSON());
}

/** Nobody is told when the server does not take it. */
export async function sendStatusRevokeMsgAction(_statuses, message) {
  const participant = message.id.participant._serialized.replace('@c.us', '@s.whatsapp.net');
  const outgoing = { type: 'revoke', target: { id: message.id.id, fromMe: true, participant } };
  const id = await MsgKey.newId();
  await send({ id: { id }, to: createWid(STATUS), outgoing }, { audience: readers() });
  await drop(message);
}
