/** Groups: read, made, changed, joined. Asked by stanza: Baileys' own calls tell changes that are none, or say too little. */
import { type BinaryNode, getBinaryNodeChild, getBinaryNodeChildren, getBinaryNodeChildString } from 'baileys';
import { ActionError, type Address } from '../../protocol.ts';
import type { Ask, Handler } from './ask.ts';
import { chat, jidOf, type Person, person } from './identity.ts';

const GENERAL = '@g.us';
const ROLES: Readonly<Record<string, string>> = { admin: 'admin', superadmin: 'owner' };
const MAX_PAGE = 500;

type Described = Record<string, unknown>;

const node = (tag: string, attrs: Record<string, string> = {}, content?: BinaryNode['content']): BinaryNode =>
  content === undefined ? { tag, attrs } : { tag, attrs, content };

async function query({ socket }: Ask, type: 'get' | 'set', to: string, content: BinaryNode): Promise<BinaryNode> {
  const answer = await socket.query({ tag: 'iq', attrs: { type, xmlns: 'w:g2', to }, content: [content] });
  if (!answer) throw new ActionError('E_TIMEOUT', '', true);
  return answer;
}

function expected(answer: BinaryNode, tag: string): BinaryNode {
  const found = getBinaryNodeChild(answer, tag);
  if (!found) throw new ActionError('E_ENGINE_ERROR', `WhatsApp's answer has no ${tag}`, true);
  return found;
}

const groupOf = (jid: string | undefined): string | null => chat(jid?.includes('@') ? jid : `${jid}@g.us`).group;

function memberOf({ attrs }: BinaryNode): Person & { role: string } {
  return { ...person(attrs.jid, attrs.phone_number ?? attrs.lid), role: ROLES[attrs.type ?? ''] ?? 'member' };
}

/** `whole`: with its members, which may be a thousand. */
function describe(group: BinaryNode, whole: boolean): Described {
  const { id, subject, creator, creator_pn: creatorPn, creation, size } = group.attrs;
  const members = getBinaryNodeChildren(group, 'participant');
  const has = (tag: string): boolean => getBinaryNodeChild(group, tag) !== undefined;
  return {
    group: groupOf(id),
    subject: subject ?? null,
    description: getBinaryNodeChildString(getBinaryNodeChild(group, 'description') ?? node(''), 'body') ?? null,
    owner: creator ? person(creator, creatorPn) : null,
    created_at: Number(creation ?? 0) * 1000 || null,
    size: Number(size ?? members.length),
    announce: has('announcement'),
    locked: has('locked'),
    approval: has('membership_approval_mode'),
    member_add: getBinaryNodeChildString(group, 'member_add_mode') === 'all_member_add' ? 'all' : 'admins',
    disappearing_s: Number(getBinaryNodeChild(group, 'ephemeral')?.attrs.expiration ?? 0),
    participants: whole ? members.map(memberOf) : [],
  };
}

const participants = ({ content }: Ask): BinaryNode[] =>
  ((content.participants ?? []) as Address[]).map((address) => {
    const jid = jidOf(address);
    if (!jid) throw new ActionError('E_INVALID_RECIPIENT', 'a participant has no pn or lid');
    return node('participant', { jid });
  });

/** One each: taken, or WhatsApp's code. */
function outcomes(parent: BinaryNode | undefined): Described[] {
  return getBinaryNodeChildren(parent, 'participant').map(({ attrs }) => ({
    ...person(attrs.jid, attrs.phone_number),
    ok: attrs.error === undefined || attrs.error === '200',
    reason: attrs.error ?? null,
  }));
}

const getOne: Handler = async (ask) => {
  const answer = await query(ask, 'get', ask.jid(), node('query', { request: 'interactive' }));
  return describe(expected(answer, 'group'), true);
};

/** In the order of their ids, `after` one of them: `{groups, more}`. */
const list: Handler = async (ask) => {
  const wanted = node('participating', {}, [node('participants'), node('description')]);
  const found = getBinaryNodeChildren(expected(await query(ask, 'get', GENERAL, wanted), 'groups'), 'group');
  const after = String(ask.content.after ?? '');
  const limit = Math.min(Number(ask.content.limit ?? MAX_PAGE), MAX_PAGE);
  const rest = found.filter(({ attrs }) => (attrs.id ?? '') > after);
  rest.sort((one, other) => ((one.attrs.id ?? '') < (other.attrs.id ?? '') ? -1 : 1));
  return { groups: rest.slice(0, limit).map((group) => describe(group, false)), more: rest.length > limit };
};

