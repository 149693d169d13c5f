/** Messages of the past, as the phone tells them when it is asked: on disk, and shown when somebody scrolls to them. */
import { say } from './link.js';
import { createWid } from './models.js';
import { Chat, chatOf, keep, keepChat, learn, Msg, made, me, older, show } from './state.js';

/** Read from the disk at a time. */
const PAGE = 20;
const HISTORY_SYNC_ON_DEMAND = 3;

const byTime = (one, other) => one.t - other.t;

/** A part of the history came: kept, not shown. One that cannot be read is as if it had not come. */
export async function past({ past: part }) {
  if (!part) return;
  const chat = chatOf(createWid(part.chat));
  if (part.other) await learn(chat.id._serialized, createWid(part.other)._serialized);
  const models = part.messages.map((said) => pastModel(chat, said));
  const unknown = models.filter(({ id }) => !Msg.get(id) && !older(chat).has(id._serialized));
  for (const model of unknown) await keep(model);
  for (const model of unknown) older(chat).set(model.id._serialized, model);
  chat.endOfHistoryTransferType = part.end;
  await keepChat(chat);
}

function pastModel(chat, { id, fromMe, participant, t, notify, message }) {
  const author = participant ? createWid(participant)._serialized : undefined;
  const [ours, theirs] = [me.pn._serialized, chat.id._serialized];
  return made({
    ...message,
    id: { fromMe, id, remote: theirs, ...(author ? { participant: author } : {}) },
    from: fromMe ? ours : theirs,
    to: fromMe ? theirs : ours,
    ...(author ? { author } : {}),
    t,
    ack: 1,
    notifyName: notify,
    isNewMsg: false,
    isPast: true,
  });
}

/** The next ones of a chat from the disk; none once it had none, until somebody says otherwise. */
export async function loadEarlierMsgs({ chat }) {
  // Of a place, all lies open.
  const state = chat.msgs.msgLoadState ?? {};
  if (state.noEarlierMsgs) return undefined;
  const waiting = [...older(chat).values()].sort(byTime);
  const loaded = waiting.slice(-PAGE);
  for (const model of loaded) {
    older(chat).delete(model.id._serialized);
    show(model);
  }
  state.noEarlierMsgs = loaded.length === 0;
  return loaded;
}

/** Asks the phone for what is older than all that is known of a chat. */
export async function sendPeerDataOperationRequest(kind, { chatId }) {
  const chat = Chat.get(chatId);
  if (kind !== HISTORY_SYNC_ON_DEMAND || !chat) throw new Error(`nobody answers ${kind}`);
  const known = [...chat.msgs.getModelsArray(), ...older(chat).values()];
  const [oldest] = known.sort(byTime);
  say({ type: 'older', chat: chat.id._serialized, oldest: oldest?.id.id ?? '', t: oldest?.t ?? Date.now() / 1000 });
}
