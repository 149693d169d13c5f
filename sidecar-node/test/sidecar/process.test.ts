import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { encode } from '@msgpack/msgpack';
import { until } from './sandbox.ts';
import { Worker } from './worker.ts';

/** An address where something accepts and says nothing. */
async function silentServer(t: { after(work: () => void): void }): Promise<{ url: string; connections: () => number }> {
  const open = new Set<import('node:net').Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket
      .on('error', () => {})
      .on('close', () => open.delete(socket))
      .resume();
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  t.after(() => {
    server.close();
    for (const socket of open) socket.destroy();
  });
  return { url: `ws://127.0.0.1:${port}/ws/chat`, connections: () => open.size };
}

test('another protocol version ends with a fatal frame and exit code 64', async (t) => {
  const worker = new Worker(t);
  worker.send({ type: 'hello', protocol: 2, worker: 'test', config: {} });
  const fatal = await worker.next(({ type }) => type === 'fatal');
  assert.equal(fatal.code, 'E_SIDECAR_PROTOCOL');
  assert.equal(await worker.exited, 64);
});

test('a stream that lost its framing ends the process with exit code 65', async (t) => {
  const worker = new Worker(t);
  await worker.hello();
  worker.stream.write(Buffer.from([0xff, 0xff, 0xff, 0xff, 1, 2, 3]));
  assert.equal(await worker.exited, 65);
});

test('an unfit root key ends with exit code 66', async (t) => {
  const worker = new Worker(t);
  worker.send({ type: 'hello', protocol: 1, worker: 'test', config: { whatsapp_root_key: 'ab' } });
  assert.equal((await worker.next(({ type }) => type === 'fatal')).code, 'E_ENGINE_UNAVAILABLE');
  assert.equal(await worker.exited, 66);
});

test('hello answers with what there is; unknown frames, sessions and engines are survived', async (t) => {
  const worker = new Worker(t);
  const hello = await worker.hello();
  const engines = hello.engines as Record<string, { version: string; capabilities: string[] }>;
  assert.equal(engines.baileys?.version, '7.0.0-rc14');
  assert.ok(engines.baileys?.capabilities.includes('text'));
  worker.send({ type: 'new_in_version_9', x: 1 });
  worker.send({ type: 'committed', session: 't/none', incarnation: 1, unit: 5 });
  worker.send({ type: 'close', session: 't/none', incarnation: 1, how: 'stop' });
  const result = await worker.act('t/none', 1, 'send', { id: 'X', to: {}, content: {} });
  assert.equal(result.code, 'E_SESSION_NOT_READY');
  worker.open('t/a', 1, { engine: 'nonesuch' });
  assert.equal((await worker.state('t/a', 'closed')).reason, 'engine_error');
  worker.send({ type: 'shutdown' });
  assert.equal(await worker.exited, 0);
});

test('end of file ends the process at once', async (t) => {
  const worker = new Worker(t);
  await worker.hello();
  worker.stream.end();
  assert.equal(await worker.exited, 0);
});

test('a lapsed lease destroys every socket and refuses new ones until it is renewed', async (t) => {
  const server = await silentServer(t);
  const worker = new Worker(t);
  await worker.hello({ whatsapp_url: server.url }, false);
  worker.send({ type: 'lease', valid_ms: 400 });
  worker.open('t/a', 1);
  worker.open('t/b', 1);
  await until(() => server.connections() === 2);
  assert.equal((await worker.state('t/a', 'closed')).reason, 'lease_lapsed');
  assert.equal((await worker.state('t/b', 'closed')).retry, true);
  await until(() => server.connections() === 0);
  const from = worker.frames.length;
  worker.open('t/a', 2);
  assert.equal((await worker.state('t/a', 'closed', from)).reason, 'lease_lapsed');
  worker.send({ type: 'lease', valid_ms: 5000 });
  worker.open('t/a', 3);
  await until(() => server.connections() === 1);
});

test('frames of another incarnation are dropped; a newer open takes the place of the old', async (t) => {
  const server = await silentServer(t);
  const worker = new Worker(t);
  await worker.hello({ whatsapp_url: server.url });
  worker.open('t/a', 5);
  await worker.state('t/a', 'connecting');
  worker.send({ type: 'close', session: 't/a', incarnation: 4, how: 'stop' });
  worker.open('t/a', 6);
  const closed = await worker.state('t/a', 'closed');
  assert.deepEqual([closed.incarnation, closed.reason], [5, 'stopped']);
  await until(() => server.connections() === 1);
  worker.send({ type: 'close', session: 't/a', incarnation: 6, how: 'stop' });
  const last = await worker.next((f) => f.type === 'state' && f.state === 'closed' && f.incarnation === 6);
  assert.equal(last.reason, 'stopped');
  await until(() => server.connections() === 0);
});

test('nobody at the address: connection_lost, to be tried again', async (t) => {
  const worker = new Worker(t);
  await worker.hello({ whatsapp_url: 'ws://127.0.0.1:9/ws/chat' });
  worker.open('t/a', 1);
  const closed = await worker.state('t/a', 'closed');
  assert.deepEqual([closed.reason, closed.retry], ['connection_lost', true]);
});

test('bad credentials close their own session only', async (t) => {
  const server = await silentServer(t);
  const worker = new Worker(t);
  await worker.hello({ whatsapp_url: server.url });
  worker.open('t/good', 1);
  await worker.state('t/good', 'connecting');
  worker.open('t/bad', 1, { creds: Buffer.from([0xc1]) });
  worker.open('t/worse', 1, { creds: encode({ me: 5 }) });
  assert.equal((await worker.state('t/bad', 'closed')).reason, 'engine_error');
  await worker.state('t/worse', 'closed');
  assert.equal(server.connections(), 1);
  assert.equal(worker.output, '');
});
