/** Groups: read, made, changed, joined. */
import { ActionError, type Address } from '../../protocol.ts';
import type { Ask, Handler } from './ask.ts';
import {
  type Given,
  inGroups,
  type PageGroup,
  type PageMember,
  type PageOutcome,
  type PagePerson,
  type PageRequest,
} from './groups_in_page.ts';
import { chat, person, requireJid } from './identity.ts';
import type { Page } from './library.ts';

const MAX_PAGE = 500;
/** What `lookAt` may take. */
const LOOK_MS = 5_000;
const RATE_LIMITED = 429;

type Described = Record<string, unknown>;

/** What the page gives; null: WhatsApp refused it. Rejects as uncertain when it may have been done all the same. */
async function asked<T>(page: Page, what: string, given: Given): Promise<T | null> {
  const answer = await page.evaluate(inGroups, what, given);
  if ('refused' in answer && answer.refused === RATE_LIMITED) throw new ActionError('E_WHATSAPP_RATE_LIMITED');
  if ('refused' in answer) return null;
  if ('done' in answer) return answer.done as T;
  if (answer.failed === 'offline') throw new ActionError('E_CONNECTION_LOST');
  throw new ActionError('E_ENGINE_ERROR', answer.failed, answer.begun);
}

const who = ({ jid, other }: PagePerson) => person(jid, other);
const memberOf = (member: PageMember) => ({ ...who(member), role: member.role });

function told({ id, owner, created, members, mine: _, ...about }: PageGroup): Described {
  return {
    group: chat(id).group,
    ...about,
    owner: owner ? who(owner) : null,
    created_at: created ? created * 1000 : null,
    participants: members.map(memberOf),
  };
}

const people = ({ content }: Ask): string[] => ((content.participants ?? []) as Address[]).map(requireJid);

/** A group that the account is in. Rejects with E_GROUP_NOT_FOUND. */
async function find(page: Page, group: string): Promise<PageGroup> {
  const found = await asked<PageGroup>(page, 'read', { group });
  if (!found?.mine) throw new ActionError('E_GROUP_NOT_FOUND');
  return found;
}

/** As `find`, for what only admins may, or (`all`) who may besides. Rejects with E_NOT_GROUP_ADMIN, too. */
async function findAsAdmin({ page, to }: Ask, all: (group: PageGroup) => boolean = () => false): Promise<string> {
  const group = await find(page, to());
  if (group.mine === 'member' && !all(group)) throw new ActionError('E_NOT_GROUP_ADMIN');
  return group.id;
}

/** As `asked`, of what WhatsApp may refuse although the account is an admin. */
async function taken<T>(page: Page, what: string, given: Given): Promise<T> {
  const done = await asked<T>(page, what, given);
  if (done === null) throw new ActionError('E_WHATSAPP_REJECTED');
  return done;
}

/** A group as it is now; null when that cannot be read, or not soon. */
export function lookAt(page: Page, group: string): Promise<PageGroup | null> {
  const late = new Promise<null>((resolve) => setTimeout(() => resolve(null), LOOK_MS).unref());
  return Promise.race([asked<PageGroup>(page, 'read', { group }).catch(() => null), late]);
}

const outcomes = (done: PageOutcome[]): Described[] =>
  done.map(({ code, ...one }) => ({
    ...who(one),
    ok: code === 200,
    reason: code === 200 || code === null ? null : String(code),
  }));

const get: Handler = async ({ page, to }) => told(await find(page, to()));

/** In the order of their ids, `after` one of them: `{groups, more}`. */
const list: Handler = async ({ page, content }) => {
  const limit = Math.min(Number(content.limit ?? MAX_PAGE), MAX_PAGE);
  const found = await taken<PageGroup[]>(page, 'list', { after: String(content.after ?? ''), limit });
  return { groups: found.slice(0, limit).map(told), more: found.length > limit };
};

/** Of what was made all is read that can be; else what WhatsApp answered: a failure here would make a second one. */
const create: Handler = async (ask) => {
  const { page, content } = ask;
  const made = await taken<PageGroup>(page, 'create', { text: String(content.subject ?? ''), people: people(ask) });
  return told((await lookAt(page, made.id)) ?? made);
};

const changing =
  (what: 'add' | 'remove' | 'promote' | 'demote'): Handler =>
  async (ask) => {
    const group = await findAsAdmin(ask, ({ member_add: who }) => what === 'add' && who === 'all');
    return outcomes(await taken(ask.page, what, { group, people: people(ask) }));
  };

