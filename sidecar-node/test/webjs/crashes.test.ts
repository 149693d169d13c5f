/** Browsers and sidecars that die, links that end, pages that do not let themselves be told: nothing lost or doubled. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Frame } from '../../src/frames.ts';
import { Sandbox, until } from '../sidecar/sandbox.ts';
import { Worker } from '../sidecar/worker.ts';
import { CHROMIUM, MS, open, pair } from './browsers.ts';

const skip = CHROMIUM ? false : 'no Chromium is here';
const ME = '+5511990000003';
const FRIEND = '+5511988887772';
/** Its phone is off: nothing but the server's ack tells that a message arrived. */
const SILENT = '+5511988887773';
let sandbox: Sandbox;
let worker: Worker;
let folder: string;

const config = (more: Frame = {}): Frame => ({
  ...sandbox.config,
  engines: ['webjs'],
  profiles: join(folder, 'profiles'),
  chromium: CHROMIUM,
  ...more,
});

/** A new sidecar that knows what the last one's worker stored. */
async function another(more: Frame = {}): Promise<void> {
  const stored = worker?.stored;
  worker = new Worker();
  for (const [session, rows] of stored ?? []) worker.stored.set(session, rows);
  await worker.hello(config(more));
}

const silence = () => sandbox.post('/api/contacts', { number: SILENT, behaviour: { deliver: false } });

before(async () => {
  if (skip) return;
  folder = mkdtempSync(join(tmpdir(), 'webjs-test-'));
  sandbox = await Sandbox.start();
  await silence();
  await another();
});
after(() => {
  worker?.kill();
  sandbox?.stop();
  if (folder) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
});

let last = 0;
const id = (): string => `3EB0${String(++last).padStart(18, '0')}`;
const text = (body: string, to = FRIEND) => ({ to: { pn: to }, content: { type: 'text', text: { body } } });
const closed = (from: number) => worker.next(({ type, state }) => type === 'state' && state === 'closed', from, MS);
const shown = async (body: string): Promise<number> =>
  (await sandbox.journal()).filter(({ kind, text: of }) => kind === 'message' && of === body).length;
const write = (body: string, count = 1) =>
  sandbox.post(`/api/contacts/${FRIEND}/send`, { to: ME, type: 'text', text: body, count });

const read = (pid: string, what: string): string => {
  try {
    return readFileSync(`/proc/${pid}/${what}`, 'utf8');
  } catch {
    return '';
  }
};
const processes = (): string[] => readdirSync('/proc').filter((name) => /^\d+$/.test(name));

/** Processes that have a profile below `folder`. */
function browsers(): number[] {
  return processes()
    .filter((pid) => read(pid, 'cmdline').includes(`--user-data-dir=${folder}`))
    .map(Number);
}

/** The processes in which those browsers run their pages. */
function pages(): number[] {
  const family = new Set(browsers());
  const all = processes();
  for (let size = 0; size !== family.size; ) {
    size = family.size;
    for (const pid of all) {
      const stat = read(pid, 'stat');
      if (family.has(Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]))) family.add(Number(pid));
    }
  }
  return [...family].filter((pid) => read(String(pid), 'cmdline').includes('--type=renderer'));
}

/** To those that still run. */
function signal(pids: number[], name: NodeJS.Signals): void {
  for (const pid of pids)
    try {
      process.kill(pid, name);
    } catch {}
}

test('a missing or unfit browser is refused in words before any session is opened', { skip }, async (t) => {
  for (const [chromium, words] of [
    ['/nowhere/chromium', 'cannot be run'],
    [process.execPath, 'newer is needed'],
  ] as const) {
    const refused = new Worker(t);
    refused.hello(config({ chromium })).catch(() => {});
    const fatal = await refused.next(({ type }) => type === 'fatal', 0, MS);
    assert.equal(fatal.code, 'E_ENGINE_UNAVAILABLE');
    assert.match(String(fatal.message), new RegExp(words));
    assert.equal(await refused.exited, 66);
    refused.stopLease();
  }
});

test('pairs by a code that the phone types', { skip }, async () => {
  worker.open('t/a', 1, { engine: 'webjs', pairing: { method: 'code', phone_number: ME } });
  const { code } = await worker.next(({ state }) => state === 'pairing_code', 0, MS);
  assert.match(String(code), /^[0-9A-Z]{8}$/);
  await sandbox.post(`/api/phones/${ME}/link-code`, { code });
  assert.equal((await closed(0)).reason, 'restart_required');
  await open(worker, 't/a', 2);
});

