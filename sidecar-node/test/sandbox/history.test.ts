import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Gateway, SandboxProcess, until } from './harness.ts';

const ACCOUNT = '5511900000061';
const sandbox = new SandboxProcess(['--history']);
const gateways: Gateway[] = [];

before(() => sandbox.start());
after(async () => {
  for (const each of gateways) await each.close();
  await sandbox.dispose();
});

test('A device that is linked later gets the chats so far from its phone, at once.', async () => {
  const first = new Gateway(sandbox);
  gateways.push(first);
  await first.pair(ACCOUNT);
  const id = await first.send('5511911111171', { text: 'before' });
  await sandbox.entry({ id, kind: 'message' });

  const second = new Gateway(sandbox, { shouldSyncHistoryMessage: () => true });
  gateways.push(second);
  await second.pair(ACCOUNT);
  await until('the history arrives', () => second.histories.length > 0);
  assert.ok(second.histories[0]?.messages.some(({ key }) => key.id === id));

  // And what one device sends is seen by the other.
  const own = await first.send('5511911111171', { text: 'from the first device' });
  await until('the second device sees it', () => second.messages.some(({ key }) => key.id === own && key.fromMe));
});
