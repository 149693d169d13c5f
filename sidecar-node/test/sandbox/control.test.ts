import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, before, test } from 'node:test';
import { Gateway, SandboxProcess, until } from './harness.ts';

const ACCOUNT = '5511900000041';
const CONTACT = '5511911111151';
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

const fault = (body: Record<string, unknown>) => sandbox.call('POST', '/api/faults', { account: ACCOUNT, ...body });

test('Bad requests are answered with a sentence and leave the sandbox running.', async () => {
  const cases: [string, string, Record<string, unknown> | undefined, number][] = [
    ['POST', '/api/phones', { number: 'abc' }, 400],
    ['POST', '/api/phones/12/scan', { qr: 'x' }, 400],
    ['POST', `/api/phones/${ACCOUNT}/scan`, {}, 400],
    ['POST', '/api/contacts', { number: CONTACT, behaviour: { nope: 1 } }, 400],
    ['POST', '/api/contacts', { number: CONTACT, behaviour: { read: 'yes' } }, 400],
    ['POST', `/api/contacts/${CONTACT}/send`, { to: '5511900000099', text: 'x' }, 404],
    ['POST', `/api/contacts/${CONTACT}/send`, { to: ACCOUNT }, 400],
    ['POST', `/api/contacts/${CONTACT}/send`, { to: ACCOUNT, type: 'hologram' }, 400],
    ['POST', `/api/contacts/${CONTACT}/send`, { to: ACCOUNT, text: 'x', count: -1 }, 400],
    ['POST', '/api/faults', { kind: 'nope' }, 400],
    ['POST', '/api/faults', { kind: 'nack', probability: 7 }, 400],
    ['GET', '/api/journal?after=x', undefined, 400],
    ['GET', '/api/contacts/5511977777777', undefined, 404],
    ['GET', '/api/nothing', undefined, 404],
    ['DELETE', '/api/state', undefined, 405],
    ['GET', '/api/contacts/%E0%A4%A', undefined, 400],
  ];
  for (const [method, path, body, status] of cases) {
    const { error } = await sandbox.call(method, path, body, status);
    assert.match(error, /\.$/, `${method} ${path}`);
  }
  const notJson = await fetch(`${sandbox.ready.http_url}/api/phones`, {
    method: 'POST',
    body: '{',
    headers: { 'content-type': 'application/json' },
  });
  assert.equal(notJson.status, 400);
});

test('A request under another host name, or from a page of another site, is refused.', async () => {
  for (const headers of [{ host: 'evil.example' }, { origin: 'https://evil.example' }, { origin: 'null' }]) {
    const status = await new Promise((resolve, reject) => {
      request(`${sandbox.ready.http_url}/api/state`, { headers }, (response) => resolve(response.resume().statusCode))
        .on('error', reject)
        .end();
    });
    assert.equal(status, 403);
  }
});