test('a link that breaks at the ack heals in the page, and the contact sees the text once', { skip }, async () => {
  await sandbox.post('/api/faults', { kind: 'ack_lost_close', account: ME });
  const result = await worker.act('t/a', 2, 'send', { id: id(), ...text('over a broken link') });
  assert.equal(result.ok, true, JSON.stringify(result));
  assert.equal(await shown('over a broken link'), 1);
});

test('a killed sidecar takes its browser along; the next one tells what came meanwhile, once', { skip }, async () => {
  const poll = id();
  const question = { name: 'Quando?', options: ['hoje', 'amanhã'], selectable: 1 };
  const content = { type: 'poll', poll: question };
  assert.equal((await worker.act('t/a', 2, 'send', { id: poll, to: { pn: FRIEND }, content })).ok, true);
  await sandbox.entry(({ kind, id: of }) => kind === 'message' && of === poll);
  await sandbox.post('/api/faults', { kind: 'drop_ack', account: ME });
  const sent = id();
  void worker.act('t/a', 2, 'send', { id: sent, ...text('in flight', SILENT) }).catch(() => {});
  await until(async () => (await shown('in flight')) === 1);
  const before = browsers();
  assert.ok(before.length > 0);
  worker.kill();
  await until(() => browsers().length === 0, MS);
  const { ids } = await write('while it was dead');
  const vote = { to: ME, type: 'poll_vote', quoted_id: poll, options: ['amanhã'] };
  const voted = await sandbox.post(`/api/contacts/${FRIEND}/send`, vote);
  await another();
  await open(worker, 't/a', 3);
  await worker.event('message', ({ id: of }) => of === (ids as string[])[0], 0, MS);
  const missed = await worker.event('poll_vote', ({ id: of }) => of === (voted.ids as string[])[0], 0, MS);
  assert.deepEqual((missed.data as Frame).options, ['amanhã']);
  // Tried again under its id, as the worker does: the page has it, and nothing leaves twice.
  const again = await worker.act('t/a', 3, 'send', { id: sent, ...text('in flight', SILENT) });
  assert.deepEqual([again.ok, again.message_id], [true, sent]);
  assert.equal(await shown('in flight'), 1);
});

test('what the page had and nobody heard is told in its order, before what comes later', { skip }, async () => {
  worker.autoCommit = false;
  const { ids } = (await write('of one second', 6)) as { ids: string[] };
  await worker.event('message', ({ id: of }) => of === ids.at(-1), 0, MS);
  worker.kill();
  await until(() => browsers().length === 0, MS);
  const later = (await write('later')) as { ids: string[] };
  await another();
  await open(worker, 't/a', 4);
  await worker.event('message', ({ id: of }) => of === later.ids[0], 0, MS);
  const told = worker.frames.filter(({ kind }) => kind === 'message').map(({ data }) => (data as { id: string }).id);
  const expected = [...ids, ...later.ids];
  assert.deepEqual(
    told.filter((of) => expected.includes(of)),
    expected,
  );
});

test(
  'a page that crashes while its browser lives closes the session; what came meanwhile is told, once',
  {
    skip,
  },
  async () => {
    const from = worker.frames.length;
    signal(pages(), 'SIGKILL');
    const end = await closed(from);
    assert.deepEqual([end.reason, end.retry, end.detail], ['connection_lost', true, 'the page crashed']);
    const { ids } = (await write('while it had no page')) as { ids: string[] };
    await open(worker, 't/a', 5);
    await worker.event('message', ({ id: of }) => of === ids[0], from, MS);
    assert.equal((await worker.act('t/a', 5, 'send', { id: id(), ...text('from a new page') })).ok, true);
    assert.equal(await shown('from a new page'), 1);
  },
);

test('on another machine the stored profile is laid out, and opens without a QR', { skip }, async () => {
  const from = worker.frames.length;
  worker.send({ type: 'close', session: 't/a', incarnation: 5, how: 'stop' });
  assert.equal((await closed(from)).reason, 'stopped');
  worker.kill();
  await another({ profiles: join(folder, 'elsewhere') });
  await open(worker, 't/a', 6);
  const result = await worker.act('t/a', 6, 'send', { id: id(), ...text('from elsewhere') });
  assert.equal(result.ok, true);
  assert.ok(!worker.frames.some(({ state }) => state === 'qr'));
});

