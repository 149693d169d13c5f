/** What the account's phone tells of a chat's past, through the real whatsapp-web.js in real Chromium. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Frame } from '../../src/frames.ts';
import { Sandbox } from '../sidecar/sandbox.ts';
import { Worker } from '../sidecar/worker.ts';
import { CHROMIUM, MS, open, pair } from './browsers.ts';

const skip = CHROMIUM ? false : 'no Chromium is here';
const ME = '+5511990000021';
type Data = Record<string, unknown>;
let sandbox: Sandbox;
let worker: Worker;
let profiles: string;
let incarnation = 2;

before(async () => {
  if (skip) return;
  sandbox = await Sandbox.start();
  profiles = mkdtempSync(join(tmpdir(), 'webjs-past-'));
  worker = new Worker();
  await worker.hello({ ...sandbox.config, engines: ['webjs'], profiles, chromium: CHROMIUM });
  await pair(sandbox, worker, 't/a', ME);
});
after(() => {
  worker?.kill();
  sandbox?.stop();
  if (profiles) rmSync(profiles, { recursive: true, force: true, maxRetries: 5 });
});

let last = 0;
const contact = (): string => `+55119${String(70000000 + ++last)}`;
const past = async (body: Data): Promise<string[]> =>
  (await sandbox.post(`/api/phones/${ME}/past`, body)).ids as string[];
const fault = (kind: string, more: Data = {}) => sandbox.post('/api/faults', { kind, account: ME, ...more });
const events = (kind: string, from = 0): Data[] =>
  worker.frames
    .slice(from)
    .filter((frame) => frame.type === 'event' && frame.kind === kind)
    .map(({ data }) => data as Data);

async function said(by: string, text = 'now', to = ME): Promise<string> {
  const { ids } = await sandbox.post(`/api/contacts/${by}/send`, { to, text });
  const [id] = ids as string[];
  await worker.event('message', (data) => data.id === id, 0, MS);
  return String(id);
}

const fetchOlder = (to: Data, before: string, more: Data = {}): Promise<Frame> =>
  worker.act('t/a', incarnation, 'history.fetch', {
    to,
    content: { before: { message_id: before, from_self: false, at: Date.now() }, ...more },
  });

test('older messages come as events, oldest first, whoever has them; nothing is told as new', { skip }, async () => {
  const friend = contact();
  await sandbox.post('/api/contacts', { number: friend, behaviour: { addressing: 'lid' } });
  const ids = await past({ contact: friend, text: 'old', count: 60 });
  const own = await past({ contact: friend, text: 'answered', own: true, at: Date.now() - 3_600_000 });
  await past({ contact: contact(), text: 'of another chat' });
  const now = await said(friend);
  const asked = async (before: string, count: number): Promise<Data> => {
    const { ok, code, data } = await fetchOlder({ pn: friend }, before, { count });
    assert.deepEqual([ok, code], [true, undefined]);
    return data as Data;
  };
  const first = await asked(now, 4);
  assert.deepEqual([first.messages, first.more, (first.oldest as Data).message_id], [4, true, ids[57]]);
  const told = events('message').filter(({ history }) => history);
  assert.deepEqual(
    told.map(({ id, from_self, offline }) => [id, from_self, offline]),
    [...ids.slice(57).map((id) => [id, false, false]), [own[0], true, false]],
  );
  const live = events('message').find(({ id }) => id === now);
  for (const { chat } of told) assert.deepEqual(chat, live?.chat, 'the chat is the same as of what comes now');
  const [part] = events('history');
  assert.deepEqual([part?.request_id, part?.messages, part?.chat], [first.request_id, 4, live?.chat]);
  // The phone gave fifty; what it holds beyond them is asked for when it is wanted.
  const second = await asked(String(ids[57]), 50);
  assert.deepEqual([second.messages, second.more, (second.oldest as Data).message_id], [46, true, ids[11]]);
  const third = await asked(String(ids[11]), 50);
  assert.deepEqual([third.messages, third.more, (third.oldest as Data).message_id], [11, false, ids[0]]);
  const none = await asked(String(ids[0]), 50);
  assert.deepEqual([none.messages, none.more, none.oldest], [0, false, null]);
  const all = events('message').map(({ id }) => id);
  assert.equal(new Set(all).size, all.length);
  assert.ok(events('message').every(({ id, history }) => history === (id !== now)));
});

test('of a group each message names who wrote it', { skip }, async () => {
  const friend = contact();
  const made = await sandbox.post('/api/groups', { subject: 'Family', owner: friend, participants: [ME, friend] });
  const [old] = await past({ contact: friend, text: 'in the group', group: made.id });
  const group = String(made.id).split('@')[0];
  const { data } = await fetchOlder({ group }, 'UNKNOWN');
  assert.deepEqual([(data as Data).messages, (data as Data).more], [1, false]);
  const { chat, from } = (await worker.event('message', ({ id }) => id === old)).data as { chat: Data; from: Data };
  assert.equal(chat.group, group);
  assert.equal(from.lid, (await sandbox.get(`/api/contacts/${encodeURIComponent(friend)}`)).lid);
});

test('a phone that does not answer is told so, and its late answer is told too', { skip }, async () => {
  const friend = contact();
  await past({ contact: friend, text: 'old', count: 2 });
  const now = await said(friend);
  await fault('late_phone', { delay_ms: 1500 });
  const late = await fetchOlder({ pn: friend }, now, { wait_ms: 1 });
  assert.deepEqual([late.ok, late.code, late.uncertain], [false, 'E_PHONE_SILENT', false]);
  const { data } = await worker.event('history', ({ request_id }) => request_id === late.detail, 0, MS);
  assert.equal((data as Data).messages, 2);
});

test('killed while the phone is asked: the next session tells the answer, once', { skip }, async () => {
  const friend = contact();
  const ids = await past({ contact: friend, text: 'old', count: 3 });
  const now = await said(friend);
  await fault('silent_phone');
  const silent = await fetchOlder({ pn: friend }, now, { wait_ms: 1 });
  assert.equal(silent.code, 'E_PHONE_SILENT');
  const { stored } = worker;
  worker.kill();
  worker = new Worker();
  for (const [session, kept] of stored) worker.stored.set(session, kept);
  await worker.hello({ ...sandbox.config, engines: ['webjs'], profiles, chromium: CHROMIUM });
  incarnation = 3;
  await open(worker, 't/a', incarnation);
  await worker.event('history', ({ request_id }) => request_id === silent.detail, 0, MS);
  const told = events('message').filter(({ history }) => history);
  assert.deepEqual(
    told.map(({ id }) => id),
    ids,
  );
  await said(friend, 'and on');
  assert.equal(events('history').length, 1);
});