test('The page is served and refers to no other address.', async () => {
  const response = await fetch(sandbox.ready.http_url);
  const page = await response.text();
  assert.equal(response.status, 200);
  assert.doesNotMatch(page, /(src|href)\s*=\s*"?(https?:)?\/\//);
});

test('Garbage on the WebSocket closes that connection only.', async () => {
  const socket = new WebSocket(sandbox.ready.ws_url);
  const closed = new Promise((resolve) => socket.addEventListener('close', resolve));
  socket.onopen = () => socket.send(new Uint8Array(64).fill(7));
  await closed;
  const id = await gateway.send(CONTACT, { text: 'still here' });
  await sandbox.entry({ id, kind: 'message' });
});

test('A stream error, a closed socket and a refusal each end the connection with their code, and it comes back.', async () => {
  for (const [body, code] of [
    [{ kind: 'stream_error', code: 503 }, 503],
    [{ kind: 'close' }, 428],
    [{ kind: 'unavailable' }, 503],
    [{ kind: 'stream_error', code: 515 }, 515],
  ] as const) {
    const before = gateway.closes.length;
    await fault(body);
    await until(`it closed with ${code}`, () => gateway.closes.length > before);
    assert.equal(gateway.closes[before], code);
    await gateway.open();
  }
});

test('A banned account is closed with 403 and refused with 403 until the ban is lifted.', async () => {
  const before = gateway.closes.length;
  await fault({ kind: 'banned', seconds: 60 });
  await until('it closed', () => gateway.closes.length > before);
  assert.equal(gateway.closes[before], 403);
  assert.equal(await gateway.refused(), 403);
  await sandbox.call('DELETE', '/api/faults?kind=banned');
  await gateway.reopen();
});

test('An ack that is lost with the connection leaves a message that the contact has, and a repeat when sent again.', async () => {
  await fault({ kind: 'ack_lost_close', count: 1 });
  const id = await gateway.send(CONTACT, { text: 'unsure' });
  await sandbox.entry({ id, kind: 'message' });
  await until('it closed', () => !gateway.isOpen || gateway.closes.at(-1) === 428);
  await gateway.open();
  await gateway.send(CONTACT, { text: 'unsure' }, { messageId: id });
  await sandbox.entry({ id, kind: 'repeat' });
  await until('it is acknowledged', () => gateway.ack(id));
});

test('Acks can be late or missing.', async () => {
  await fault({ kind: 'ack_delay', delay_ms: 150, count: 1 });
  const started = Date.now();
  const late = await gateway.send(CONTACT, { text: 'late ack' });
  await until('it is acknowledged', () => gateway.ack(late));
  assert.ok(Date.now() - started >= 150);
  await fault({ kind: 'drop_ack', count: 1 });
  const id = await gateway.send(CONTACT, { text: 'no ack' });
  const next = await gateway.send(CONTACT, { text: 'acked' });
  await until('the next is acknowledged', () => gateway.ack(next));
  assert.equal(gateway.ack(id), undefined);
});

test('A message that is delivered twice comes under one id.', async () => {
  await fault({ kind: 'duplicate_delivery', count: 1 });
  const { ids } = await sandbox.call('POST', `/api/contacts/${CONTACT}/send`, { to: ACCOUNT, text: 'twice' });
  await sandbox.entry({ id: ids[0], kind: 'inbound_acked' });
  // Baileys cannot read the second one, asks for it again, and then has it twice: whoever uses it goes by the id.
  await until('it arrives', () => gateway.received('twice').length > 0);
  assert.ok(gateway.received('twice').every(({ key }) => key.id === ids[0]));
});

test('A slow server delays frames and keeps their order, until the fault is cleared.', async () => {
  await fault({ kind: 'slow', delay_ms: 60 });
  const started = Date.now();
  await gateway.socket.fetchBlocklist();
  assert.ok(Date.now() - started >= 55);
  assert.equal((await sandbox.call('GET', '/api/state')).faults.length, 1);
  await sandbox.call('DELETE', '/api/faults');
  assert.equal((await sandbox.call('GET', '/api/state')).faults.length, 0);
  const id = await gateway.send(CONTACT, { text: 'fast again' });
  await until('it is read', () => gateway.status(id) === 4);
});

test('Connections are refused for a while and then accepted.', async () => {
  await gateway.close();
  await sandbox.call('POST', '/api/faults', { kind: 'refuse_connect', seconds: 0.5 });
  gateway.reconnect = true;
  assert.notEqual(await gateway.refused(), 0);
  await gateway.open();
});

test('Events are pushed to whoever follows them.', async () => {
  const stop = new AbortController();
  const response = await fetch(`${sandbox.ready.http_url}/api/events`, { signal: stop.signal });
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const id = await gateway.send(CONTACT, { text: 'followed' });
  let text = '';
  while (!text.includes(id)) text += Buffer.from((await reader.read()).value ?? []).toString();
  stop.abort();
});
