/** Groups as the account makes, changes, joins and leaves them: in a browser, under WhatsApp's rules in the sandbox. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Ask } from '../../src/engines/webjs/ask.ts';
import { GROUPS } from '../../src/engines/webjs/groups.ts';
import type { ActionError } from '../../src/protocol.ts';
import { Sandbox } from '../sidecar/sandbox.ts';
import { Worker } from '../sidecar/worker.ts';
import { CHROMIUM, MS, pair } from './browsers.ts';

const skip = CHROMIUM ? false : 'no Chromium is here';
const [ME, ANA, BIA, CAIO] = ['+5511990000071', '+5511966660001', '+5511966660002', '+5511966660003'] as const;
const [LONER, NOBODY] = ['+5511966660009', '+5511966660010'] as const;
const JPEG = Buffer.from(
  '/9j/4AAQSkZJRgABAQEASABIAAD/2wBDAAMCAgICAgMCAgIDAwMDBAYEBAQEBAgGBgUGCQgKCgkICQkKDA8MCgsOCwkJDRENDg8QEBEQCgwSExIQEw8QEBD/wAALCAABAAEBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAACf/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AVN//2Q==',
  'base64',
);
let sandbox: Sandbox;
let worker: Worker;
let profiles: string;

before(async () => {
  if (skip) return;
  sandbox = await Sandbox.start();
  profiles = mkdtempSync(join(tmpdir(), 'webjs-test-'));
  worker = new Worker();
  await worker.hello({ ...sandbox.config, engines: ['webjs'], profiles, chromium: CHROMIUM });
  await sandbox.post('/api/contacts', { number: LONER, behaviour: { addable: false } });
  await sandbox.post('/api/contacts', { number: NOBODY, behaviour: { registered: false } });
  await pair(sandbox, worker, 't/a', ME);
});
after(() => {
  worker?.kill();
  sandbox?.stop();
  if (profiles) rmSync(profiles, { recursive: true, force: true, maxRetries: 5 });
});

type Data = Record<string, unknown>;
type Member = { pn: string; lid: string | null; role: string };
type Told = { group: string; participants: Member[] } & Data;
type Outcome = { pn: string; ok: boolean; reason: string | null };

async function ask<T = Data>(verb: string, content: Data = {}, group?: string): Promise<T> {
  const to = group ? { to: { group } } : {};
  const { ok, data, code, detail } = await worker.act('t/a', 2, `group.${verb}`, { ...to, content });
  assert.equal(ok, true, `${verb}: ${code} ${detail}`);
  return data as T;
}

async function refused(verb: string, content: Data = {}, group?: string): Promise<[unknown, unknown]> {
  const to = group ? { to: { group } } : {};
  const { ok, code, uncertain } = await worker.act('t/a', 2, `group.${verb}`, { ...to, content });
  assert.equal(ok, false, verb);
  return [code, uncertain];
}

const some = (...numbers: string[]): Data => ({ participants: numbers.map((pn) => ({ pn })) });
const roles = ({ participants }: Told) => Object.fromEntries(participants.map(({ pn, role }) => [pn, role]));
const reasons = (done: Outcome[]) => Object.fromEntries(done.map(({ pn, ok, reason }) => [pn, ok || reason]));
const changes = (group: string, change: string): Data[] =>
  worker.frames
    .filter(({ type, kind }) => type === 'event' && kind === 'group')
    .map(({ data }) => data as Data)
    .filter((data) => data.group === group && data.change === change);

/** An event of this change; by then those before it were told, too. */
async function told(group: string, change: string, match: (data: Data) => boolean = () => true): Promise<Data> {
  const found = (data: Data) => data.group === group && data.change === change && match(data);
  return (await worker.event('group', found, 0, MS)).data as Data;
}

async function theirs(...participants: string[]): Promise<{ id: string; group: string; invite: string }> {
  const { id, invite } = await sandbox.post('/api/groups', { owner: ANA, subject: 'Delas', participants });
  return { id: String(id), group: String(id).split('@')[0] as string, invite: String(invite) };
}

