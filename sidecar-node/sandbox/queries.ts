import { randomBytes } from 'node:crypto';
import { answerChannels } from './channel_queries.ts';
import { type Companion, companionJid } from './companions.ts';
import type { Connection } from './connection.ts';
import { typed, verifySignature } from './curve.ts';
import { answerGroups } from './group_queries.ts';
import { logError } from './log.ts';
import type { Person } from './people.ts';
import type { Sandbox } from './sandbox.ts';
import type { Bundle } from './signal.ts';
import { bundleNodes } from './stanzas.ts';
import { answerUsync } from './usync.ts';
import {
  bigEndian,
  bytesOf,
  child,
  children,
  type Node,
  node,
  parseJid,
  SERVER_JID,
  seconds,
  unsigned,
} from './wire.ts';

type Answer = Node[] | QueryError;
type Query = { sandbox: Sandbox; connection: Connection; companion: Companion; stanza: Node; first: Node | undefined };

/** An iq of type error, by its XMPP name and code. */
class QueryError extends Error {
  readonly code: string;

  constructor(text: string, code: number) {
    super(text);
    this.code = String(code);
  }
}

const DIRTY_PROPS_TTL = '86400';
const MEDIA_CONN_TTL = '300';
const PRIVACY = {
  readreceipts: 'all',
  profile: 'all',
  status: 'all',
  online: 'all',
  last: 'all',
  groupadd: 'all',
  calladd: 'all',
  messages: 'all',
};

/** Queries of linked devices, by `xmlns`, or `xmlns/child` where several share one. */
const QUERIES: Record<string, (query: Query) => Answer> = {
  'w:p': () => [],
  'encrypt/count': ({ sandbox, companion }) => [
    node('count', { value: String(sandbox.companions.preKeyCount(companion)) }),
  ],
  'encrypt/digest': digest,
  'encrypt/key': keyBundles,
  'encrypt/rotate': rotate,
  encrypt: uploadPreKeys,
  passive: ({ connection, first }) => {
    if (first?.tag === 'active') setImmediate(() => connection.startDelivery());
    return [];
  },
  usync: ({ sandbox, companion, first }) => answerUsync(sandbox, companion.number, first),
  abt: () => [
    node('props', { protocol: '1', ab_key: 'sandbox', hash: 'sandbox', refresh: DIRTY_PROPS_TTL, refresh_id: '0' }, []),
  ],
  blocklist: ({ sandbox, companion, first }) => sandbox.profiles.answerBlocklist(companion.number, first),
  'privacy/privacy': () => [
    node(
      'privacy',
      {},
      Object.entries(PRIVACY).map(([name, value]) => node('category', { name, value })),
    ),
  ],
  'privacy/tokens': () => [],
  'w:m': ({ sandbox }) => [
    node(
      'media_conn',
      { auth: randomBytes(24).toString('base64url'), ttl: MEDIA_CONN_TTL, auth_ttl: MEDIA_CONN_TTL, max_buckets: '12' },
      [node('host', { hostname: sandbox.media.host, maxContentLengthBytes: String(2 ** 31) })],
    ),
  ],
  'w:sync:app:state': ({ sandbox, companion, first }) => sandbox.appState.answer(companion, first),
  'urn:xmpp:whatsapp:dirty': () => [],
  'w:profile:picture': ({ sandbox, companion, stanza }) => {
    const answer = sandbox.profiles.answerPicture(companion.number, stanza);
    return typeof answer === 'number' ? new QueryError(`refused-${answer}`, answer) : answer;
  },
  status: ({ sandbox, companion, first }) => {
    if (first?.tag === 'status') sandbox.profiles.setAbout(companion.number, bytesOf(first)?.toString() ?? '');
    return [];
  },
  'md/remove-companion-device': removeCompanion,
  'w:g2': ({ sandbox, companion, stanza }) => {
    const answer = answerGroups(sandbox, companion.number, stanza);
    return typeof answer === 'number' ? new QueryError(`refused-${answer}`, answer) : answer;
  },
  'w:stats': () => [],
  'w:mex': ({ sandbox, companion, first }) => answerChannels(sandbox, companion.number, first) ?? mex(),
  'w:biz': ({ sandbox, first }) => sandbox.profiles.answerBusiness(first),
  disappearing_mode: () => [],
  bot: () => [node('bot', { v: '2' }, [])],
  'urn:xmpp:ping': () => [],
};

