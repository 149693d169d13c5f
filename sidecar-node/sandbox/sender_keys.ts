import './quiet.ts';
import {
  GroupCipher,
  GroupSessionBuilder,
  SenderKeyDistributionMessage,
  SenderKeyName,
  SenderKeyRecord,
} from 'baileys/lib/Signal/Group/index.js';
import { ProtocolAddress } from 'libsignal';
import type { Person } from './people.ts';
import type { Device } from './signal.ts';
import type { Store } from './store.ts';

/** Signal's sender keys, with which group messages are encrypted once for all members. */
export class SenderKeys {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  /** A sender's key reaches a member, inside a message for that member alone. */
  async learn(phone: Person, group: string, sender: Device, distribution: Uint8Array): Promise<void> {
    const message = new SenderKeyDistributionMessage(null, null, null, null, distribution);
    await new GroupSessionBuilder(this.#storageOf(phone)).process(nameOf(group, sender), message);
  }

  async decrypt(phone: Person, group: string, sender: Device, ciphertext: Buffer): Promise<Buffer> {
    return Buffer.from(await new GroupCipher(this.#storageOf(phone), nameOf(group, sender)).decrypt(ciphertext));
  }

  /** What a member sends: the ciphertext, and the key that recipients need, as it was before. */
  async encrypt(
    phone: Person,
    group: string,
    plaintext: Buffer,
  ): Promise<{ ciphertext: Buffer; distribution: Buffer }> {
    const storage = this.#storageOf(phone);
    const name = nameOf(group, { number: phone.number, device: 0 });
    const distribution = await new GroupSessionBuilder(storage).create(name);
    const ciphertext = await new GroupCipher(storage, name).encrypt(plaintext);
    return { ciphertext: Buffer.from(ciphertext), distribution: Buffer.from(distribution.serialize()) };
  }

  #storageOf(phone: Person) {
    return {
      loadSenderKey: async (name: SenderKeyName): Promise<SenderKeyRecord> => {
        const row = this.#store.get<{ record: string }>(
          'SELECT record FROM sender_key WHERE owner = ? AND name = ?',
          phone.number,
          name.toString(),
        );
        return row ? SenderKeyRecord.deserialize(Buffer.from(row.record)) : new SenderKeyRecord();
      },
      storeSenderKey: async (name: SenderKeyName, record: SenderKeyRecord): Promise<void> => {
        this.#store.run(
          'INSERT OR REPLACE INTO sender_key VALUES (?, ?, ?)',
          phone.number,
          name.toString(),
          JSON.stringify(record.serialize()),
        );
      },
    };
  }
}

function nameOf(group: string, { number, device }: Device): SenderKeyName {
  return new SenderKeyName(group, new ProtocolAddress(number, device));
}
