import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Gateway, SandboxProcess, until } from './harness.ts';

const ACCOUNT = '5511900000021';
const CONTACT = '5511911111131';
const sandbox = new SandboxProcess();
const gateway = new Gateway(sandbox);

before(async () => {
  await sandbox.start();
  await gateway.pair(ACCOUNT);
});
after(async () => {
  await gateway.close();
  await sandbox.dispose();
});

const receive = async (text: string): Promise<string> =>
  (await sandbox.call('POST', `/api/contacts/${CONTACT}/send`, { to: ACCOUNT, text })).ids[0];

test('Messages that come while the gateway is away are delivered at its next login, in order and marked offline.', async () => {
  await receive('present');
  await until('it arrives', () => gateway.received('present').length === 1);
  await gateway.close();
  const { ids } = await sandbox.call('POST', `/api/contacts/${CONTACT}/send`, {
    to: ACCOUNT,
    text: 'away',
    count: 150,
  });
  assert.equal(ids.length, 150);
  await gateway.reopen();
  await until('all arrive', () => gateway.received('away 150').length === 1);
  const order = gateway.upserts.filter(({ message }) => message.message?.conversation?.startsWith('away'));
  assert.deepEqual(
    order.map(({ message }) => message.key.id),
    ids,
  );
  assert.ok(order.every(({ type }) => type === 'append'));
  await until(
    'all are acknowledged',
    async () => (await sandbox.call('GET', '/api/journal/summary'))[ACCOUNT].inbound_pending === 0,
  );
});

test('A message that was delivered but not acknowledged is delivered again at the next login.', async () => {
  // The gateway's frames stay in its hands, as when its output-commit gate is closed.
  const held = gateway.socket.ws as unknown as { socket: { send: (data: Uint8Array, done?: () => void) => void } };
  held.socket.send = (_data, done) => done?.();
  const id = await receive('held');
  await until('it arrives', () => gateway.received('held').length === 1);
  assert.equal((await sandbox.entries({ id, kind: 'inbound_acked' })).length, 0);
  gateway.reconnect = false;
  (gateway.socket.ws as unknown as { socket: { terminate: () => void } }).socket.terminate();
  await until(
    'it is offline',
    async () => !(await sandbox.call('GET', '/api/state')).phones[0].companions[0].connected,
  );
  await gateway.reopen();
  const entry = await sandbox.entry({ id, kind: 'inbound_acked' });
  // Its ratchet step was stored, so Baileys sees a repeat and says so in its nack.
  assert.equal(entry.error, 487);
});

test('After a kill -9 of the sandbox, devices resume without a QR and what was queued is delivered.', async () => {
  await gateway.close();
  const id = await receive('before the crash');
  await sandbox.killAndRestart();
  gateway.qr = undefined;
  await gateway.reopen();
  await until('it arrives', () => gateway.received('before the crash').length === 1);
  await sandbox.entry({ id, kind: 'inbound_acked' });
  assert.equal(gateway.qr, undefined);
  const sent = await gateway.send(CONTACT, { text: 'after the crash' });
  assert.equal((await sandbox.entry({ id: sent, kind: 'message' })).text, 'after the crash');
  await receive('and back');
  await until('it arrives', () => gateway.received('and back').length === 1);
});

test("Receipts that are due later survive a kill -9, and so does a contact's behaviour.", async () => {
  await sandbox.call('PATCH', `/api/contacts/${CONTACT}`, { behaviour: { deliver_delay_ms: 400, read_delay_ms: 100 } });
  const id = await gateway.send(CONTACT, { text: 'late' });
  await until('it is acknowledged', () => gateway.ack(id));
  await sandbox.killAndRestart();
  await gateway.open();
  await until('it is read', () => gateway.status(id) === 4);
  assert.equal((await sandbox.call('GET', `/api/contacts/${CONTACT}`)).behaviour.read_delay_ms, 100);
});

test('A kill -9 amid traffic both ways loses nothing and breaks no session.', async () => {
  await sandbox.call('PATCH', `/api/contacts/${CONTACT}`, { behaviour: { deliver_delay_ms: 0, read_delay_ms: 0 } });
  const ids = Array.from({ length: 60 }, (_, index) => `3EB0${String(index).padStart(18, '0')}`);
  const inbound: string[] = [];
  const send = async (id: string): Promise<void> => {
    // As a gateway does: the same id again until the server has acknowledged it.
    await until(`${id} is acknowledged`, async () => {
      if (gateway.isOpen) await gateway.send(CONTACT, { text: `out ${id}` }, { messageId: id }).catch(() => undefined);
      return await until('an ack', () => gateway.ack(id), 300).catch(() => undefined);
    });
  };
  const traffic = (async () => {
    for (const [index, id] of ids.entries()) {
      await send(id);
      if (index % 3 === 0)
        await receive(`in ${index}`).then(
          (each) => inbound.push(each),
          () => undefined,
        );
    }
  })();
  for (const after of [10, 30]) {
    await until('some were sent', () => gateway.ack(ids[after] as string));
    await sandbox.killAndRestart();
  }
  await traffic;
  await until(
    'all inbound are acknowledged',
    async () => (await sandbox.call('GET', '/api/journal/summary'))[ACCOUNT].inbound_pending === 0,
  );
  const shown = new Set((await sandbox.entries({ account: ACCOUNT, kind: 'message' })).map(({ id }) => id));
  assert.deepEqual(
    ids.filter((id) => !shown.has(id)),
    [],
  );
  const received = new Set(gateway.messages.map(({ key }) => key.id));
  assert.deepEqual(
    inbound.filter((id) => !received.has(id)),
    [],
  );
  assert.equal((await sandbox.entries({ account: ACCOUNT, kind: 'decrypt_failed' })).length, 0);
});

test('The sandbox ends cleanly on SIGTERM.', async () => {
  await gateway.close();
  assert.equal(await sandbox.stop('SIGTERM'), 0);
  await sandbox.start();
});
