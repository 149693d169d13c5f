import type { Change, Group } from './groups.ts';
import { Refusal } from './refusal.ts';
import type { Sandbox } from './sandbox.ts';
import { bytesOf, child, children, type Node, node, pnJid, seconds } from './wire.ts';

/** The nodes of an answer, or WhatsApp's code of a refusal. */
type Answer = Node[] | number;

interface Query {
  sandbox: Sandbox;
  account: string;
  /** get or set. */
  type: string;
  first: Node;
}
type OfGroup = (query: Query, group: Group) => Answer;

const NOT_THERE = 404;
const FORBIDDEN = 403;
const NOT_ADMIN = 403;

const numbersIn = ({ people }: Sandbox, parent: Node): string[] =>
  children(parent).flatMap(({ attrs }) => people.ofJid(attrs.jid ?? '')?.number ?? []);

/** Answers `w:g2` for an account. */
export function answerGroups(sandbox: Sandbox, account: string, stanza: Node): Answer {
  const [first] = children(stanza);
  if (!first) return NOT_THERE;
  const query = { sandbox, account, type: stanza.attrs.type ?? 'get', first };
  const general = GENERAL[first.tag];
  if (general && stanza.attrs.to === '@g.us') return general(query);
  const group = sandbox.groups.find(stanza.attrs.to ?? '');
  if (!group) return NOT_THERE;
  if (!sandbox.groups.roleOf(group, account)) return FORBIDDEN;
  if (query.type === 'set' && needsAdmin(group, first.tag) && !isAdmin(sandbox, group, account)) return NOT_ADMIN;
  return OF_GROUP[first.tag]?.(query, group) ?? NOT_THERE;
}

function isAdmin({ groups }: Sandbox, group: Group, account: string): boolean {
  return groups.roleOf(group, account) !== 'member';
}

function needsAdmin(group: Group, tag: string): boolean {
  if (tag === 'add') return group.memberAdd === 'admin_add';
  return group.locked || (tag !== 'subject' && tag !== 'description');
}

const GENERAL: Record<string, (query: Query) => Answer> = {
  participating: ({ sandbox: { groups }, account }) => {
    const own = groups.all().filter((group) => groups.roleOf(group, account));
    return [
      node(
        'groups',
        {},
        own.map((group) => groups.metadata(group)),
      ),
    ];
  },
  create: ({ sandbox, account, first }) => {
    const numbers = numbersIn(sandbox, first);
    const { people, groups } = sandbox;
    const addable = numbers.filter((number) => {
      const { registered, addable: may } = people.behaviourOf(people.ensure(number));
      return registered && may;
    });
    try {
      return [groups.metadata(groups.create(account, first.attrs.subject ?? '', addable))];
    } catch (error) {
      if (error instanceof Refusal) return 406;
      throw error;
    }
  },
  leave: ({ sandbox: { groups }, account, first }) => {
    for (const { attrs } of children(first)) {
      const left = groups.find(attrs.id ?? '');
      if (left && groups.roleOf(left, account)) groups.change(left, account, 'remove', [account]);
    }
    return [];
  },
  invite: ({ sandbox: { groups }, account, type, first }) => {
    const group = groups.invitedBy(first.attrs.code ?? '');
    if (!group) return NOT_THERE;
    if (type === 'get') return [groups.metadata(group)];
    if (groups.roleOf(group, account)) return 409;
    const tag = groups.join(group, account) ? 'group' : 'membership_approval_request';
    return [node(tag, { jid: group.id })];
  },
};

const changing: OfGroup = ({ sandbox, account, first }, group) =>
  outcome(sandbox, first.tag, sandbox.groups.change(group, account, first.tag as Change, numbersIn(sandbox, first)));

function outcome({ groups }: Sandbox, tag: string, codes: Map<string, number>): Node[] {
  const each = [...codes].map(([number, code]) => {
    const { tag: name, attrs } = groups.participant({ number, role: 'member' });
    return node(name, { ...attrs, ...(code === 200 ? {} : { error: String(code) }) });
  });
  return [node(tag, {}, each)];
}

