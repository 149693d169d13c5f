/** The socket to the sandbox: linking, login, reconnecting, questions; what arrives is taken in turn. */
import { learnChannel } from './channels.js';
import { learnGroups } from './groups.js';
import { message, receipt } from './inbox.js';
import { loadLabels } from './labels.js';
import { stateChanged } from './marks.js';
import { createWid } from './models.js';
import { past } from './past.js';
import { showBlocked } from './people.js';
import { homeOf } from './places.js';
import { acked, Cmd, Conn, load, Msg, me, notice, Socket } from './state.js';
import { forget, read, write } from './store.js';

const RECONNECT_MS = 500;
const QUERY_MS = 20_000;
/** WhatsApp wants a new connection: a page loads itself anew. */
const RESTART = '515';

export const keys = {
  noise: randomBase64(),
  identity: randomBase64(),
  adv: randomBase64(),
};

let socket;
let device;
let rotation;
let reference = 0;
let ended = false;
/** Whether what is sent reaches the server: it is sent at the login else, in its order. */
let loggedIn = false;
const questions = new Map();
const incomingCalls = new Map();
let taking = Promise.resolve();

/** What whatsapp-web.js listens at: it looks for the map inside. */
export const CallCollection = { on: () => undefined, calls: incomingCalls };

function randomBase64() {
  return btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(32))));
}

export function say(fields) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(fields));
}

export function ask(fields) {
  const ref = ++reference;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('no answer')), QUERY_MS);
    questions.set(ref, (data) => {
      clearTimeout(timer);
      questions.delete(ref);
      resolve(data);
    });
    say({ ...fields, ref });
  });
}

function connect() {
  socket = new WebSocket(SANDBOX.socket);
  socket.onopen = () => (device ? say({ type: 'login', ...device }) : say({ type: 'register', ...keys }));
  socket.onmessage = ({ data }) => {
    const said = JSON.parse(data);
    taking = taking.then(() => take(said)).catch(() => socket.close());
  };
  socket.onclose = () => {
    clearTimeout(rotation);
    loggedIn = false;
    if (ended) return;
    if (device) Socket.set({ state: 'OPENING' });
    else return Socket.set({ state: 'UNPAIRED_IDLE' });
    setTimeout(connect, RECONNECT_MS);
  };
}

function rotate(refs, wait, next) {
  if (refs.length === 0) return Socket.set({ state: 'UNPAIRED_IDLE' });
  Conn.set({ ref: refs[0] });
  Socket.set({ state: 'UNPAIRED' });
  rotation = setTimeout(() => rotate(refs.slice(1), next, next), wait);
}

const takers = {
  refs: ({ refs, first_ms, next_ms }) => rotate(refs, first_ms, next_ms),
  linked: async (said) => {
    clearTimeout(rotation);
    device = said.device;
    await write('device', 'device', device);
    Socket.set({ state: 'PAIRING' });
    socket.close();
  },
  success: async ({ pn, lid, name, business }) => {
    [me.pn, me.lid] = [createWid(pn), createWid(lid)];
    Conn.set({ pushname: name, platform: business ? 'smba' : 'android' });
    await learnGroups(await answerNow({ type: 'groups' }));
    showBlocked(await answerNow({ type: 'blocked' }));
    const channels = await answerNow({ type: 'channel', operation: 'list' });
    for (const channel of channels?.data.xwa2_newsletter_subscribed ?? []) learnChannel(channel);
    if (socket.readyState !== WebSocket.OPEN) return;
    Socket.set({ state: 'CONNECTED' });
    loggedIn = true;
    for (const fields of waiting.values()) say(fields);
    for (const model of Msg.getModelsArray())
      if (model.id.fromMe && model.ack === 0 && !waiting.has(model.id.id) && !homeOf(model)) transmit(model);
  },
  offline_end: () => Socket.set({ hasSynced: true }),
  failure: ({ code }) => (code === 401 ? loggedOut() : code === 403 ? end('TOS_BLOCK') : undefined),
  stream_error: ({ code, reason }) =>
    reason === 'replaced'
      ? end('CONFLICT')
      : code === '401'
        ? loggedOut()
        : code === RESTART
          ? location.reload()
          : undefined,
  message: async (said) => {
    const shown = await message(said);
    say({ type: 'settle', kind: 'message', seq: said.seq, id: said.id, from: said.participant ?? said.from });
    await shown?.();
  },
  past: async (said) => {
    await past(said);
    say({ type: 'settle', kind: 'past', seq: said.seq });
  },
  receipt: async (said) => {
    await receipt(said);
    say({ type: 'settle', kind: 'receipt', seq: said.seq, id: said.id, from: said.from });
  },
  ack: async ({ id, error, t, server_id: serverId }) => {
    const model = Msg.getModelsArray().find((each) => each.id.fromMe && each.id.id === id);
    const ack = error ? -1 : 1;
    sent.get(id)?.({ ack, error, t, serverId });
    sent.delete(id);
    waiting.delete(id);
    if (model && model.ack < 1) await acked(model, ack);
  },
  state: async (said) => {
    await stateChanged(said);
    say({ type: 'settle', kind: 'notification', seq: said.seq });
  },
  answer: ({ ref, data }) => questions.get(ref)?.(data),
  group: async ({ group, by, changes }) => {
    await learnGroups(await answerNow({ type: 'groups' }));
    for (const { change, attrs, participants } of changes) {
      const recipients = participants.filter(Boolean).map((jid) => createWid(jid)._serialized);
      notice(createWid(group), { subtype: change, recipients, author: by, body: attrs.subject ?? '' });
    }
  },
  call: ({ from, what, about, parts }) => {
    if (what !== 'offer') return;
    const peerJid = createWid(from);
    incomingCalls.set(about['call-id'], {
      id: about['call-id'],
      peerJid,
      isVideo: parts.includes('video'),
      isGroup: false,
      outgoing: false,
    });
  },
};

