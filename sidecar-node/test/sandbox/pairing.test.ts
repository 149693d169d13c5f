import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { BufferJSON, WA_CERT_DETAILS } from 'baileys';
import { Gateway, SandboxProcess, until } from './harness.ts';

const sandbox = new SandboxProcess(['--qr-first-ms', '1200', '--qr-next-ms', '300']);
const gateways: Gateway[] = [];
const gateway = (...config: ConstructorParameters<typeof Gateway>[1][]): Gateway => {
  const made = new Gateway(sandbox, config[0]);
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
  const state = await sandbox.call('GET', '/api/state');
  assert.equal(state.phones[0].companions[0].connected, true);
});

test('A client that trusts another root refuses the certificate.', async () => {
  WA_CERT_DETAILS.PUBLIC_KEY = randomBytes(32);
  const stranger = gateway();
  await stranger.refused();
  sandbox.trust();
  assert.match(stranger.lastError, /certificate signature invalid/);
});

test('A QR that is malformed, unknown or of other keys is refused with a sentence.', async () => {
  const device = gateway().connect();
  const qr = await until('a QR is shown', () => device.qr);
  const scan = async (text: string, status: number): Promise<string> =>
    (await sandbox.call('POST', '/api/phones/5511900000002/scan', { qr: text }, status)).error;
  assert.match(await scan('hello', 400), /not a linking QR/);
  assert.match(await scan('2@none,a,b,c', 410), /No device/);
  const parts = qr.split(',');
  parts[1] = randomBytes(32).toString('base64');
  assert.match(await scan(parts.join(','), 400), /keys/);
  await device.close();
});

test('Refs expire one after the other and the last one ends the connection.', async () => {
  const device = gateway({ qrTimeout: 60_000 }).connect();
  device.reconnect = false;
  const qr = await until('a QR is shown', () => device.qr);
  await until('the first ref expired', async () => {
    const [pending] = (await sandbox.call('GET', '/api/state')).pending;
    return pending && !qr.includes(pending.ref);
  });
  const { error } = await sandbox.call('POST', '/api/phones/5511900000002/scan', { qr }, 410);
  assert.match(error, /expired/);
  await until('the connection ended', () => device.closes.length === 1);
});

test('A device pairs by a code of its own and by a custom one.', async () => {
  for (const [number, custom] of [
    ['5511900000003', undefined],
    ['5511900000004', 'ABCD2345'],
  ] as const) {
    const device = gateway().connect();
    await until('a QR is shown', () => device.qr);
    const code = await device.socket.requestPairingCode(number, custom);
    assert.equal(code, custom ?? code);
    await until('the phone knows of it', async () =>
      (await sandbox.call('GET', '/api/state')).pending.some(
        (each: { link_code_for?: string }) => each.link_code_for === number,
      ),
    );
    const { jid } = await sandbox.call('POST', `/api/phones/${number}/link-code`, {
      code: `${code.slice(0, 4)}-${code.slice(4)}`,
    });
    await device.open();
    assert.equal(device.creds.me?.id, jid);
  }
});

test('A wrong code is refused and the right one still links.', async () => {
  const device = gateway().connect();
  await until('a QR is shown', () => device.qr);
  const code = await device.socket.requestPairingCode('5511900000005');
  await until('the phone knows of it', async () =>
    (await sandbox.call('GET', '/api/state')).pending.some(
      (each: { link_code_for?: string }) => each.link_code_for === '5511900000005',
    ),
  );
  const { error } = await sandbox.call('POST', '/api/phones/5511900000005/link-code', { code: 'AAAA1111' }, 403);
  assert.match(error, /not the code/);
  await sandbox.call('POST', '/api/phones/5511900000005/link-code', { code });
  await device.open();
});

test('A second login with the same credentials closes the first with 440.', async () => {
  const first = gateways[0] as Gateway;
  const second = gateway();
  second.creds = JSON.parse(JSON.stringify(first.creds, BufferJSON.replacer), BufferJSON.reviver);
  for (const [key, value] of first.keys) second.keys.set(key, value);
  await second.connect().open();
  await until('the first is replaced', () => first.closes.includes(440));
  await second.close();
  await first.reopen();
});

test('An unlinked device is closed with 401 and refused with 401 afterwards.', async () => {
  const device = await gateway().pair('5511900000006');
  await sandbox.call('POST', '/api/phones/5511900000006/unlink', {});
  await until('it is closed', () => device.closes.includes(401));
  assert.equal(await device.refused(), 401);
});

test('A device that logs out is forgotten by its phone.', async () => {
  const device = await gateway().pair('5511900000007');
  await device.socket.logout();
  await until('it is forgotten', async () => {
    const phones = (await sandbox.call('GET', '/api/state')).phones as { number: string; companions: unknown[] }[];
    return phones.find(({ number }) => number === '5511900000007')?.companions.length === 0;
  });
});

test('Neither keys nor message texts appear in what the sandbox prints.', () => {
  assert.doesNotMatch(sandbox.output, /priv|SessionEntry|_chains|Closing|session:/i);
});
