import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Gateway, SandboxProcess, until } from './harness.ts';

const sandbox = new SandboxProcess();
const gateways: Gateway[] = [];
const gateway = (): Gateway => {
  const made = new Gateway(sandbox);
  gateways.push(made);
  return made;
};

before(() => sandbox.start());
after(async () => {
  for (const each of gateways) await each.close();
  await sandbox.dispose();
});

test('A device pairs by QR, is told to restart with 515 and logs in with its jid and lid.', async () => {
  const paired = await gateway().pair('5511900000001');
  assert.deepEqual(paired.closes, [515]);
  assert.match(paired.creds.me?.id ?? '', /^5511900000001:1@s\.whatsapp\.net$/);
  assert.match(paired.creds.me?.lid ?? '', /^\d+:1@lid$/);
});

test('A text reaches the contact and its ack, delivered and read receipts come back.', async () => {
  const paired = gateways[0] as Gateway;
  const id = await paired.send('5511911111111', { text: 'olá' });
  const entry = await sandbox.entry({ id, kind: 'message' });
  assert.equal(entry['text'], 'olá');
  await until('it is read', () => paired.status(id) === 4);
  assert.ok(paired.ack(id));
});

test('A text from a contact arrives once and is acknowledged.', async () => {
  const paired = gateways[0] as Gateway;
  await sandbox.call('POST', '/api/contacts/5511911111111/send', { to: '5511900000001', text: 'bom dia' });
  await until('it arrives', () => paired.received('bom dia').length === 1);
  await sandbox.entry({ account: '5511900000001', kind: 'inbound_acked' });
});
