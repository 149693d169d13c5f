/** Two people who begin a session with each other at the same time, through libsignal itself. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import '../../sandbox/quiet.ts';
import { ProtocolAddress, SessionBuilder, SessionCipher, SessionRecord } from 'libsignal';
import { cleanTrials } from '../../src/engines/baileys/trials.ts';

interface Pair {
  pubKey: Buffer;
  privKey: Buffer;
}

/** What its typings leave out. */
const { curve, keyhelper } = createRequire(import.meta.url)('libsignal') as {
  curve: { generateKeyPair(): Pair };
  keyhelper: {
    generatePreKey(id: number): { keyId: number; keyPair: Pair };
    generateSignedPreKey(identity: Pair, id: number): { keyId: number; keyPair: Pair; signature: Buffer };
  };
};

class Person {
  readonly address: ProtocolAddress;
  readonly identity: Pair = curve.generateKeyPair();
  readonly #signed = keyhelper.generateSignedPreKey(this.identity, 1);
  readonly #once = keyhelper.generatePreKey(1);
  #sessions = new Map<string, string>();

  constructor(name: string) {
    this.address = new ProtocolAddress(name, 1);
  }

  get #storage() {
    const own = ({ privKey, pubKey }: Pair) => ({ privKey: Buffer.from(privKey), pubKey: Buffer.from(pubKey) });
    return {
      loadSession: async (of: string) => {
        const stored = this.#sessions.get(of);
        return stored && SessionRecord.deserialize(JSON.parse(stored));
      },
      storeSession: async (of: string, record: SessionRecord) =>
        void this.#sessions.set(of, JSON.stringify(record.serialize())),
      isTrustedIdentity: () => true,
      loadPreKey: async () => own(this.#once.keyPair),
      removePreKey: () => undefined,
      loadSignedPreKey: () => own(this.#signed.keyPair),
      getOurRegistrationId: () => 1,
      getOurIdentity: () => own(this.identity),
    };
  }

  get bundle() {
    const { keyId, keyPair, signature } = this.#signed;
    return {
      registrationId: 1,
      identityKey: this.identity.pubKey,
      signedPreKey: { keyId, publicKey: keyPair.pubKey, signature },
      preKey: { keyId: 1, publicKey: this.#once.keyPair.pubKey },
    };
  }

  async begin(other: Person): Promise<void> {
    await new SessionBuilder(this.#storage as never, other.address).initOutgoing(other.bundle as never);
  }

  write(other: Person, words: string) {
    return new SessionCipher(this.#storage as never, other.address).encrypt(Buffer.from(words));
  }

  async read(other: Person, { type, body }: { type: number; body: unknown }): Promise<string> {
    const cipher = new SessionCipher(this.#storage as never, other.address);
    const bytes = Buffer.from(body as Buffer);
    return String(await (type === 3 ? cipher.decryptPreKeyWhisperMessage(bytes) : cipher.decryptWhisperMessage(bytes)));
  }
}

test('a message in an older session leaves the open one as it was', async () => {
  cleanTrials();
  const [ana, bia] = [new Person('ana'), new Person('bia')];
  await ana.begin(bia);
  await bia.begin(ana);
  const [hers, his] = [await ana.write(bia, 'from ana'), await bia.write(ana, 'from bia')];
  assert.equal(await bia.read(ana, hers), 'from ana');
  assert.equal(await ana.read(bia, his), 'from bia');
  // Each answers in the session that the other began, so both read in one that is not their newest.
  const [answer, other] = [await bia.write(ana, 'answer'), await ana.write(bia, 'other')];
  assert.equal(await ana.read(bia, answer), 'answer');
  assert.equal(await bia.read(ana, other), 'other');
  for (const words of ['one', 'two']) {
    assert.equal(await bia.read(ana, await ana.write(bia, words)), words);
    assert.equal(await ana.read(bia, await bia.write(ana, words)), words);
  }
});
