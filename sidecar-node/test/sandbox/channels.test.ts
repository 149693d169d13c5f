import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Gateway, SandboxProcess, until } from './harness.ts';

const [ACCOUNT, OTHER, ANA] = ['5511900000061', '5511900000062', '5511911111181'];
const sandbox = new SandboxProcess();
const one = new Gateway(sandbox);
const two = new Gateway(sandbox);
let channel = '';

before(async () => {
  await sandbox.start();
  await one.pair(ACCOUNT);
  await two.pair(OTHER);
});
after(async () => {
  await one.close();
  await two.close();
  await sandbox.dispose();
});

test("Baileys' own calls make a channel, find it by its link, follow, mute and leave it.", async () => {
  const made = await one.socket.newsletterCreate('Team', 'News of the team');
  channel = made.id;
  assert.deepEqual([made.name, made.subscribers], ['Team', 0]);
  const found = await two.socket.newsletterMetadata('invite', made.invite as string);
  assert.equal(found?.id, channel);
  await two.socket.newsletterFollow(channel);
  await two.socket.newsletterMute(channel);
  const seen = (await two.socket.newsletterMetadata('jid', channel)) as unknown as { viewer_metadata: unknown };
  assert.deepEqual(seen.viewer_metadata, { role: 'SUBSCRIBER', mute: 'ON' });
  await two.socket.newsletterUnmute(channel);
  await assert.rejects(two.socket.newsletterDelete(channel), /Only its owner/);
  await assert.rejects(two.socket.newsletterFollow('120363000000000001@newsletter'), /no such channel/);
});

test('What a gateway posts reaches the followers: phones in the journal, gateways as a message.', async () => {
  await sandbox.call('POST', '/api/channels/follow', { channel, by: ANA });
  const id = await one.send(channel, { text: 'first post' });
  const entry = await sandbox.entry({ id, contact: ANA, kind: 'message' });
  assert.deepEqual([entry.text, entry.group], ['first post', channel]);
  const [message] = await until('it arrives', () =>
    two.received('first post').length === 1 ? two.received('first post') : undefined,
  );
  assert.equal(message?.key.remoteJid, channel);
  await sandbox.entry({ id, account: OTHER, kind: 'inbound_acked' });
  assert.equal(one.received('first post').length, 0, 'who posted it is told by the ack');
});

test('Who is not there or does not own the channel is refused.', async () => {
  await sandbox.call('POST', `/api/contacts/${ANA}/send`, { to: channel, text: 'not mine' }, 403);
  await sandbox.call('POST', '/api/channels/follow', { channel: '120363000000000001@newsletter', by: ANA }, 404);
});

test('Channels and their followers survive the death of the server.', async () => {
  await sandbox.killAndRestart();
  await two.reopen();
  const { thread_metadata: about } = (await two.socket.newsletterMetadata('jid', channel)) as unknown as {
    thread_metadata: { subscribers_count: string; name: { text: string } };
  };
  assert.deepEqual([about.name.text, about.subscribers_count], ['Team', '2']);
});