async function take(said) {
  await takers[said.type]?.(said);
}

/** What to call when a message's acknowledgement comes. */
const sent = new Map();
/** What was not acknowledged yet, in its order. */
const waiting = new Map();

/** A message leaves; resolves with its acknowledgement, 1 or -1. */
export const transmit = async (model) => (await send(model)).ack;

/** As `transmit`, with all that the server says of it. `more`: for the server alone. */
export function send(model, more = {}) {
  const content = model.outgoing ?? plainContent(model);
  const acknowledged = new Promise((resolve) => sent.set(model.id.id, resolve));
  const fields = { type: 'message', id: model.id.id, to: model.to._serialized, message: content, ...more };
  waiting.set(model.id.id, fields);
  if (loggedIn) say(fields);
  return acknowledged;
}

function plainContent(model) {
  const plain = model.serialize();
  for (const name of ['messageSecret', 'waveform'])
    if (plain[name]) plain[name] = btoa(String.fromCharCode(...Object.values(plain[name])));
  for (const name of ['id', 'from', 'to', 'author', 'self', 'ack', 'quotedMsg', 'local', 'isNewMsg', 'rowId'])
    delete plain[name];
  const jids = plain.mentionedJidList?.map((wid) =>
    String(wid._serialized ?? wid).replace(/@c\.us$/, '@s.whatsapp.net'),
  );
  const quoted = plain.quotedParticipant?.replace(/@c\.us$/, '@s.whatsapp.net');
  return { ...plain, ...(jids ? { mentionedJidList: jids } : {}), ...(quoted ? { quotedParticipant: quoted } : {}) };
}

/** Asked from inside a taker: its answer must not wait for that taker's turn to end. */
function answerNow(fields) {
  const ref = ++reference;
  return new Promise((resolve) => {
    const listen = ({ data }) => {
      const said = JSON.parse(data);
      if (said.type !== 'answer' || said.ref !== ref) return;
      socket.removeEventListener('message', listen);
      resolve(said.data);
    };
    socket.addEventListener('message', listen);
    socket.addEventListener('close', () => resolve(undefined), { once: true });
    say({ ...fields, ref });
  });
}

/** The page stays, and does nothing more. */
function end(state) {
  ended = true;
  Socket.set({ state });
  socket.close();
}

async function loggedOut() {
  ended = true;
  socket.close();
  Cmd.emit('logout');
  await forget();
  // Not with WhatsApp's `?post_logout=1`: the library answers the bare address alone from its cache.
  location.reload();
}

Socket.logout = async () => {
  say({ type: 'logout' });
};

/** Asks to be linked by a code that the phone's user types. */
export async function linkByCode(number) {
  const letters = '123456789ABCDEFGHJKLMNPQRSTVWXYZ';
  const code = [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => letters[byte % 32]).join('');
  say({ type: 'link_code', number: number.replace(/\D/g, ''), code });
  return code;
}

export async function start() {
  device = await read('device', 'device');
  Socket.set({ state: 'OPENING' });
  if (device) {
    me.pn = createWid(`${device.number}@c.us`);
    await load();
    await loadLabels();
  }
  connect();
}