const does = async (group: string, act: string, more: Data = {}, by: string = ANA): Promise<void> => {
  assert.deepEqual(await sandbox.post('/api/groups/act', { by, group: `${group}@g.us`, act, ...more }), { code: 200 });
};

test('one is made, its members are changed, and it is left', { skip }, async () => {
  const made = await ask<Told>('create', { subject: 'Obra', ...some(ANA, BIA, LONER, NOBODY) });
  const { group } = made;
  assert.deepEqual(roles(made), { [ME]: 'owner', [ANA]: 'member', [BIA]: 'member' });
  assert.ok(made.participants.every(({ lid }) => /^\d+$/.test(lid ?? '')));
  assert.deepEqual([made.subject, made.size, (made.owner as Data).pn], ['Obra', 3, ME]);
  const added = await ask<Outcome[]>('add', some(CAIO, LONER, ANA, NOBODY), group);
  assert.deepEqual(reasons(added), { [CAIO]: true, [LONER]: '403', [ANA]: '409', [NOBODY]: '404' });
  assert.deepEqual(reasons(await ask('promote', some(ANA, BIA, LONER), group)), {
    [ANA]: true,
    [BIA]: true,
    [LONER]: '404',
  });
  assert.deepEqual(reasons(await ask('demote', some(BIA), group)), { [BIA]: true });
  assert.deepEqual(reasons(await ask('remove', some(CAIO), group)), { [CAIO]: true });
  const now = await ask<Told>('get', {}, group);
  assert.deepEqual(roles(now), { [ME]: 'owner', [ANA]: 'admin', [BIA]: 'member' });
  await told(group, 'remove');
  // One's own changes are told as others' are, each once.
  for (const change of ['create', 'add', 'promote', 'demote', 'remove']) {
    const [event, ...more] = changes(group, change);
    assert.deepEqual([(event?.by as Data).pn, more.length], [ME, 0], change);
  }
  const [{ participants } = {}] = changes(group, 'promote');
  assert.deepEqual((participants as Member[]).map(({ pn }) => pn).toSorted(), [ANA, BIA]);

  const other = (await ask<Told>('create', { subject: 'Outra' })).group;
  const [first, second] = [group, other].toSorted() as [string, string];
  const page = await ask<{ groups: Told[]; more: boolean }>('list', { limit: 1 });
  assert.deepEqual([page.groups.map((one) => one.group), page.more], [[first], true]);
  const rest = await ask<{ groups: Told[]; more: boolean }>('list', { after: first, limit: 5 });
  assert.deepEqual([rest.groups.map((one) => one.group), rest.more], [[second], false]);
  assert.ok([...page.groups, ...rest.groups].every(({ size, participants: members }) => size && !members.length));
  await ask('leave', {}, other);
  for (const verb of ['get', 'leave', 'invite', 'requests'])
    assert.deepEqual(await refused(verb, {}, other), ['E_GROUP_NOT_FOUND', false], verb);
  assert.deepEqual(await refused('get', {}, '120363000000000000'), ['E_GROUP_NOT_FOUND', false]);
  assert.deepEqual((await ask<{ groups: Told[] }>('list')).groups.length, 1);
});

