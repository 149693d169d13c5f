/** The real whatsapp-web.js in real Chromium, in a real sidecar, against the local WhatsApp. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Sandbox } from '../sidecar/sandbox.ts';
import { Worker } from '../sidecar/worker.ts';
import { CHROMIUM, MS, open, pair } from './browsers.ts';

const skip = CHROMIUM ? false : 'no Chromium is here';
const ME = '+5511990000001';
const FRIEND = '+5511988887777';
let sandbox: Sandbox;
let worker: Worker;
let profiles: string;

before(async () => {
  if (skip) return;
  sandbox = await Sandbox.start();
  profiles = mkdtempSync(join(tmpdir(), 'webjs-test-'));
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
const id = (): string => `3EB0${String(++last).padStart(18, '0')}`;

test('pairs by QR; the profile is stored before the session is open', { skip }, async () => {
  const states = worker.frames.flatMap(({ type, state, reason }) => (type === 'state' ? [reason ?? state] : []));
  assert.deepEqual(states, ['connecting', 'qr', 'restart_required', 'connecting', 'open']);
  const stored = worker.stored.get('t/a');
  assert.ok([...(stored?.rows.keys() ?? [])].some((key) => key.startsWith('profile/')));
});

test('a text is sent under its preset id; its statuses come back', { skip }, async () => {
  const sent = id();
  const result = await worker.act('t/a', 2, 'send', {
    id: sent,
    to: { pn: FRIEND },
    content: { type: 'text', text: { body: 'Olá 👋 *tudo* bem?' } },
  });
  assert.deepEqual([result.ok, result.message_id, result.code], [true, sent, undefined]);
  const entry = await sandbox.entry(({ kind, id: of }) => kind === 'message' && of === sent);
  assert.equal(entry.text, 'Olá 👋 *tudo* bem?');
  const of = (status: string) => (data: Record<string, unknown>) =>
    data.status === status && (data.message_ids as string[]).includes(sent);
  const read = await worker.event('status', of('read'), 0, MS);
  assert.equal((read.data as { chat: { pn: string } }).chat.pn, FRIEND);
});

test('labels are of business accounts alone', { skip }, async () => {
  const [to, content] = [{ pn: FRIEND }, { label_id: '1' }];
  assert.deepEqual((await worker.act('t/a', 2, 'label.list', {})).data, []);
  const { ok, code } = await worker.act('t/a', 2, 'label.add', { to, content });
  assert.deepEqual([ok, code], [false, 'E_WHATSAPP_REJECTED']);
});

test('a text that comes in is told with both addresses of its sender', { skip }, async () => {
  const { ids } = await sandbox.post(`/api/contacts/${FRIEND}/send`, { to: ME, type: 'text', text: 'oi 🎉' });
  const [sent] = ids as string[];
  const { data } = await worker.event('message', ({ id: of }) => of === sent, 0, MS);
  const { from, text, from_self } = data as { from: { pn: string; lid: string }; text: unknown; from_self: boolean };
  assert.deepEqual([from.pn, text, from_self], [FRIEND, { body: 'oi 🎉' }, false]);
  assert.match(from.lid, /^\d+$/);
  await sandbox.entry(({ kind, id: of }) => kind === 'inbound_acked' && of === sent);
});

test('stopped and opened again, it needs no QR and tells what came meanwhile, once', { skip }, async () => {
  worker.send({ type: 'close', session: 't/a', incarnation: 2, how: 'stop' });
  await worker.next(({ type, reason }) => type === 'state' && reason === 'stopped', 0, MS);
  const { ids } = await sandbox.post(`/api/contacts/${FRIEND}/send`, { to: ME, type: 'text', text: 'while away' });
  const from = worker.frames.length;
  await open(worker, 't/a', 3);
  await worker.event('message', ({ id: of }) => of === (ids as string[])[0], from, MS);
  const states = worker.frames.slice(from).flatMap(({ type, state }) => (type === 'state' ? [state] : []));
  assert.deepEqual(states, ['connecting', 'open']);
  const told = worker.frames.filter(({ type, kind }) => type === 'event' && kind === 'message');
  assert.equal(new Set(told.map(({ data }) => (data as { id: string }).id)).size, told.length);
});
