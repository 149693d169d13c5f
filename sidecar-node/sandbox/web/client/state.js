/** The page's models: who is linked, how the socket stands, messages and chats. */
import { muteChat } from './marks.js';
import { Collection, createWid, Emitter, Model, MsgKey } from './models.js';
import { homeOf } from './places.js';
import { erase, readAll, write } from './store.js';

export const Socket = new Model({ state: 'UNLAUNCHED', hasSynced: false });
export const Conn = new Model({ ref: '', platform: 'android', pushname: '' });
export const Cmd = new Emitter();
export const Msg = new Collection();
export const Chat = new Collection();
export const Contact = new Collection();
export const GroupMetadata = new Collection();
export const Mute = new Collection();
export const Blocklist = new Collection();
/** By the one address of a person, the other. */
export const alternates = new Map();
export const me = { pn: undefined, lid: undefined };

Msg.getMessagesById = async (ids) => ({ messages: ids.map((id) => Msg.get(id)).filter(Boolean) });

class ChatMute extends Model {
  mute({ expiration }) {
    return muteChat(this.id, expiration);
  }

  unmute() {
    return muteChat(this.id, 0);
  }
}

/** Of a chat, those that are loaded, the oldest first. */
class Messages extends Collection {
  msgLoadState = { noEarlierMsgs: false };

  getModelsArray() {
    return super.getModelsArray().sort((one, other) => one.t - other.t);
  }
}

class GroupInfo extends Model {
  participants = new Collection();

  constructor(fields) {
    super();
    Object.assign(this, fields);
  }

  serialize() {
    return { ...super.serialize(), participants: this.participants.serialize() };
  }
}

export function chatOf(wid, t = 0) {
  const known = Chat.get(wid);
  if (known) return known;
  const chat = new Model({
    id: wid,
    name: wid.user,
    formattedTitle: wid.user,
    t,
    unreadCount: 0,
    archive: false,
    pin: 0,
    msgs: new Messages(),
  });
  chat.mute = Mute.add(new ChatMute({ id: wid, expiration: 0 }));
  chat.isGroup = wid.isGroup();
  if (wid.isGroup()) {
    chat.groupMetadata = GroupMetadata.get(wid) ?? new GroupInfo({ id: wid, isLidAddressingMode: false });
  }
  return Chat.add(chat);
}

const FILES = ['image', 'video', 'audio', 'ptt', 'document', 'sticker'];

class Message extends Model {
  isEphemeral = false;
  isStatusV3 = false;

  get mediaObject() {
    return FILES.includes(this.type) ? { type: this.type } : undefined;
  }

  get mediaData() {
    return this.mediaObject ? { mediaStage: 'RESOLVED' } : undefined;
  }

  unsafe() {
    return this;
  }

  canReply() {
    return true;
  }

  updateAck(ack) {
    this.set({ ack });
  }

  /** What a channel's server is told of a file, beside its handle. */
  avParams() {
    return {};
  }

  msgContextInfo() {
    const author = this.author ?? this.from;
    return {
      quotedStanzaID: this.id.id,
      quotedParticipant: String(author?._serialized ?? author),
      quotedMsg: { body: this.body },
    };
  }
}

Msg.modelClass = Message;

const onDisk = new Map();

/** Messages of a chat that lie on the disk alone, by their keys. */
export function older({ id }) {
  const found = onDisk.get(id._serialized) ?? new Map();
  onDisk.set(id._serialized, found);
  return found;
}

/** The newest message's place: messages of one second have an order, too. */
let rows = 0;

/** A message's model of its record: keys and addresses are objects again. */
function modelOf(record) {
  const rowId = record.rowId ?? rows + 1;
  rows = Math.max(rows, rowId);
  const { id, from, to, author, ...rest } = record;
  const remote = createWid(id.remote);
  const participant = id.participant ? createWid(id.participant) : undefined;
  const key = new MsgKey({ ...id, remote, participant });
  return new Message({
    ...rest,
    rowId,
    id: key,
    from: createWid(from),
    to: createWid(to),
    ...(author ? { author: createWid(author) } : {}),
  });
}

/** What is kept of a message. */
export function recordOf(message) {
  const text = (value) => (value === undefined ? undefined : String(value._serialized ?? value));
  const plain = message.serialize();
  for (const name of ['isNewMsg', 'mediaBlob', 'renderableUrl']) delete plain[name];
  const { id } = message;
  return {
    ...plain,
    id: { fromMe: id.fromMe, id: id.id, remote: text(id.remote), participant: text(id.participant) },
    from: text(message.from),
    to: text(message.to),
    author: text(message.author),
  };
}

export const keep = (message) => write('messages', message.id._serialized, recordOf(message));

export async function drop(message) {
  await erase('messages', message.id._serialized);
  (homeOf(message) ?? Chat.get(message.id.remote))?.msgs.remove(message);
  Msg.remove(message);
}

/** A message's acknowledgement, on disk before anybody hears of it. */
export async function acked(message, ack) {
  await write('messages', message.id._serialized, { ...recordOf(message), ack });
  message.set({ ack });
}

/** Shows a message: in its chat or place, and to whoever listens. */
export function show(message) {
  const chat = homeOf(message) ?? chatOf(message.id.remote);
  chat.msgs.add(message);
  chat.t = Math.max(chat.t ?? 0, message.t);
  return Msg.add(message);
}

/** A group's change, as an entry of its chat. */
export function notice(chat, { subtype, recipients, author, body }) {
  const key = { fromMe: false, id: `notice-${Date.now()}-${Math.random()}`, remote: chat._serialized };
  const about = { type: 'gp2', subtype, recipients, body, isNewMsg: true, ack: 1, t: Math.floor(Date.now() / 1000) };
  show(made({ ...about, id: key, from: chat._serialized, to: me.pn._serialized, ...(author ? { author } : {}) }));
}

/** How the account sees a chat. */
export async function keepChat(chat) {
  const { id, archive, pin, unreadCount, mute, labels, endOfHistoryTransferType } = chat;
  const marks = { archive, pin, unreadCount, labels, expiration: mute.expiration, endOfHistoryTransferType };
  await write('chats', id._serialized, { id: id._serialized, ...marks });
}

export async function learn(one, other) {
  if (!one || !other || alternates.has(one)) return;
  alternates.set(one, other);
  alternates.set(other, one);
  await write('people', one, [one, other]);
}

/** What an earlier life of the page kept. */
export async function load() {
  for (const [one, other] of await readAll('people')) {
    alternates.set(one, other);
    alternates.set(other, one);
  }
  for (const { id, expiration, ...marks } of await readAll('chats')) {
    const chat = chatOf(createWid(id));
    Object.assign(chat, marks);
    chat.mute.expiration = expiration;
  }
  const records = await readAll('messages');
  for (const record of records.sort((a, b) => a.rowId - b.rowId)) {
    const model = modelOf({ ...record, isNewMsg: false });
    if (model.isPast) older(chatOf(model.id.remote)).set(model.id._serialized, model);
    else show(model);
  }
}

export const made = (fields) => modelOf(fields);