test('what it shows and who may do what in it', { skip }, async () => {
  const { group } = await ask<Told>('create', { subject: 'Avisos', ...some(ANA) });
  const settings = { subject: 'Avisos 2', description: 'Só avisos', announce: true, locked: true, member_add: 'all' };
  await ask('update', settings, group);
  const { subject, description, announce, locked, member_add } = await ask<Told>('get', {}, group);
  assert.deepEqual({ subject, description, announce, locked, member_add }, settings);
  assert.equal((await told(group, 'description')).description, 'Só avisos');
  const changed = (data: Data) => (data.settings ?? {}) as Data;
  await told(group, 'settings', (data) => changed(data).announce === true);
  await told(group, 'settings', (data) => changed(data).locked === true);
  await ask('update', { description: '', announce: false }, group);
  const now = await ask<Told>('get', {}, group);
  assert.deepEqual([now.description, now.announce, now.locked], [null, false, true]);
  for (const wrong of [{ approval: true }, { disappearing_s: 86_400 }])
    assert.deepEqual(await refused('update', { subject: 'x', ...wrong }, group), ['E_UNSUPPORTED_TYPE', false]);
  assert.equal((await ask<Told>('get', {}, group)).subject, 'Avisos 2', 'nothing of it was done');
  await ask('picture', { data: JPEG }, group);
  await told(group, 'picture');
  await ask('picture', {}, group);
  assert.equal((await told(group, 'subject')).subject, 'Avisos 2');

  const { group: open } = await theirs(ANA, ME);
  await told(open, 'create');
  await ask('update', { description: 'de todos' }, open);
  assert.deepEqual(await refused('update', { description: 'x', announce: true }, open), ['E_NOT_GROUP_ADMIN', false]);
  for (const verb of ['add', 'remove', 'promote', 'demote', 'approve', 'reject'])
    assert.deepEqual(await refused(verb, some(BIA), open), ['E_NOT_GROUP_ADMIN', false], verb);
  for (const verb of ['invite', 'revoke', 'requests'])
    assert.deepEqual(await refused(verb, {}, open), ['E_NOT_GROUP_ADMIN', false], verb);
  await does(open, 'member_add_mode', { text: 'all_member_add' });
  assert.deepEqual(reasons(await ask('add', some(BIA), open)), { [BIA]: true });
  await does(open, 'locked');
  assert.deepEqual(await refused('update', { subject: 'x' }, open), ['E_NOT_GROUP_ADMIN', false]);
  assert.deepEqual(await refused('picture', { data: JPEG }, open), ['E_NOT_GROUP_ADMIN', false]);
  const { description: shown } = await ask<Told>('get', {}, open);
  assert.equal(shown, 'de todos');
});

test('invitations, and who waits to be let in', { skip }, async () => {
  const { group } = await ask<Told>('create', { subject: 'Portão', ...some(ANA) });
  await ask('promote', some(ANA), group);
  await does(group, 'membership_approval_mode', { approval: true });
  const { code: old } = await ask('invite', {}, group);
  const { code } = await ask('revoke', {}, group);
  assert.notEqual(code, old);
  assert.equal((await ask('invite', {}, group)).code, code);
  for (const who of [BIA, CAIO]) {
    await does(group, 'invite', { code }, who);
    const { state, participants } = await told(group, 'join_request', ({ by }) => (by as Data).pn === who);
    assert.deepEqual([state, (participants as Member[])[0]?.pn], ['created', who]);
  }
  const waiting = await ask<Data[]>('requests', {}, group);
  assert.deepEqual(waiting.map(({ pn }) => pn).toSorted(), [BIA, CAIO]);
  assert.ok(waiting.every(({ method, requested_at: at }) => method === 'invite_link' && Number(at) > 1e12));
  assert.deepEqual(reasons(await ask('approve', some(BIA), group)), { [BIA]: true });
  assert.deepEqual(reasons(await ask('reject', some(CAIO, ANA), group)), { [CAIO]: true, [ANA]: '404' });
  const inside = await ask<Told>('get', {}, group);
  assert.deepEqual([Object.keys(roles(inside)).toSorted(), inside.approval], [[ANA, BIA, ME].toSorted(), true]);

  const one = await theirs(ANA, BIA);
  const seen = await ask<Told>('inspect', { code: one.invite });
  assert.deepEqual([seen.group, seen.subject, seen.size], [one.group, 'Delas', 2]);
  assert.deepEqual(await ask('join', { code: one.invite }), { group: one.group, pending: false });
  await told(one.group, 'add');
  assert.equal(changes(one.group, 'add').length, 1);
  assert.deepEqual(await refused('join', { code: one.invite }), ['E_CONFLICT', false]);
  for (const verb of ['join', 'inspect'])
    assert.deepEqual(await refused(verb, { code: old }), ['E_GROUP_NOT_FOUND', false]);
  const guarded = await theirs(ANA);
  await does(guarded.group, 'membership_approval_mode', { approval: true });
  assert.deepEqual(await ask('join', { code: guarded.invite }), { group: guarded.group, pending: true });
  assert.deepEqual(await refused('get', {}, guarded.group), ['E_GROUP_NOT_FOUND', false]);
});

