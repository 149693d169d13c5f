/** The real Baileys in a real sidecar against the local WhatsApp. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Sandbox, until } from './sandbox.ts';
import { MAIN, Worker } from './worker.ts';

let sandbox: Sandbox;
before(async () => {
  sandbox = await Sandbox.start();
});
after(() => sandbox.stop());

let last = 0;
const number = (): string => `+55119${String(90000000 + ++last)}`;
const id = (): string => `3EB0${String(++last).padStart(18, '0')}`;
const text = (body: string) => ({ type: 'text', text: { body } });

async function paired(
  t: { after(work: () => void): void },
  config = {},
  program?: string[],
): Promise<{ worker: Worker; me: string }> {
  const worker = new Worker(t, program);
  await worker.hello({ ...sandbox.config, ...config });
  const me = number();
  await sandbox.pair(worker, 't/a', me);
  return { worker, me };
}

const inbound = (contact: string, to: string, body: Record<string, unknown>) =>
  sandbox.post(`/api/contacts/${encodeURIComponent(contact)}/send`, { to, ...body });

test('pairs by QR: credentials are durable before the restart, keys before the device is open', async (t) => {
  const { worker } = await paired(t);
  const types = worker.frames.map(({ type, state }) => `${String(type)} ${String(state ?? '')}`.trim());
  assert.ok(types.indexOf('keys_set') < types.indexOf('state closed'));
  const qr = await worker.state('t/a', 'qr');
  assert.ok(Number(qr.expires_at) > Date.now());
  const closed = await worker.state('t/a', 'closed');
  assert.deepEqual([closed.reason, closed.retry, closed.retry_at_once], ['restart_required', true, true]);
  const prekeys = worker.frames.find(({ type, rows }) => type === 'keys_set' && (rows as unknown[]).length > 800);
  assert.ok(worker.frames.indexOf(prekeys as never) < types.lastIndexOf('state open'));
});

test('does not tell WhatsApp that it is paired before the credentials are committed', async (t) => {
  const worker = new Worker(t);
  worker.autoCommit = false;
  await worker.hello(sandbox.config);
  const me = number();
  worker.open('t/a', 1);
  const qr = await worker.state('t/a', 'qr');
  const scanned = sandbox.post(`/api/phones/${encodeURIComponent(me)}/scan`, { qr: qr.code });
  await worker.next(({ type, creds }) => type === 'keys_set' && creds !== undefined);
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.ok(!worker.frames.some(({ state }) => state === 'closed'), 'the server was answered too early');
  worker.commit();
  worker.autoCommit = true;
  await worker.state('t/a', 'closed');
  await scanned;
});

test('pairs by code', async (t) => {
  const worker = new Worker(t);
  await worker.hello(sandbox.config);
  const me = number();
  worker.open('t/a', 1, { pairing: { method: 'code', phone_number: me } });
  const { code } = await worker.state('t/a', 'pairing_code');
  assert.match(String(code), /^[0-9A-Z]{8}$/);
  await sandbox.post(`/api/phones/${encodeURIComponent(me)}/link-code`, { code });
  assert.equal((await worker.state('t/a', 'closed')).reason, 'restart_required');
  worker.open('t/a', 2);
  const open = await worker.state('t/a', 'open');
  assert.equal((open.me as { pn: string }).pn, me);
});

test('sends a text under its preset id; statuses come back', async (t) => {
  const { worker } = await paired(t);
  const to = number();
  const sent = id();
  const result = await worker.act('t/a', 2, 'send', { id: sent, to: { pn: to }, content: text('Olá, tudo bem?') });
  assert.deepEqual([result.ok, result.message_id], [true, sent]);
  const entry = await sandbox.entry(({ kind, id: of }) => kind === 'message' && of === sent);
  assert.equal(entry.text, 'Olá, tudo bem?');
  await worker.event(
    'status',
    ({ message_ids, status }) => (message_ids as string[]).includes(sent) && status === 'delivered',
  );
  await worker.event(
    'status',
    ({ message_ids, status }) => (message_ids as string[]).includes(sent) && status === 'read',
  );
});

test('receives a text with both identities; the receipt waits for the commit', async (t) => {
  const { worker, me } = await paired(t);
  await until(() => worker.uncommitted.length === 0 || undefined);
  worker.autoCommit = false;
  const contact = number();
  const { ids } = (await inbound(contact, me, { type: 'text', text: 'bom dia' })) as { ids: string[] };
  const { data } = (await worker.event('message')) as { data: Record<string, unknown> };
  assert.deepEqual([data.id, data.type, data.text, data.from_self], [ids[0], 'text', { body: 'bom dia' }, false]);
  assert.equal((data.chat as { pn: string }).pn, contact);
  assert.ok((data.chat as { lid: string }).lid);
  await new Promise((resolve) => setTimeout(resolve, 300));
  const acked = (entry: Record<string, unknown>): boolean => entry.kind === 'inbound_acked' && entry.id === ids[0];
  assert.ok(!(await sandbox.journal()).some(acked), 'acknowledged before the commit');
  const units = worker.uncommitted.map(({ type, kind }) => kind ?? type);
  assert.ok(units.indexOf('message') < units.lastIndexOf('keys_set'), 'keys travel behind the event');
  worker.commit();
  await sandbox.entry(acked);
});

test('a crash before the commit: delivered again, and it still decrypts', async (t) => {
  const { worker, me } = await paired(t);
  const contact = number();
  await inbound(contact, me, { type: 'text', text: 'one' });
  await worker.event('message', ({ text: of }) => (of as { body: string }).body === 'one');
  await new Promise((resolve) => setTimeout(resolve, 200));
  worker.autoCommit = false;
  const { ids } = (await inbound(contact, me, { type: 'text', text: 'two' })) as { ids: string[] };
  await worker.event('message', ({ text: of }) => (of as { body: string }).body === 'two');
  worker.kill();
  await worker.exited;
  const second = new Worker(t);
  for (const [session, stored] of worker.stored) second.stored.set(session, stored);
  await second.hello(sandbox.config);
  second.open('t/a', 3);
  await second.state('t/a', 'open');
  const again = await second.event('message', ({ id: of }) => of === ids[0]);
  const data = again.data as { text: unknown; offline: boolean };
  assert.deepEqual([data.text, data.offline], [{ body: 'two' }, true]);
  await sandbox.entry(({ kind, id: of }) => kind === 'inbound_acked' && of === ids[0]);
});

test('what is decrypted behind a lease that lapsed, in a process too busy to see it, comes whole to the next', async (t) => {
  // The end of a lease of this length is seen two seconds late, as after a freeze.
  const late =
    'const { setTimeout: start } = globalThis; globalThis.setTimeout = Object.assign((work, ms, ...more) => start(work, ms > 700 && ms <= 777 ? ms + 2000 : ms, ...more), start);';
  const { worker, me } = await paired(t, {}, ['--import', `data:text/javascript,${encodeURIComponent(late)}`, MAIN]);
  const contact = number();
  await inbound(contact, me, { type: 'text', text: 'a session' });
  await worker.event('message');
  worker.stopLease();
  worker.send({ type: 'lease', valid_ms: 777 });
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const { ids } = (await inbound(contact, me, { type: 'text', text: 'lapsed', count: 5 })) as { ids: string[] };
  assert.equal((await worker.state('t/a', 'closed', worker.frames.length)).reason, 'lease_lapsed');
  worker.kill();
  await worker.exited;
  const second = new Worker(t);
  for (const [session, stored] of worker.stored) second.stored.set(session, stored);
  await second.hello(sandbox.config);
  second.open('t/a', 3);
  await sandbox.entry(({ kind, id: of }) => kind === 'inbound_acked' && of === ids.at(-1));
  const told = second.frames.filter(({ type, kind }) => type === 'event' && kind === 'message');
  assert.deepEqual(
    told.map(({ data }) => (data as { id: string }).id),
    ids,
  );
});

test('a burst from many contacts: each message once, in order per chat, all acknowledged', async (t) => {
  const { worker, me } = await paired(t, { credit: 8 });
  const contacts = Array.from({ length: 5 }, number);
  await Promise.all(
    contacts.map(async (contact) => {
      for (let n = 0; n < 10; n++) await inbound(contact, me, { type: 'text', text: `m${n}` });
    }),
  );
  const messages = await until(() => {
    const found = worker.frames.filter(({ type, kind }) => type === 'event' && kind === 'message');
    return found.length >= 50 ? found : undefined;
  });
  for (const contact of contacts) {
    const bodies = messages
      .map(({ data }) => data as { chat: { pn: string }; text: { body: string } })
      .filter(({ chat }) => chat.pn === contact)
      .map(({ text: { body } }) => body);
    assert.deepEqual(
      bodies,
      Array.from({ length: 10 }, (_, n) => `m${n}`),
    );
  }
  await until(
    async () =>
      (await sandbox.journal()).filter(
        ({ kind, account }) =>
          (kind === 'inbound_acked' && account === me.slice(1)) || (kind === 'inbound_acked' && account === me),
      ).length >= 50 || undefined,
  );
});

test('sends while receiving: neither waits for ever', async (t) => {
  const { worker, me } = await paired(t);
  const [contact, to] = [number(), number()];
  const sends = Promise.all(
    Array.from({ length: 20 }, (_, n) =>
      worker.act('t/a', 2, 'send', { id: id(), to: { pn: to }, content: text(`s${n}`) }),
    ),
  );
  for (let n = 0; n < 20; n++) void inbound(contact, me, { type: 'text', text: `r${n}` });
  assert.ok((await sends).every(({ ok }) => ok === true));
  await until(() => worker.frames.filter(({ kind }) => kind === 'message').length >= 20 || undefined);
});

test('a server with another root is refused', async (t) => {
  const worker = new Worker(t);
  await worker.hello({ ...sandbox.config, whatsapp_root_key: '11'.repeat(32) });
  worker.open('t/a', 1);
  const closed = await worker.state('t/a', 'closed');
  assert.deepEqual([closed.reason, closed.retry], ['certificate_refused', false]);
  const own = new Worker(t);
  await own.hello({ whatsapp_url: sandbox.ready.ws_url });
  own.open('t/a', 1);
  assert.equal(
    (await own.state('t/a', 'closed')).reason,
    'certificate_refused',
    "WhatsApp's own root does not sign this one",
  );
});

test('a nack is the result, under its own code', async (t) => {
  const { worker, me } = await paired(t);
  for (const [code, name] of [
    [463, 'E_WHATSAPP_REACHOUT_LIMITED'],
    [479, 'E_WHATSAPP_STALE_SESSION'],
    [421, 'E_WHATSAPP_ADDRESSING'],
    [499, 'E_WHATSAPP_REJECTED'],
  ]) {
    await sandbox.post('/api/faults', { kind: 'nack', account: me, code });
    const result = await worker.act('t/a', 2, 'send', { id: id(), to: { pn: number() }, content: text('x') });
    assert.deepEqual([result.ok, result.code, result.uncertain], [false, name, false]);
  }
  assert.equal((await worker.act('t/a', 2, 'send', { id: id(), to: { pn: number() }, content: text('y') })).ok, true);
});

test('sends depart in order and wait for their acks together', async (t) => {
  const { worker, me } = await paired(t);
  const to = number();
  await worker.act('t/a', 2, 'send', { id: id(), to: { pn: to }, content: text('warm up') });
  await sandbox.post('/api/faults', { kind: 'ack_delay', account: me, delay_ms: 400, count: 10 });
  const ids = Array.from({ length: 10 }, id);
  const at = performance.now();
  const results = await Promise.all(
    ids.map((of) => worker.act('t/a', 2, 'send', { id: of, to: { pn: to }, content: text(of) })),
  );
  assert.ok(results.every(({ ok }) => ok === true));
  assert.ok(performance.now() - at < 2000, 'they waited one for another');
  const journal = (await sandbox.journal()).filter(
    ({ kind, id: of }) => kind === 'message' && ids.includes(String(of)),
  );
  assert.deepEqual(
    journal.map(({ id: of }) => of),
    ids,
  );
});

test('a connection lost before the ack is uncertain; the same id goes out again after a reopen', async (t) => {
  const { worker, me } = await paired(t);
  const [to, sent] = [number(), id()];
  await sandbox.post('/api/faults', { kind: 'ack_lost_close', account: me });
  const result = await worker.act('t/a', 2, 'send', { id: sent, to: { pn: to }, content: text('once') });
  assert.deepEqual([result.ok, result.code, result.uncertain], [false, 'E_CONNECTION_LOST', true]);
  const from = worker.frames.findIndex(({ type, ref }) => type === 'result' && ref === result.ref);
  const closed = await worker.state('t/a', 'closed', from);
  assert.deepEqual([closed.reason, closed.retry], ['connection_lost', true]);
  worker.open('t/a', 3);
  await worker.state('t/a', 'open', from);
  const again = await worker.act('t/a', 3, 'send', { id: sent, to: { pn: to }, content: text('once') });
  assert.equal(again.ok, true);
});

test('closed with what WhatsApp said: replaced, unlinked, banned, unavailable', async (t) => {
  for (const [kind, reason, retry] of [
    ['replaced', 'replaced', false],
    ['unlink', 'logged_out', false],
    ['unavailable', 'unavailable', true],
    ['banned', 'banned', false],
  ]) {
    const { worker, me } = await paired(t);
    const from = worker.frames.length;
    await sandbox.post('/api/faults', { kind, account: me });
    const closed = await worker.state('t/a', 'closed', from);
    assert.deepEqual([closed.reason, closed.retry], [reason, retry]);
    worker.kill();
  }
});

test('logs out: the device is gone at WhatsApp', async (t) => {
  const { worker } = await paired(t);
  const from = worker.frames.length;
  worker.send({ type: 'close', session: 't/a', incarnation: 2, how: 'logout' });
  assert.equal((await worker.state('t/a', 'closed', from)).reason, 'logged_out');
  worker.open('t/a', 3);
  const closed = await worker.next((f) => f.type === 'state' && f.state === 'closed' && f.incarnation === 3);
  assert.deepEqual([closed.reason, closed.code], ['logged_out', 401]);
});

test('resumes with stored credentials in another process; shutdown closes all and exits 0', async (t) => {
  const { worker } = await paired(t);
  worker.send({ type: 'shutdown' });
  assert.equal((await worker.next((f) => f.state === 'closed' && f.incarnation === 2)).reason, 'stopped');
  assert.equal(await worker.exited, 0);
  const second = new Worker(t);
  for (const [session, stored] of worker.stored) second.stored.set(session, stored);
  await second.hello(sandbox.config);
  second.open('t/a', 3);
  await second.state('t/a', 'open');
  assert.equal(
    (await second.act('t/a', 3, 'send', { id: id(), to: { pn: number() }, content: text('back') })).ok,
    true,
  );
});
