/** Channels: found, made, followed, left. Asked by stanza: Baileys' own calls break on a channel without a picture. */
import { type BinaryNode, getBinaryNodeChild, QueryIds, type WASocket, XWAPaths } from 'baileys';
import { ActionError } from '../../protocol.ts';
import type { Ask, Handler } from './ask.ts';

/** Of WhatsApp's answers only what is told. */
interface Thread {
  id: string;
  thread_metadata?: {
    name?: { text?: string };
    description?: { text?: string };
    invite?: string;
    creation_time?: string;
    subscribers_count?: string;
    verification?: string;
  };
  viewer_metadata?: { role?: string; mute?: string };
}
interface Answer {
  data?: Record<string, Thread | null> | null;
  errors?: { extensions?: { error_code?: number } }[];
}

const REFUSALS: Readonly<Record<number, string>> = {
  401: 'E_NOT_CHANNEL_ADMIN',
  403: 'E_NOT_CHANNEL_ADMIN',
  404: 'E_CHANNEL_NOT_FOUND',
};

/** Null: WhatsApp knows nothing of it, or has nothing to tell of what it did. */
async function mex(socket: WASocket, queryId: QueryIds, path: XWAPaths, variables: object): Promise<Thread | null> {
  const content = Buffer.from(JSON.stringify({ variables }));
  const query: BinaryNode = { tag: 'query', attrs: { query_id: queryId }, content };
  const iq = { tag: 'iq', attrs: { type: 'get', to: '@s.whatsapp.net', xmlns: 'w:mex' }, content: [query] };
  const result = getBinaryNodeChild(await socket.query(iq), 'result')?.content;
  const { data, errors } = read(result);
  const refusal = errors?.[0] && (errors[0].extensions?.error_code ?? 0);
  if (refusal !== undefined) throw new ActionError(REFUSALS[refusal] ?? 'E_WHATSAPP_REJECTED', String(refusal));
  const thread = data?.[path];
  if (thread === undefined) throw new ActionError('E_ENGINE_ERROR', "WhatsApp's answer has no channel", true);
  return thread;
}

function read(content: BinaryNode['content']): Answer {
  try {
    return JSON.parse(Buffer.from(content as Uint8Array).toString()) as Answer;
  } catch {
    throw new ActionError('E_ENGINE_ERROR', "WhatsApp's answer is no JSON", true);
  }
}

function told(thread: Thread | null): Record<string, unknown> {
  if (!thread) throw new ActionError('E_CHANNEL_NOT_FOUND');
  const { id, thread_metadata: about = {}, viewer_metadata: viewer } = thread;
  return {
    channel: id,
    name: about.name?.text ?? null,
    description: about.description?.text || null,
    invite: about.invite ?? null,
    subscribers: Number(about.subscribers_count ?? 0),
    verified: about.verification === 'VERIFIED',
    created_at: Number(about.creation_time ?? 0) * 1000 || null,
    role: viewer?.role?.toLowerCase() ?? null,
    muted: viewer?.mute === 'ON',
  };
}

/** `channel` is its id, `code` its link's. */
const get: Handler = async ({ socket, content }) => {
  const [type, key] = content.code ? ['INVITE', content.code] : ['JID', content.channel];
  const wanted = { fetch_creation_time: true, fetch_full_image: true, fetch_viewer_metadata: true };
  const variables = { ...wanted, input: { key: String(key), type } };
  return told(await mex(socket, QueryIds.METADATA, XWAPaths.xwa2_newsletter_metadata, variables));
};

const create: Handler = async ({ socket, content }) => {
  const input = { name: String(content.name ?? ''), description: content.description ?? null };
  return told(await mex(socket, QueryIds.CREATE, XWAPaths.xwa2_newsletter_create, { input }));
};

const changing =
  (queryId: QueryIds, path: XWAPaths): Handler =>
  async (ask) => {
    await change(ask, queryId, path);
  };

async function change({ socket, content }: Ask, queryId: QueryIds, path: XWAPaths): Promise<void> {
  await mex(socket, queryId, path, { newsletter_id: String(content.channel) });
}

const mute: Handler = async (ask) => {
  if (ask.content.muted === false) await change(ask, QueryIds.UNMUTE, XWAPaths.xwa2_newsletter_unmute_v2);
  else await change(ask, QueryIds.MUTE, XWAPaths.xwa2_newsletter_mute_v2);
};

export const CHANNELS: Readonly<Record<string, Handler>> = {
  'channel.get': get,
  'channel.create': create,
  'channel.follow': changing(QueryIds.FOLLOW, XWAPaths.xwa2_newsletter_join_v2),
  'channel.unfollow': changing(QueryIds.UNFOLLOW, XWAPaths.xwa2_newsletter_leave_v2),
  'channel.mute': mute,
  'channel.delete': changing(QueryIds.DELETE, XWAPaths.xwa2_newsletter_delete_v2),
};