interface Steps {
  find?: () => unknown;
  make?: () => unknown;
  remove?: () => unknown;
  read?: () => unknown;
}

const wid = (id: string) => ({ _serialized: id, server: id.split('@')[1] });
const fails = () => Promise.reject(new Error('no answer'));
const refuses = () => Promise.reject(Object.assign(new Error('no'), { name: 'ServerStatusCodeError' }));

/** What a verb comes to in a page whose parts do as told, step by step. */
async function outcome(verb: string, state: string, steps: Steps): Promise<unknown> {
  const { find = () => ({ phone: wid('1@c.us') }), make = fails, remove = fails, read = fails } = steps;
  const members = [
    { id: wid('9@c.us'), isAdmin: true },
    { id: wid('1@c.us'), isAdmin: false },
  ];
  const participants = {
    serialize: () => members,
    get: (id: string) => members.find(({ id: { _serialized: one } }) => one === id),
  };
  const chat = { id: wid('120@g.us'), groupMetadata: { id: wid('120@g.us'), participants } };
  const modules: Record<string, unknown> = {
    WAWebSocketModel: { Socket: { state } },
    WAWebCollections: { Chat: { get: () => chat } },
    WAWebWidFactory: { createWid: wid },
    WAWebApiContact: { getCurrentLid: () => undefined, getPhoneNumber: () => undefined },
    WAWebUserPrefsMeUser: { getMaybeMePnUser: () => wid('9@c.us'), getMaybeMeLidUser: () => undefined },
    WAWebGroupQueryJob: { queryAndUpdateGroupMetadataById: async () => read() },
    WAWebGroupCreateJob: { createGroup: async () => make() },
    WAWebModifyParticipantsGroupAction: { removeParticipants: async () => remove() },
  };
  const scope = globalThis as unknown as Data;
  const library = { enforceLidAndPnRetrieval: async () => find() };
  Object.assign(scope, { require: (name: string) => modules[name], WWebJS: library });
  const page = { evaluate: (work: (...given: unknown[]) => unknown, ...given: unknown[]) => work(...given) };
  const content = { subject: 'Talvez', participants: [{ pn: '+1' }] };
  try {
    const asking = { page, content, to: () => '120@g.us' } as unknown as Ask;
    return await GROUPS[verb]?.(asking).catch(({ code, uncertain }: ActionError) => [code, uncertain]);
  } finally {
    delete scope.require;
    delete scope.WWebJS;
  }
}

test('a creation whose end nobody hears is uncertain; one that was not begun, or was refused, is not', async () => {
  const created = (steps: Steps, state = 'CONNECTED') => outcome('group.create', state, steps);
  const broken = () => {
    throw new Error('broken');
  };
  assert.deepEqual(await created({}, 'OPENING'), ['E_CONNECTION_LOST', false]);
  assert.deepEqual(await created({ find: broken }), ['E_ENGINE_ERROR', false]);
  assert.deepEqual(await created({}), ['E_ENGINE_ERROR', true]);
  assert.deepEqual(await created({ make: refuses }), ['E_WHATSAPP_REJECTED', false]);
  const me = { wid: wid('9@c.us'), type: 'superadmin' };
  const left = { wid: wid('1@c.us'), error: 403 };
  const make = () => ({ wid: wid('120@g.us'), participants: [me, left] });
  const made = (await created({ make })) as Told;
  assert.deepEqual([made.group, made.subject, roles(made)], ['120', 'Talvez', { '+9': 'owner' }], 'not read again');
});

test('what is refused behind a change that was made is uncertain, not refused', async () => {
  const answers = [() => undefined, refuses];
  const read = () => answers.shift()?.();
  assert.deepEqual(await outcome('group.remove', 'CONNECTED', { remove: () => undefined, read }), [
    'E_ENGINE_ERROR',
    true,
  ]);
  const refused = await outcome('group.remove', 'CONNECTED', { remove: refuses, read: () => undefined });
  assert.deepEqual(refused, ['E_WHATSAPP_REJECTED', false]);
});