/** Answers an iq of type get or set. One that nobody handles gets an empty result and is counted. */
export function answerQuery(sandbox: Sandbox, connection: Connection, stanza: Node): void {
  const xmlns = stanza.attrs.xmlns ?? '';
  const first = children(stanza)[0];
  if (xmlns === 'md' && first?.tag === 'link_code_companion_reg') {
    if (first.attrs.stage === 'companion_finish') sandbox.pairing.companionFinish(connection, stanza, first);
    else sandbox.pairing.companionHello(connection, stanza, first);
    return;
  }
  const respond = (answer: Answer): void => {
    if (answer instanceof QueryError) {
      const error = node('error', { code: answer.code, text: answer.message });
      connection.send(node('iq', { from: SERVER_JID, type: 'error', id: stanza.attrs.id }, [error]));
    } else {
      connection.send(
        node('iq', { from: SERVER_JID, type: 'result', id: stanza.attrs.id }, answer.length > 0 ? answer : undefined),
      );
    }
  };
  const { companion } = connection;
  if (!companion) return respond([]);
  const handler = QUERIES[`${xmlns}/${first?.tag}`] ?? QUERIES[xmlns];
  if (!handler) {
    sandbox.countUnhandled(`iq ${stanza.attrs.type} ${xmlns} ${first?.tag ?? ''}`.trim());
    return respond([]);
  }
  try {
    respond(handler({ sandbox, connection, companion, stanza, first }));
  } catch (error) {
    logError(`query ${xmlns}`, error);
    respond(new QueryError('bad-request', 400));
  }
}

function signedPreKeyOf(identityKey: Buffer, skey: Node | undefined): Companion['signedPreKey'] {
  const id = unsigned(bytesOf(child(skey, 'id')));
  const publicKey = bytesOf(child(skey, 'value'));
  const signature = bytesOf(child(skey, 'signature'));
  if (id === undefined || !publicKey || !signature || !verifySignature(identityKey, typed(publicKey), signature)) {
    throw new Error('the signed prekey is malformed');
  }
  return { id, publicKey: Buffer.from(publicKey), signature: Buffer.from(signature) };
}

function uploadPreKeys({ sandbox, companion, stanza }: Query): Answer {
  const identity = bytesOf(child(stanza, 'identity'));
  if (!identity?.equals(companion.identityKey)) return new QueryError('not-acceptable', 406);
  const skey = signedPreKeyOf(companion.identityKey, child(stanza, 'skey'));
  const keys = children(child(stanza, 'list')).map((key) => {
    const [id, publicKey] = [unsigned(bytesOf(child(key, 'id'))), bytesOf(child(key, 'value'))];
    if (id === undefined || publicKey?.length !== 32) throw new Error('a prekey is malformed');
    return { id, publicKey };
  });
  companion.signedPreKey = skey;
  sandbox.companions.save(companion);
  sandbox.companions.addPreKeys(companion, keys);
  return [];
}

function rotate({ sandbox, companion, first }: Query): Answer {
  companion.signedPreKey = signedPreKeyOf(companion.identityKey, child(first, 'skey'));
  sandbox.companions.save(companion);
  return [];
}

function digest({ sandbox, companion }: Query): Answer {
  if (sandbox.companions.preKeyCount(companion) === 0) return new QueryError('item-not-found', 404);
  return [
    node('digest', {}, [
      node('registration', {}, bigEndian(companion.registrationId, 4)),
      node('type', {}, Buffer.from([5])),
      node('identity', {}, companion.identityKey),
    ]),
  ];
}

/** Key bundles, for phones and for linked devices. Baileys fails the whole send on one error, so unknown devices are left out. */
function keyBundles({ sandbox, first }: Query): Answer {
  const users: Node[] = [];
  for (const { attrs } of children(first)) {
    const jid = attrs.jid ?? '';
    const person = sandbox.people.ofJid(jid);
    const device = parseJid(jid)?.device ?? 0;
    const bundle = person && bundleOf(sandbox, person, device);
    if (bundle) users.push(node('user', { jid, t: seconds() }, bundleNodes(bundle)));
  }
  return [node('list', {}, users)];
}

function bundleOf(sandbox: Sandbox, person: Person, device: number): Bundle | undefined {
  if (device === 0) return sandbox.phoneBundle(person);
  const companion = sandbox.companions.find(person.number, device);
  return companion && sandbox.bundleOf(companion);
}

/** The client logs out: its device is forgotten, and the client closes by itself. */
function removeCompanion({ sandbox, companion, first }: Query): Answer {
  const device = parseJid(first?.attrs.jid ?? companionJid(companion))?.device ?? companion.device;
  const removed = sandbox.companions.find(companion.number, device);
  if (removed) setImmediate(() => sandbox.unlink(removed));
  return [];
}

/** GraphQL queries: an account in good standing. */
function mex(): Answer {
  const data = {
    xwa2_fetch_account_reachout_timelock: { is_active: false },
    xwa2_message_capping_info: { capping_status: 'NONE' },
  };
  return [node('result', {}, Buffer.from(JSON.stringify({ data })))];
}