const toggled =
  (traits: Partial<Group>): OfGroup =>
  ({ sandbox, account, first }, group) => {
    sandbox.groups.set(group, account, traits, node(first.tag));
    return [];
  };

const OF_GROUP: Record<string, OfGroup> = {
  query: ({ sandbox }, group) => [sandbox.groups.metadata(group)],
  add: changing,
  remove: changing,
  promote: changing,
  demote: changing,
  subject: ({ sandbox, account, first }, group) => {
    sandbox.groups.rename(group, account, bytesOf(first)?.toString() ?? '');
    return [];
  },
  description: ({ sandbox, account, first }, group) => {
    // Whoever changes it says which one it replaces.
    if ((first.attrs.prev ?? null) !== group.descriptionId) return 409;
    const text = bytesOf(child(first, 'body'))?.toString() ?? null;
    const descriptionId = text === null ? null : (first.attrs.id ?? null);
    const body = text === null ? [] : [node('body', {}, Buffer.from(text))];
    sandbox.groups.set(group, account, { description: text, descriptionId }, node('description', {}, body));
    return [];
  },
  announcement: toggled({ announce: true }),
  not_announcement: toggled({ announce: false }),
  locked: toggled({ locked: true }),
  unlocked: toggled({ locked: false }),
  not_ephemeral: toggled({ ephemeral: 0 }),
  ephemeral: ({ sandbox, account, first }, group) => {
    const expiration = first.attrs.expiration ?? '0';
    sandbox.groups.set(group, account, { ephemeral: Number(expiration) }, node('ephemeral', { expiration }));
    return [];
  },
  member_add_mode: ({ sandbox, account, first }, group) => {
    const memberAdd = bytesOf(first)?.toString() === 'all_member_add' ? 'all_member_add' : 'admin_add';
    sandbox.groups.set(group, account, { memberAdd }, node('member_add_mode', {}, Buffer.from(memberAdd)));
    return [];
  },
  membership_approval_mode: ({ sandbox, account, first }, group) => {
    const state = child(first, 'group_join')?.attrs.state ?? 'off';
    const told = node('membership_approval_mode', {}, [node('group_join', { state })]);
    sandbox.groups.set(group, account, { approval: state === 'on' }, told);
    return [];
  },
  invite: ({ sandbox, account, type }, group) => {
    const code = type === 'set' ? sandbox.groups.revoke(group, account) : group.invite;
    return isAdmin(sandbox, group, account) ? [node('invite', { code })] : NOT_ADMIN;
  },
  membership_approval_requests: ({ sandbox: { groups } }, group) => [
    node(
      'membership_approval_requests',
      {},
      group.requests.map(({ number, at }) => {
        const { jid = '' } = groups.participant({ number, role: 'member' }).attrs;
        const attrs = { jid, phone_number: pnJid(number), request_method: 'invite_link', request_time: seconds(at) };
        return node('membership_approval_request', attrs);
      }),
    ),
  ],
  membership_requests_action: ({ sandbox, account, first }, group) => {
    const [action] = children(first);
    if (!action) return NOT_THERE;
    const codes = sandbox.groups.settle(group, account, action.tag === 'approve', numbersIn(sandbox, action));
    return [node(first.tag, {}, outcome(sandbox, action.tag, codes))];
  },
};

/** `POST /api/groups/act`: somebody else does what an account's client would ask for. */
export function actInGroup(sandbox: Sandbox, number: string, group: string, first: Node): { code: number } {
  const isGeneral = first.tag === 'leave' || (first.tag === 'invite' && first.attrs.code !== undefined);
  const to = isGeneral ? '@g.us' : group;
  const answer = answerGroups(sandbox, number, node('iq', { type: 'set', to }, [first]));
  return { code: typeof answer === 'number' ? answer : 200 };
}
