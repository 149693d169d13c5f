/** What arrives: on disk first, then acknowledged, then shown. */
import { createWid } from './models.js';
import { homeOf } from './places.js';
import { acked, chatOf, keep, learn, Msg, made, me, show } from './state.js';
import { voted } from './votes.js';

/** Where reactions pass; whatsapp-web.js puts itself before `bulkUpsert`. */
export const reactionTableMode = { bulkUpsert: async () => undefined };

const ACKS = { delivered: 2, read: 3, played: 4 };

export async function message(said) {
  const { id, from, participant, other, own = false, t, notify, message: content } = said;
  const chat = createWid(from);
  const author = participant ? createWid(participant) : undefined;
  if (other) await learn(createWid(participant ?? from)._serialized, createWid(other)._serialized);
  const about = { said, chat, author };
  if (content.type === 'edit') return await edited(about);
  if (content.type === 'revoke') return await revoked(about);
  if (content.type === 'reaction') return reacted(about);
  if (content.type === 'poll_vote') return await voted(about);
  const key = { fromMe: own, id, remote: chat._serialized, ...(author ? { participant: author._serialized } : {}) };
  const { quotedStanzaID } = content;
  const model = made({
    ...content,
    ...(quotedStanzaID ? { quotedMsg: {} } : {}),
    id: key,
    from: chat._serialized,
    to: me.pn._serialized,
    ...(author ? { author: author._serialized } : {}),
    t,
    ack: 1,
    notifyName: notify,
    isNewMsg: true,
    self: 'in',
  });
  if (Msg.get(model.id)) return;
  await keep(model);
  (homeOf(model) ?? chatOf(chat)).unreadCount += 1;
  return () => show(model);
}

/** The message that an edit, a revocation or a reaction is about. It says `fromMe` of its sender's own. */
function targetOf({ said, chat, author }) {
  const { target } = said.message;
  const writer = target.participant ? createWid(target.participant)._serialized : undefined;
  const ours = !target.fromMe && (!writer || writer === me.pn._serialized || writer === me.lid._serialized);
  const participant = (chat.isGroup() || chat.isStatus()) && !ours ? `_${writer ?? author?._serialized}` : '';
  return { key: `${ours}_${chat._serialized}_${target.id}${participant}`, ours };
}

async function edited(about) {
  const model = Msg.get(targetOf(about).key);
  if (!model) return undefined;
  const { said } = about;
  const field = model.caption === undefined ? 'body' : 'caption';
  model.latestEditMsgKey = { id: said.id };
  model.latestEditSenderTimestampMs = said.t * 1000;
  return async () => {
    model.set({ [field]: said.message.body });
    await keep(model);
  };
}

async function revoked(about) {
  const model = Msg.get(targetOf(about).key);
  if (!model) return undefined;
  return async () => {
    model.protocolMessageKey = { id: model.id.id };
    model.revokeTimestamp = about.said.t;
    model.revokeMsgId = about.said.id;
    model.set({ type: 'revoked', body: '' });
    await keep(model);
  };
}

function reacted(about) {
  const { said, chat, author } = about;
  const { key, ours } = targetOf(about);
  const parent = Msg.get(key)?.id ?? { fromMe: ours, id: said.message.target.id, remote: chat, _serialized: key };
  const sender = author ?? chat;
  const reaction = {
    id: { fromMe: false, id: said.id, remote: chat, _serialized: `false_${chat._serialized}_${said.id}` },
    reactionParentKey: parent,
    reactionText: said.message.body ?? '',
    reactionTimestamp: said.t * 1000,
    from: chat,
    author: sender,
    read: false,
    ack: 1,
  };
  return () => reactionTableMode.bulkUpsert([reaction]);
}

export async function receipt({ id, from, status }) {
  const model = Msg.get(`true_${createWid(from)._serialized}_${id}`) ?? byId(id);
  const ack = ACKS[status];
  if (!model || !ack || ack <= model.ack) return;
  await acked(model, ack);
}

const byId = (id) => Msg.getModelsArray().find((model) => model.id.fromMe && model.id.id === id);
