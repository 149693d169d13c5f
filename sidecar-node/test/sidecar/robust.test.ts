/** What must hold when things go wrong: nothing leaks, nothing is told, nobody else is disturbed. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Sandbox, until } from './sandbox.ts';
import { Worker } from './worker.ts';

let sandbox: Sandbox;
before(async () => {
  sandbox = await Sandbox.start();
});
after(() => sandbox.stop());

let last = 0;
const number = (): string => `+55119${String(80000000 + ++last)}`;
const id = (): string => `3EB0${String(++last).padStart(18, '0')}`;
const text = (body: string) => ({ type: 'text', text: { body } });
const inbound = (contact: string, to: string, body: Record<string, unknown>) =>
  sandbox.post(`/api/contacts/${encodeURIComponent(contact)}/send`, { to, ...body }) as Promise<{ ids: string[] }>;

test('at the most talkative level neither logs nor output hold a number, a text or a key', async (t) => {
  const worker = new Worker(t);
  await worker.hello({ ...sandbox.config, log_level: 'trace' });
  const [me, contact] = [number(), number()];
  await sandbox.pair(worker, 't/a', me);
  await worker.act('t/a', 2, 'send', { id: id(), to: { pn: contact }, content: text('SEGREDO um') });
  for (const kind of ['bad_mac', 'undecryptable']) await sandbox.post('/api/faults', { kind, account: me, count: 2 });
  await worker.act('t/a', 2, 'send', { id: id(), to: { pn: contact }, content: text('SEGREDO dois') });
  const { ids } = await inbound(contact, me, { type: 'text', text: 'SEGREDO tres' });
  await worker.event('message', (data) => data.id === ids[0]);
  worker.send({ type: 'shutdown' });
  await worker.exited;
  const logs = worker.frames.filter(({ type }) => type === 'log');
  const said = JSON.stringify(logs) + worker.output;
  assert.ok(logs.length > 0, 'the faults were logged');
  for (const secret of ['SEGREDO', me.slice(1), contact.slice(1), 'privKey', 'rootKey', 'chainKey', '_chains'])
    assert.ok(!said.includes(secret), `${secret} in ${said}`);
  assert.doesNotMatch(said, /[A-Za-z0-9+/]{40,}/);
});

test('a retry receipt is answered after a restart, from the key store', async (t) => {
  const first = new Worker(t);
  await first.hello(sandbox.config);
  const [me, contact] = [number(), number()];
  await sandbox.pair(first, 't/a', me);
  await first.act('t/a', 2, 'send', { id: id(), to: { pn: contact }, content: text('warm up') });
  await first.event('status', ({ status }) => status === 'read');
  // A phone that was set up anew cannot read what an old session says.
  await sandbox.post(`/api/contacts/${encodeURIComponent(contact)}/reinstall`, {});
  const sent = id();
  // Commit the send's own keys, and nothing that comes after: the answer to the retry receipt is then held.
  first.on('frame', ({ type, rows }) => {
    if (type === 'keys_set' && (rows as [string][]).some(([kind]) => kind === 'sent')) first.autoCommit = false;
  });
  await first.act('t/a', 2, 'send', { id: sent, to: { pn: contact }, content: text('again') });
  await sandbox.entry(({ kind, id: of }) => kind === 'retry_request' && of === sent);
  await new Promise((resolve) => setTimeout(resolve, 300));
  const received = async (): Promise<boolean> =>
    (await sandbox.journal()).some(
      ({ kind, id: of, text: body }) => kind === 'message' && of === sent && body === 'again',
    );
  assert.equal(await received(), false, 'answered before the stanza was settled');
  first.kill();
  await first.exited;
  const second = new Worker(t);
  for (const [session, stored] of first.stored) second.stored.set(session, stored);
  await second.hello(sandbox.config);
  second.open('t/a', 3);
  await until(async () => (await received()) || undefined);
});

test('a store that cannot be read closes the session; the message is not acknowledged and comes again', async (t) => {
  const worker = new Worker(t);
  await worker.hello(sandbox.config);
  const [me, contact] = [number(), number()];
  await sandbox.pair(worker, 't/a', me);
  worker.failReads = true;
  const from = worker.frames.length;
  const { ids } = await inbound(contact, me, { type: 'text', text: 'keep me' });
  assert.equal((await worker.state('t/a', 'closed', from)).reason, 'engine_error');
  assert.ok(!worker.frames.some(({ kind }) => kind === 'undecryptable'));
  assert.ok(!(await sandbox.journal()).some(({ kind, id: of }) => kind === 'inbound_acked' && of === ids[0]));
  worker.failReads = false;
  worker.open('t/a', 3);
  await worker.event('message', ({ id: of }) => of === ids[0]);
});

test('history comes when it is asked for, marked as such', async (t) => {
  const old = await Sandbox.start('--history');
  t.after(() => old.stop());
  const worker = new Worker(t);
  await worker.hello(old.config);
  const [me, contact] = [number(), number()];
  await old.pair(worker, 't/a', me);
  await worker.act('t/a', 2, 'send', { id: id(), to: { pn: contact }, content: text('long ago') });
  for (const [session, history] of [
    ['t/b', true],
    ['t/c', false],
  ] as const) {
    await old.pair(worker, session, me, { history });
    if (!history) continue;
    const { data } = await worker.next((f) => f.session === session && f.type === 'event' && f.kind === 'message');
    assert.deepEqual(
      [(data as { history: boolean }).history, (data as { text: unknown }).text],
      [true, { body: 'long ago' }],
    );
  }
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.ok(!worker.frames.some(({ session, kind }) => session === 't/c' && kind === 'message'));
});

test('groups: text both ways, names and members, a status for each reader', async (t) => {
  const worker = new Worker(t);
  await worker.hello(sandbox.config);
  const [me, ana, bia] = [number(), number(), number()];
  await sandbox.pair(worker, 't/a', me);
  const made = (await sandbox.post('/api/groups', {
    subject: 'Time',
    members: [me, ana, bia],
    participants: [me, ana, bia],
  })) as Record<string, string>;
  const group = String(made.id ?? made.group ?? made.jid).replace('@g.us', '');
  const sent = id();
  const result = await worker.act('t/a', 2, 'send', { id: sent, to: { group }, content: text('oi, time') });
  assert.equal(result.ok, true, JSON.stringify(result));
  const { data } = (await worker.event(
    'status',
    ({ message_ids, by }) => (message_ids as string[]).includes(sent) && by !== undefined,
  )) as { data: Record<string, { group: string }> };
  assert.equal(data.chat?.group, group);
  const { ids } = await inbound(ana, `${group}@g.us`, { type: 'text', text: 'oi' });
  const message = (await worker.event('message', (of) => of.id === ids[0])) as {
    data: Record<string, Record<string, unknown>>;
  };
  assert.equal(message.data.chat?.group, group);
  assert.equal(message.data.from?.pn, ana);
  const reaction = id();
  await worker.act('t/a', 2, 'react', { id: reaction, to: { group }, content: { message_id: ids[0], emoji: '👍' } });
  const seen = await sandbox.entry((entry) => entry.kind === 'message' && entry.id === reaction && entry.text !== '');
  const key = (seen.content as { reactionMessage: { key: Record<string, unknown> } }).reactionMessage.key;
  assert.deepEqual([key.fromMe, key.participant], [false, `${String(message.data.from?.lid)}@lid`]);
  await worker.act('t/a', 2, 'read', { to: { group }, content: { message_ids: ids } });
  await sandbox.entry(
    ({ kind, id: of, type }) => kind === 'gateway_receipt' && of === ids[0] && String(type).startsWith('read'),
  );
});

test('a worker that does not commit: the socket is paused at the credit and nothing is acknowledged', async (t) => {
  const worker = new Worker(t);
  await worker.hello({ ...sandbox.config, credit: 5 });
  const [me, contact] = [number(), number()];
  await sandbox.pair(worker, 't/a', me);
  await inbound(contact, me, { type: 'text', text: 'first' });
  await worker.event('message');
  await until(() => worker.uncommitted.length === 0 || undefined);
  await new Promise((resolve) => setTimeout(resolve, 300));
  worker.autoCommit = false;
  const before = worker.frames.length;
  await inbound(contact, me, { type: 'text', text: 'x', count: 2000 });
  await new Promise((resolve) => setTimeout(resolve, 1500));
  const events = (): number => worker.frames.slice(before).filter(({ kind }) => kind === 'message').length;
  const paused = events();
  assert.ok(paused >= 3 && paused < 1500, `${paused} events with a credit of 5`);
  worker.autoCommit = true;
  worker.commit();
  await until(() => events() >= 2000 || undefined, 60_000);
  const acked = async (): Promise<number> =>
    Number(
      (
        (await sandbox.get(
          `/api/journal?after=0&limit=10000&kind=inbound_acked&account=${encodeURIComponent(me)}&content=0`,
        )) as { entries: unknown[] }
      ).entries.length,
    );
  await until(async () => (await acked()) >= 2001 || undefined, 60_000);
});

test('open and close again and again: no socket, listener or session stays', async (t) => {
  const worker = new Worker(t);
  await worker.hello(sandbox.config);
  const rounds = 60;
  const heaps: number[] = [];
  for (let round = 1; round <= rounds; round++) {
    worker.open('t/a', round);
    await worker.next((f) => f.type === 'state' && f.state === 'qr' && f.incarnation === round);
    worker.send({ type: 'close', session: 't/a', incarnation: round, how: 'stop' });
    await worker.next((f) => f.type === 'state' && f.state === 'closed' && f.incarnation === round);
    worker.frames.length = 0;
  }
  const stats = await worker.next(({ type }) => type === 'stats');
  heaps.push(Number(stats.heap));
  assert.deepEqual(stats.sessions, {});
  const { connections } = (await sandbox.get('/api/state')) as { connections?: unknown };
  if (typeof connections === 'number') assert.equal(connections, 0);
  assert.ok(Number(stats.heap) < 120 * 1024 * 1024, `heap ${String(stats.heap)}`);
  const fds = await until(async () => {
    const { readdirSync } = await import('node:fs');
    const count = readdirSync(`/proc/${worker.child.pid}/fd`).length;
    return count < 40 ? count : undefined;
  });
  assert.ok(fds < 40);
});
