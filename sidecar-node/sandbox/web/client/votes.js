/** Votes in polls: sealed with the poll's secret, each on disk before it is shown in the table of votes. */
import { sendAbout } from './actions.js';
import { MsgKey } from './models.js';
import { alternates, Msg, me } from './state.js';
import { readAll, write } from './store.js';

const HASH_BYTES = 32;
/** Of an encoded `PollVoteMessage`: field 1, and the length of a hash. */
const ENTRY = [0x0a, HASH_BYTES];
const text = new TextEncoder();

/** Where votes pass; whatsapp-web.js puts itself before `bulkUpsert`. */
export const pollVoteTableMode = { bulkUpsert: async () => undefined };

/** The rows of a poll: what is asked for by its index. */
export const votesTable = {
  equals: async (_index, poll) => (await readAll('votes')).filter(({ parentMsgKey }) => parentMsgKey === poll),
};

const bytesOf = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
const base64Of = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)));
const serverJidOf = (wid) => String(wid._serialized ?? wid).replace('@c.us', '@s.whatsapp.net');
/** A sent poll's secret is an array of bytes, one that was read from disk its entries. */
const secretOf = ({ messageSecret: secret }) =>
  typeof secret === 'string' ? bytesOf(secret) : Uint8Array.from(Object.values(secret ?? {}));

async function hmac(key, data) {
  const algorithm = { name: 'HMAC', hash: 'SHA-256' };
  return crypto.subtle.sign('HMAC', await crypto.subtle.importKey('raw', key, algorithm, false, ['sign']), data);
}

const hashOf = async (name) => base64Of(await crypto.subtle.digest('SHA-256', text.encode(name)));

/** The key of one vote, and what its seal is bound to. */
async function keyOf(poll, creator, voter) {
  const about = new Uint8Array([...text.encode(`${poll.id.id}${creator}${voter}Poll Vote`), 1]);
  const root = await hmac(new Uint8Array(HASH_BYTES), secretOf(poll));
  const raw = await hmac(root, about);
  const key = await crypto.subtle.importKey('raw', raw, 'AES-GCM', false, ['encrypt', 'decrypt']);
  return { key, additionalData: text.encode(`${poll.id.id}\0${voter}`) };
}

/** Both addresses of a person, as the server writes them. */
const addresses = (wid) => [wid._serialized, alternates.get(wid._serialized)].filter(Boolean).map(serverJidOf);

async function opened(poll, voter, { payload, iv }) {
  const author = poll.id.fromMe ? [me.pn, me.lid] : [poll.author ?? poll.from];
  for (const creator of author.flatMap(addresses))
    for (const address of addresses(voter)) {
      const { key, additionalData } = await keyOf(poll, creator, address);
      const how = { name: 'AES-GCM', iv: bytesOf(iv), additionalData };
      const plain = await crypto.subtle.decrypt(how, key, bytesOf(payload)).catch(() => undefined);
      if (plain) return entriesOf(new Uint8Array(plain));
    }
  return undefined;
}

/** The hashes of what was chosen. */
function entriesOf(plain) {
  const size = ENTRY.length + HASH_BYTES;
  const places = Array.from({ length: plain.length / size }, (_, at) => at * size + ENTRY.length);
  return places.map((at) => base64Of(plain.slice(at, at + HASH_BYTES)));
}

/** A vote came. Undefined for one that cannot be opened; else shows it, once it may be. */
export async function voted({ said, chat, author }) {
  const { target, senderTimestampMs } = said.message;
  const poll = Msg.getModelsArray().find(({ id, type }) => type === 'poll_creation' && id.id === target.id);
  const voter = author ?? chat;
  const chosen = poll && (await opened(poll, voter, said.message));
  if (!chosen) return undefined;
  const hashes = await Promise.all(poll.pollOptions.map(({ name }) => hashOf(name)));
  const picked = poll.pollOptions.filter((_, at) => chosen.includes(hashes[at])).map(({ localId }) => localId);
  const id = new MsgKey({ fromMe: false, remote: chat, id: said.id, participant: author });
  return await kept({ id, poll, voter, picked, t: said.t, senderTimestampMs });
}

async function kept({ id, poll, voter, picked, t, senderTimestampMs }) {
  const row = { msgKey: id._serialized, parentMsgKey: poll.id._serialized, sender: voter._serialized };
  const selectedOptionLocalIds = Uint8Array.from(picked).buffer;
  await write('votes', row.msgKey, { ...row, selectedOptionLocalIds, senderTimestampMs, t });
  const shown = { id, pollUpdateParentKey: poll.id, from: voter, author: voter, t: t * 1000, senderTimestampMs };
  return () => pollVoteTableMode.bulkUpsert([{ ...shown, selectedOptionLocalIds: picked }]);
}

/** We vote; none takes the vote back. */
export async function sendVote(poll, localIds) {
  const picked = [...localIds];
  const names = poll.pollOptions.filter(({ localId }) => picked.includes(localId)).map(({ name }) => name);
  const hashes = await Promise.all(names.map(hashOf));
  const creator = poll.id.fromMe ? me.pn : (poll.author ?? poll.from);
  const voter = creator.isLid() ? me.lid : me.pn;
  const { key, additionalData } = await keyOf(poll, serverJidOf(creator), serverJidOf(voter));
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const plain = Uint8Array.from(hashes.flatMap((hash) => [...ENTRY, ...bytesOf(hash)]));
  const sealed = await crypto.subtle.encrypt({ name: 'AES-GCM', iv, additionalData }, key, plain);
  const senderTimestampMs = Date.now();
  const vote = { payload: base64Of(sealed), iv: base64Of(iv), senderTimestampMs };
  const id = new MsgKey({
    fromMe: true,
    remote: poll.id.remote,
    id: await sendAbout(poll, 'poll_vote', undefined, vote),
  });
  const t = Math.floor(senderTimestampMs / 1000);
  await (await kept({ id, poll, voter, picked, t, senderTimestampMs }))();
}
