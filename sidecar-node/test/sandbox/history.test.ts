import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { proto } from 'baileys';
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

const words = ({ messages }: { messages: { message?: { conversation?: string | null } | null }[] }): string[] =>
  messages.map(({ message }) => message?.conversation ?? '');

test('A phone that holds much tells it in parts, and how far it is.', async () => {
  const account = '5511900000062';
  const contact = '5511911111172';
  await sandbox.call('POST', `/api/phones/${account}/past`, { contact, text: 'long ago', count: 300 });
  const gateway = new Gateway(sandbox, { shouldSyncHistoryMessage: () => true });
  gateways.push(gateway);
  await gateway.pair(account);
  await until('all parts arrive', () => gateway.histories.some(({ progress }) => progress === 100));
  const told = gateway.histories.flatMap(words);
  assert.equal(new Set(told).size, 300);
  assert.ok(told.includes('long ago 1') && told.includes('long ago 300'));
});

test('Asked for what is older than a message, a phone answers that, and whether there is more.', async () => {
  const account = '5511900000063';
  const contact = '5511911111173';
  await sandbox.call('POST', `/api/phones/${account}/past`, { contact, text: 'old', count: 7 });
  await sandbox.call('POST', `/api/phones/${account}/past`, { contact: '5511911111174', text: 'of another chat' });
  const gateway = new Gateway(sandbox, {
    shouldSyncHistoryMessage: ({ syncType }) => syncType === proto.HistorySync.HistorySyncType.ON_DEMAND,
  });
  gateways.push(gateway);
  await gateway.pair(account);
  await gateway.send(contact, { text: 'to know the chat' });
  const remoteJid = `${contact}@s.whatsapp.net`;
  const ask = async (id: string, count: number) => {
    const request = await gateway.socket.fetchMessageHistory(count, { remoteJid, id, fromMe: false }, Date.now());
    const answer = await until('the phone answers', () =>
      gateway.histories.find(({ peerDataRequestSessionId }) => peerDataRequestSessionId === request),
    );
    return { texts: words(answer).sort(), ids: answer.messages.map(({ key }) => key.id ?? ''), chat: answer.chats[0] };
  };
  const { COMPLETE_ON_DEMAND_SYNC_BUT_MORE_MSG_REMAIN_ON_PRIMARY: MORE } = proto.Conversation.EndOfHistoryTransferType;
  const [first] = (await sandbox.entries({ account, kind: 'past', contact })).slice(-1);
  const newest = await ask(String(first?.id), 4);
  assert.deepEqual(newest.texts, ['old 3', 'old 4', 'old 5', 'old 6']);
  assert.equal(newest.chat?.endOfHistoryTransferType, MORE);
  const rest = await ask(newest.ids.at(-1) ?? '', 4);
  assert.deepEqual(rest.texts, ['old 1', 'old 2']);
  assert.deepEqual((await ask(rest.ids.at(-1) ?? '', 4)).texts, []);
});