const create: Handler = async (ask) => {
  const { subject } = ask.content;
  const key = ask.socket.generateMessageTag();
  const wanted = node('create', { subject: String(subject ?? ''), key }, participants(ask));
  return describe(expected(await query(ask, 'set', GENERAL, wanted), 'group'), true);
};

const changing =
  (action: 'add' | 'remove' | 'promote' | 'demote'): Handler =>
  async (ask) =>
    outcomes(expected(await query(ask, 'set', ask.jid(), node(action, {}, participants(ask))), action));

const settling =
  (action: 'approve' | 'reject'): Handler =>
  async (ask) => {
    const wanted = node('membership_requests_action', {}, [node(action, {}, participants(ask))]);
    const answer = expected(await query(ask, 'set', ask.jid(), wanted), 'membership_requests_action');
    return outcomes(getBinaryNodeChild(answer, action));
  };

/** How each setting is asked for, in the order in which they are done. */
const SETTINGS: Readonly<Record<string, (value: never, ask: Ask) => BinaryNode | Promise<BinaryNode>>> = {
  subject: (subject: string) => node('subject', {}, Buffer.from(subject)),
  description: async (text: string, ask) => {
    const answer = await query(ask, 'get', ask.jid(), node('query', { request: 'interactive' }));
    const prev = getBinaryNodeChild(expected(answer, 'group'), 'description')?.attrs.id;
    const replaced: Record<string, string> = prev ? { prev } : {};
    return text
      ? node('description', { id: ask.socket.generateMessageTag(), ...replaced }, [node('body', {}, Buffer.from(text))])
      : node('description', { delete: 'true', ...replaced });
  },
  announce: (on: boolean) => node(on ? 'announcement' : 'not_announcement'),
  locked: (on: boolean) => node(on ? 'locked' : 'unlocked'),
  approval: (on: boolean) => node('membership_approval_mode', {}, [node('group_join', { state: on ? 'on' : 'off' })]),
  member_add: (who: string) => node('member_add_mode', {}, Buffer.from(who === 'all' ? 'all_member_add' : 'admin_add')),
  disappearing_s: (s: number) => (s ? node('ephemeral', { expiration: String(s) }) : node('not_ephemeral')),
};

const update: Handler = async (ask) => {
  const done: string[] = [];
  for (const [name, made] of Object.entries(SETTINGS)) {
    const value = ask.content[name];
    if (value === undefined || value === null) continue;
    try {
      await query(ask, 'set', ask.jid(), await made(value as never, ask));
    } catch (error) {
      // Part of it is done: who asked has to know which.
      if (done.length > 0 && error instanceof Error) error.message = `after ${done.join(', ')}: ${error.message}`;
      throw error;
    }
    done.push(name);
  }
  return {};
};

const leave: Handler = async (ask) => {
  await query(ask, 'set', GENERAL, node('leave', {}, [node('group', { id: ask.jid() })]));
};

const invite =
  (type: 'get' | 'set'): Handler =>
  async (ask) => ({ code: expected(await query(ask, type, ask.jid(), node('invite')), 'invite').attrs.code ?? '' });

const invitation = ({ content }: Ask): BinaryNode => node('invite', { code: String(content.code ?? '') });

const inspect: Handler = async (ask) =>
  describe(expected(await query(ask, 'get', GENERAL, invitation(ask)), 'group'), true);

const join: Handler = async (ask) => {
  const answer = await query(ask, 'set', GENERAL, invitation(ask));
  const waits = getBinaryNodeChild(answer, 'membership_approval_request');
  return { group: groupOf((waits ?? expected(answer, 'group')).attrs.jid), pending: waits !== undefined };
};

const requests: Handler = async (ask) => {
  const tag = 'membership_approval_requests';
  const found = expected(await query(ask, 'get', ask.jid(), node(tag)), tag);
  return getBinaryNodeChildren(found, 'membership_approval_request').map(({ attrs }) => ({
    ...person(attrs.jid, attrs.phone_number),
    requested_at: Number(attrs.request_time ?? 0) * 1000 || null,
    method: attrs.request_method ?? null,
  }));
};

export const GROUPS: Readonly<Record<string, Handler>> = {
  'group.get': getOne,
  'group.list': list,
  'group.create': create,
  'group.update': update,
  'group.add': changing('add'),
  'group.remove': changing('remove'),
  'group.promote': changing('promote'),
  'group.demote': changing('demote'),
  'group.leave': leave,
  'group.invite': invite('get'),
  'group.revoke': invite('set'),
  'group.inspect': inspect,
  'group.join': join,
  'group.requests': requests,
  'group.approve': settling('approve'),
  'group.reject': settling('reject'),
};
