/** What the account's phone tells of the past, through the real Baileys. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Frame } from '../../src/frames.ts';
import { Sandbox } from './sandbox.ts';
import { Worker } from './worker.ts';

let sandbox: Sandbox;
before(async () => {
  sandbox = await Sandbox.start('--history');
});
after(() => sandbox.stop());

let last = 0;
const number = (): string => `+55119${String(80000000 + ++last)}`;
type Data = Record<string, unknown>;

async function paired(t: { after(work: () => void): void }, me: string, settings = {}): Promise<Worker> {
  const worker = new Worker(t);
  await worker.hello(sandbox.config);
  await sandbox.pair(worker, 't/a', me, settings);
  return worker;
}

const past = async (me: string, body: Data): Promise<string[]> =>
  (await sandbox.post(`/api/phones/${encodeURIComponent(me)}/past`, body)).ids as string[];
const fault = (kind: string, account: string, more: Data = {}) =>
  sandbox.post('/api/faults', { kind, account, ...more });
const fetchOlder = (worker: Worker, contact: string, id: string, more: Data = {}, incarnation = 2): Promise<Frame> =>
  worker.act('t/a', incarnation, 'history.fetch', {
    to: { pn: contact },
    content: { before: { message_id: id, from_self: false, at: Date.now() }, ...more },
  });
const events = (worker: Worker, kind: string): Data[] =>
  worker.frames.filter((frame) => frame.type === 'event' && frame.kind === kind).map(({ data }) => data as Data);

test('older messages of a chat come as events, oldest first, then how far they go', async (t) => {
  const [me, contact] = [number(), number()];
  await sandbox.post('/api/contacts', { number: contact, behaviour: { addressing: 'lid' } });
  const ids = await past(me, { contact, text: 'old', count: 5 });
  const own = await past(me, { contact, text: 'answered', own: true, at: Date.now() - 3_600_000 });
  await past(me, { contact: number(), text: 'of another chat' });
  const worker = await paired(t, me);
  const { ids: sent } = await sandbox.post(`/api/contacts/${encodeURIComponent(contact)}/send`, {
    to: me,
    text: 'now',
  });
  const [now] = sent as string[];
  await worker.event('message', ({ id }) => id === now);
  const first = await fetchOlder(worker, contact, String(now), { count: 4 });
  const { more, messages, oldest, request_id: request } = first.data as Data;
  assert.deepEqual([first.ok, messages, more], [true, 4, true]);
  assert.deepEqual((oldest as Data).message_id, ids[2]);
  await worker.event('history', ({ request_id }) => request_id === request);
  const told = events(worker, 'message').filter(({ history }) => history);
  assert.deepEqual(
    told.map(({ id }) => id),
    [...ids.slice(2), ...own],
  );
  assert.deepEqual(
    told.map(({ from_self }) => from_self),
    [false, false, false, true],
  );
  const live = events(worker, 'message').find(({ id }) => id === now);
  for (const { chat } of told) assert.deepEqual(chat, live?.chat, 'the chat is the same as of what comes now');
  const [part] = events(worker, 'history');
  assert.deepEqual([part?.kind, part?.messages, part?.more, part?.chat], ['on_demand', 4, true, live?.chat]);
  const rest = (await fetchOlder(worker, contact, String(ids[2]))).data as Data;
  assert.deepEqual([rest.messages, rest.more], [2, false]);
  const none = (await fetchOlder(worker, contact, String(ids[0]))).data as Data;
  assert.deepEqual([none.messages, none.more, none.oldest], [0, false, null]);
});

test('of a group each message names who wrote it', async (t) => {
  const [me, friend] = [number(), number()];
  const made = await sandbox.post('/api/groups', { subject: 'Family', owner: friend, participants: [me, friend] });
  const [old] = await past(me, { contact: friend, text: 'in the group', group: made.id });
  const worker = await paired(t, me);
  const group = String(made.id).split('@')[0];
  const content = { before: { message_id: 'UNKNOWN', from_self: false, at: Date.now() } };
  const { data } = await worker.act('t/a', 2, 'history.fetch', { to: { group }, content });
  assert.deepEqual([(data as Data).messages, (data as Data).more], [1, false]);
  const [told] = events(worker, 'message');
  assert.deepEqual([told?.id, (told?.chat as Data).group], [old, group]);
  const { lid } = told?.from as Data;
  assert.equal(lid, (await sandbox.get(`/api/contacts/${encodeURIComponent(friend)}`)).lid);
});

test('a phone that does not answer is told so, and its late answer is told too', async (t) => {
  const [me, contact] = [number(), number()];
  const ids = await past(me, { contact, text: 'old', count: 2 });
  const worker = await paired(t, me);
  await fault('silent_phone', me);
  const silent = await fetchOlder(worker, contact, String(ids[1]), { wait_ms: 1 });
  assert.deepEqual([silent.ok, silent.code, silent.uncertain], [false, 'E_PHONE_SILENT', false]);
  await fault('late_phone', me, { delay_ms: 3000 });
  const late = await fetchOlder(worker, contact, String(ids[1]), { wait_ms: 1 });
  assert.equal(late.code, 'E_PHONE_SILENT');
  const told = await worker.event('history');
  assert.deepEqual([(told.data as Data).request_id, (told.data as Data).messages], [late.detail, 1]);
});

test('a part that cannot be read is told as such, and the session goes on', async (t) => {
  const [me, contact] = [number(), number()];
  const ids = await past(me, { contact, text: 'old', count: 2 });
  const worker = await paired(t, me);
  await fault('broken_history', me);
  const broken = await fetchOlder(worker, contact, String(ids[1]));
  assert.deepEqual([broken.ok, broken.code], [false, 'E_MEDIA_CORRUPT']);
  const told = (await worker.event('history')).data as Data;
  assert.deepEqual([told.code, told.messages, told.kind], ['E_MEDIA_CORRUPT', 0, 'on_demand']);
  assert.equal(((await fetchOlder(worker, contact, String(ids[1]))).data as Data).messages, 1);
});

test('a crash in the midst of an answer: it comes again, under the same ids', async (t) => {
  const [me, contact] = [number(), number()];
  const ids = await past(me, { contact, text: 'old', count: 3 });
  const worker = await paired(t, me);
  worker.on('frame', ({ kind }: Frame) => {
    if (kind === 'message') worker.autoCommit = false;
  });
  void fetchOlder(worker, contact, String(ids[2])).catch(() => {});
  const before = (await worker.event('history')).data as Data;
  worker.kill();
  await worker.exited;
  const second = new Worker(t);
  for (const [session, rows] of worker.stored) second.stored.set(session, rows);
  await second.hello(sandbox.config);
  second.open('t/a', 3);
  const again = (await second.event('history')).data as Data;
  assert.deepEqual([again.id, again.request_id, again.messages], [before.id, before.request_id, 2]);
  assert.deepEqual(
    events(second, 'message').map(({ id }) => id),
    ids.slice(0, 2),
  );
});

test('with the setting, what the phone tells at pairing comes with its progress', async (t) => {
  const me = number();
  await past(me, { contact: number(), text: 'long ago', count: 300 });
  const worker = await paired(t, me, { history: true });
  await worker.event('history', ({ progress }) => progress === 100);
  const parts = events(worker, 'history').map(({ kind, part, progress, messages }) => [kind, part, progress, messages]);
  assert.deepEqual(parts, [
    ['initial', 1, 50, 250],
    ['recent', 2, 100, 50],
  ]);
  const told = events(worker, 'message');
  assert.equal(new Set(told.map(({ id }) => id)).size, 300);
  assert.ok(told.every(({ history }) => history === true));
});