test('closed with what WhatsApp said: to start anew, replaced, banned, unlinked', { skip }, async () => {
  let incarnation = 6;
  for (const [kind, reason, retry, code] of [
    // The page loads itself anew, and what was laid into it is gone.
    ['stream_error', 'connection_lost', true, 515],
    ['replaced', 'replaced', false],
    ['banned', 'banned', false],
    ['unlink', 'logged_out', false],
  ]) {
    const from = worker.frames.length;
    await sandbox.post('/api/faults', { kind, account: ME, code });
    const end = await closed(from);
    assert.deepEqual([end.reason, end.retry], [reason, retry], JSON.stringify(end));
    if (code) assert.match(String(end.detail), /loaded anew/);
    if (kind !== 'unlink') await open(worker, 't/a', ++incarnation);
  }
  await until(() => browsers().length === 0, MS);
});

test('a browser that grows beyond its bound is ended, and its profile is kept', { skip }, async () => {
  worker.kill();
  await another({ browser_memory_mb: 20 });
  worker.stored.delete('t/a');
  worker.open('t/b', 1, { engine: 'webjs' });
  const { code } = await worker.next(({ state }) => state === 'qr', 0, MS);
  await sandbox.post(`/api/phones/${ME}/scan`, { qr: code });
  const first = await closed(0);
  const from = worker.frames.indexOf(first) + 1;
  worker.open('t/b', 2, { engine: 'webjs' });
  const end = await closed(from);
  assert.deepEqual([end.reason, end.retry], ['engine_error', true]);
  assert.match(String(end.detail), /more memory/);
});

test('where the page chooses ids, a send is tried once: its second try is told as unknown', { skip }, async () => {
  worker.kill();
  sandbox.stop();
  sandbox = await Sandbox.start('--page-chooses-ids');
  await silence();
  worker.stored.clear();
  await another();
  await pair(sandbox, worker, 't/c', ME);
  const first = await worker.act('t/c', 2, 'send', { id: id(), ...text('named by the page') });
  assert.equal(first.ok, true, JSON.stringify(first));
  await sandbox.entry(({ kind, id: of }) => kind === 'message' && of === first.message_id);
  await sandbox.post('/api/faults', { kind: 'drop_ack', account: ME });
  const sent = id();
  void worker.act('t/c', 2, 'send', { id: sent, ...text('only once', SILENT) }).catch(() => {});
  await until(async () => (await shown('only once')) === 1);
  worker.kill();
  await another();
  await open(worker, 't/c', 3);
  const again = await worker.act('t/c', 3, 'send', { id: sent, ...text('only once', SILENT) });
  assert.deepEqual([again.ok, again.code, again.uncertain], [false, 'E_ACK_TIMEOUT', true]);
  assert.equal(await shown('only once'), 1);
  const { data: made } = await worker.act('t/c', 3, 'channel.create', { content: { name: 'A' } });
  const { channel } = made as { channel: string };
  await sandbox.post('/api/channels/follow', { channel, by: SILENT });
  for (const [to, body] of [
    ['status@broadcast', 'a status'],
    [channel, 'a post'],
  ] as const) {
    const post = { id: id(), to: { group: to }, content: { type: 'text', text: { body } } };
    const posted = await worker.act('t/c', 3, 'send', post);
    assert.equal(posted.ok, true, JSON.stringify(posted));
    assert.notEqual(posted.message_id, post.id);
    const { message_id } = await worker.act('t/c', 3, 'send', post);
    assert.equal(message_id, posted.message_id);
    const seen = (await sandbox.journal()).filter(({ kind, text: of }) => kind === 'message' && of === body);
    assert.deepEqual([...new Set(seen.map(({ id: of }) => of))], [message_id]);
    const about = { to: post.to, content: { message_id } };
    assert.equal((await worker.act('t/c', 3, 'delete', { id: id(), ...about })).ok, true);
    await sandbox.entry(({ type, text: of }) => type === 'revoke' && of === message_id);
  }
});

test('a page that hangs closes the session', { skip }, async () => {
  worker.kill();
  await another({ page_silence_ms: 4_500 });
  const from = worker.frames.length;
  worker.open('t/c', 4, { engine: 'webjs' });
  await worker.next(({ type, state }) => type === 'state' && (state === 'open' || state === 'closed'), from, MS);
  const hanging = pages();
  signal(hanging, 'SIGSTOP');
  try {
    const end = await closed(from);
    assert.deepEqual([end.reason, end.retry, end.detail], ['connection_lost', true, 'the page does not answer']);
  } finally {
    signal(hanging, 'SIGCONT');
  }
});
