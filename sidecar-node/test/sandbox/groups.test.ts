import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Gateway, SandboxProcess, until } from './harness.ts';

const [ACCOUNT, OTHER, ANA, BIA] = ['5511900000051', '5511900000052', '5511911111161', '5511911111162'];
const sandbox = new SandboxProcess();
const one = new Gateway(sandbox);
const two = new Gateway(sandbox);
let group = '';

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

test('A gateway creates a group and sees its members by LID and number.', async () => {
  const created = await one.socket.groupCreate('Team', [`${ANA}@s.whatsapp.net`, `${OTHER}@s.whatsapp.net`]);
  group = created.id;
  const metadata = await two.socket.groupMetadata(group);
  assert.equal(metadata.subject, 'Team');
  assert.equal(metadata.participants.length, 3);
  assert.ok(
    metadata.participants.every(
      ({ id, phoneNumber }) => id.endsWith('@lid') && phoneNumber?.endsWith('@s.whatsapp.net'),
    ),
  );
  assert.deepEqual(Object.keys(await one.socket.groupFetchAllParticipating()), [group]);
});

test('What a gateway writes to a group is decrypted by every phone and by the other gateway.', async () => {
  for (const text of ['first in the group', 'second in the group']) {
    const id = await one.send(group, { text });
    for (const contact of [ANA, OTHER]) {
      const entry = await sandbox.entry({ id, contact, kind: 'message' });
      assert.deepEqual([entry.text, entry.group], [text, group]);
    }
    await until('the other gateway has it', () => two.received(text).length === 1);
  }
});

test('What a contact writes to a group reaches every gateway with the author and the number.', async () => {
  for (const text of ['from Ana', 'from Ana again']) {
    await sandbox.call('POST', `/api/contacts/${ANA}/send`, { to: group, text });
    for (const gateway of [one, two]) {
      const [message] = await until('it arrives', () =>
        gateway.received(text).length === 1 ? gateway.received(text) : undefined,
      );
      assert.equal(message?.key.remoteJid, group);
      assert.match(message?.key.participant ?? '', /@lid$/);
      assert.equal((message?.key as { participantAlt?: string }).participantAlt, `${ANA}@s.whatsapp.net`);
    }
  }
});

test('A member that is added gets what is written from then on, and one that left gets nothing.', async () => {
  await one.socket.groupParticipantsUpdate(group, [`${BIA}@s.whatsapp.net`], 'add');
  const id = await one.send(group, { text: 'welcome' });
  assert.equal((await sandbox.entry({ id, contact: BIA, kind: 'message' })).text, 'welcome');
  await sandbox.call('POST', `/api/contacts/5511911111169/send`, { to: group, text: 'I am no member' }, 403);
});

test('A group message that a gateway cannot decrypt is sent to it again.', async () => {
  await sandbox.call('POST', '/api/faults', { kind: 'undecryptable', account: OTHER, count: 1 });
  for (const key of [...two.keys.keys()].filter((each) => each.startsWith('sender-key/'))) two.keys.delete(key);
  const { ids } = await sandbox.call('POST', `/api/contacts/${BIA}/send`, { to: group, text: 'again in the group' });
  await until('it arrives', () => two.received('again in the group').length === 1);
  await sandbox.entry({ id: ids[0], account: OTHER, kind: 'gateway_retry' });
});

test('A group of the control interface is known to its members.', async () => {
  const made = await sandbox.call('POST', '/api/groups', {
    subject: 'Made here',
    owner: ANA,
    participants: [ANA, ACCOUNT],
  });
  assert.equal((await one.socket.groupMetadata(made.id)).owner?.endsWith('@lid'), true);
});