/** How each setting is asked for, in the order in which they are done. */
const SETTINGS: Readonly<Record<string, (value: never) => Given>> = {
  subject: (text: string) => ({ text }),
  description: (text: string) => ({ text }),
  announce: (on: boolean) => ({ on }),
  locked: (on: boolean) => ({ on }),
  member_add: (who: string) => ({ on: who === 'all' }),
};
/** What anybody may change of a group that is not locked. */
const SHOWN = new Set(['subject', 'description']);
/** What the library has no word for. */
const UNKNOWN: Readonly<Record<string, string>> = {
  approval: 'group_approval',
  disappearing_s: 'group_disappearing',
};

const update: Handler = async (ask) => {
  const { page, content } = ask;
  const wanted = Object.entries(content).filter(([, value]) => value !== undefined && value !== null);
  for (const [name] of wanted) if (UNKNOWN[name]) throw new ActionError('E_UNSUPPORTED_TYPE', UNKNOWN[name]);
  const onlyShown = wanted.every(([name]) => SHOWN.has(name));
  const group = await findAsAdmin(ask, ({ locked }) => onlyShown && !locked);
  const done: string[] = [];
  for (const [name, given] of Object.entries(SETTINGS)) {
    const value = content[name];
    if (value === undefined || value === null) continue;
    try {
      await taken(page, name, { group, ...given(value as never) });
    } catch (error) {
      // Part of it is done: who asked has to know which.
      if (done.length > 0 && error instanceof Error) error.message = `after ${done.join(', ')}: ${error.message}`;
      throw error;
    }
    done.push(name);
  }
  return {};
};

/** The fleet has made a square JPEG of it. Without data: none. */
const picture: Handler = async (ask) => {
  const group = await findAsAdmin(ask, ({ locked }) => !locked);
  const { data: bytes } = ask.content;
  const data = bytes instanceof Uint8Array ? Buffer.from(bytes).toString('base64') : null;
  if (!(await taken(ask.page, 'picture', { group, data }))) throw new ActionError('E_WHATSAPP_REJECTED');
};

const leave: Handler = async ({ page, to }) => {
  const { id: group } = await find(page, to());
  await taken(page, 'leave', { group });
};

const invite =
  (what: 'invite' | 'revoke'): Handler =>
  async (ask) => {
    const found = await taken<string | { code?: string }>(ask.page, what, { group: await findAsAdmin(ask) });
    return { code: typeof found === 'string' ? found : (found.code ?? '') };
  };

/** The group that a link is for. Rejects with E_GROUP_NOT_FOUND. */
async function invited({ page, content }: Ask): Promise<PageGroup> {
  const found = await asked<PageGroup>(page, 'inspect', { code: String(content.code ?? '') });
  if (!found) throw new ActionError('E_GROUP_NOT_FOUND');
  return found;
}

/** Whether an admin has to approve it first the page does not say: then the account is not in it afterwards. */
const join: Handler = async (ask) => {
  const { id: group, mine } = await invited(ask);
  if (mine) throw new ActionError('E_CONFLICT');
  const done = await asked(ask.page, 'join', { code: String(ask.content.code ?? '') });
  const isInside = await joined(ask.page, group);
  if (done === null) throw new ActionError(isInside ? 'E_CONFLICT' : 'E_WHATSAPP_REJECTED');
  return { group: chat(group).group, pending: !isInside };
};

async function joined(page: Page, group: string): Promise<boolean> {
  try {
    return (await asked<PageGroup>(page, 'read', { group }))?.mine != null;
  } catch (error) {
    throw new ActionError('E_ENGINE_ERROR', error instanceof Error ? error.message : '', true);
  }
}

const requests: Handler = async (ask) => {
  const found = await taken<PageRequest[]>(ask.page, 'requests', { group: await findAsAdmin(ask) });
  return found.map(({ t, method, ...one }) => ({
    ...who(one),
    requested_at: t ? t * 1000 : null,
    // WhatsApp's own word of it: `InviteLink` is `invite_link`.
    method: method.replace(/(?<=[a-z])[A-Z]/g, '_$&').toLowerCase() || null,
  }));
};

const settling =
  (on: boolean): Handler =>
  async (ask) => {
    const group = await findAsAdmin(ask);
    return outcomes(await taken(ask.page, 'settle', { group, on, people: people(ask) }));
  };

export const GROUPS: Readonly<Record<string, Handler>> = {
  'group.get': get,
  'group.list': list,
  'group.create': create,
  'group.update': update,
  'group.picture': picture,
  'group.add': changing('add'),
  'group.remove': changing('remove'),
  'group.promote': changing('promote'),
  'group.demote': changing('demote'),
  'group.leave': leave,
  'group.invite': invite('invite'),
  'group.revoke': invite('revoke'),
  'group.inspect': async (ask) => told(await invited(ask)),
  'group.join': join,
  'group.requests': requests,
  'group.approve': settling(true),
  'group.reject': settling(false),
};
