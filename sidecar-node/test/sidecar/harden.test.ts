import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { errorText, redact, silenceConsole } from '../../src/logs.ts';

const SRC = fileURLToPath(new URL('../../src/', import.meta.url));

/** Runs a script in a process of its own: hardening is for the whole process. */
function run(script: string): string {
  const args = ['--input-type=module', '-e', `const SRC = ${JSON.stringify(SRC)};\n${script}`];
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return stdout.trim();
}

const HARDENED = `
  const { patchSources, hardenLibrary } = await import(SRC + 'engines/baileys/harden.ts');
  patchSources();
  const baileys = await import('file://' + SRC + '../node_modules/baileys/lib/index.js');
  hardenLibrary(baileys, {});
  const { Curve } = baileys;`;

test('Curve.verify is honest: a true signature passes, every false one fails', () => {
  const answers = run(`${HARDENED}
    const pair = Curve.generateKeyPair(), other = Curve.generateKeyPair(), message = Buffer.from('message');
    const signature = Curve.sign(pair.private, message);
    const flipped = Buffer.from(signature); flipped[5] ^= 1;
    console.log([
      Curve.verify(pair.public, message, signature), Curve.verify(other.public, message, signature),
      Curve.verify(pair.public, Buffer.from('massage'), signature), Curve.verify(pair.public, message, flipped),
      Curve.verify(pair.public, message, Buffer.alloc(64)), Curve.verify(pair.public, message, Buffer.alloc(0)),
      Curve.verify(Buffer.alloc(32), message, Buffer.alloc(64)),
    ].join());`);
  assert.equal(answers, 'true,false,false,false,false,false,false');
});

test('a signed prekey with a false signature begins no session', () => {
  const answers = run(`${HARDENED}
    const libsignal = (await import('file://' + SRC + '../node_modules/libsignal/index.js')).default;
    const key = (of) => baileys.generateSignalPubKey(of);
    const identity = Curve.generateKeyPair(), signed = Curve.generateKeyPair(), one = Curve.generateKeyPair();
    const good = Curve.sign(identity.private, key(signed.public));
    const own = Curve.generateKeyPair();
    const storage = {
      isTrustedIdentity: () => true, loadSession: async () => null, storeSession: async () => {},
      getOurIdentity: () => ({ privKey: own.private, pubKey: key(own.public) }), getOurRegistrationId: () => 1,
    };
    const begin = (signature) => new libsignal.SessionBuilder(storage, new libsignal.ProtocolAddress('x', 0)).initOutgoing({
      identityKey: key(identity.public), registrationId: 5,
      signedPreKey: { keyId: 1, publicKey: key(signed.public), signature }, preKey: { keyId: 2, publicKey: key(one.public) },
    }).then(() => 'begun', (error) => error.message);
    console.log(await begin(good), '|', await begin(Buffer.alloc(64)));`);
  assert.equal(answers, 'begun | signed prekey signature invalid');
});

test('Baileys loaded without its seam is refused', () => {
  const answer = run(`
    const baileys = await import('file://' + SRC + '../node_modules/baileys/lib/index.js');
    const { hardenLibrary } = await import(SRC + 'engines/baileys/harden.ts');
    try { hardenLibrary(baileys, {}); console.log('accepted'); } catch (error) { console.log(error.name); }`);
  assert.equal(answer, 'UnfitDependency');
});

test('numbers, jids, ids and keys do not pass the redaction', () => {
  assert.equal(redact('failed for 5511999990001@s.whatsapp.net'), 'failed for #');
  assert.equal(redact('id 3EB00123456789ABCDEF01 gone'), 'id # gone');
  assert.ok(!redact(`key ${Buffer.alloc(32, 200).toString('base64')}`).includes('yMjI'));
  assert.equal(errorText(new Error('Bad MAC')), 'Error: Bad MAC');
});

test('a silenced console prints nothing', () => {
  const printed = run(`const { silenceConsole } = await import(SRC + 'logs.ts'); silenceConsole();
    for (const name of ['log', 'info', 'warn', 'error', 'debug', 'trace', 'dir', 'table']) console[name]('secret');`);
  assert.equal(printed, '');
  assert.equal(typeof silenceConsole, 'function');
});
