import './quiet.ts';
import { ProtocolAddress, SessionBuilder, SessionCipher, SessionRecord, type SignalStorage } from 'libsignal';
import type { PreKey, SignedPreKey } from './companions.ts';
import { typed } from './curve.ts';
import type { People, Person } from './people.ts';
import type { Store } from './store.ts';

/** What the typings call a Uint8Array is a plain object of strings and numbers. */
type SerialisedRecord = Uint8Array;

export interface Ciphertext {
  readonly type: 'pkmsg' | 'msg';
  readonly body: Buffer;
}

export interface Bundle {
  readonly registrationId: number;
  readonly identityKey: Buffer;
  readonly signedPreKey: SignedPreKey;
  readonly preKey: PreKey | undefined;
}

export interface Device {
  readonly number: string;
  readonly device: number;
}

const SESSIONS_KEPT = 5_000;

/**
 * Signal for all the phones of this WhatsApp. Sessions live in memory in serialised form (libsignal changes a record
 * even when decrypting fails, so each attempt works on a copy) and reach the disk with the commit that carries what
 * was done with them.
 */
export class Signal {
  readonly #store: Store;
  readonly #people: People;
  readonly #sessions = new Map<string, SerialisedRecord>();
  readonly #changed = new Set<string>();

  constructor(store: Store, people: People) {
    this.#store = store;
    this.#people = people;
    store.beforeCommit(() => this.#write());
  }

  async decrypt(phone: Person, from: Device, ciphertext: Ciphertext): Promise<Buffer> {
    const cipher = new SessionCipher(this.#storageOf(phone), new ProtocolAddress(from.number, from.device));
    return ciphertext.type === 'pkmsg'
      ? await cipher.decryptPreKeyWhisperMessage(ciphertext.body)
      : await cipher.decryptWhisperMessage(ciphertext.body);
  }

  /** Encrypts for a device, starting a session from its bundle if there is none or a fresh one is asked for. */
  async encrypt(
    phone: Person,
    to: Device,
    plaintext: Buffer,
    bundle: () => Bundle,
    fresh = false,
  ): Promise<Ciphertext> {
    const storage = this.#storageOf(phone);
    const address = new ProtocolAddress(to.number, to.device);
    const known = fresh ? undefined : await storage.loadSession(address.toString());
    if (!known?.haveOpenSession()) {
      const keys = bundle();
      await new SessionBuilder(storage, address).initOutgoing({
        registrationId: keys.registrationId,
        identityKey: typed(keys.identityKey),
        signedPreKey: {
          keyId: keys.signedPreKey.id,
          publicKey: typed(keys.signedPreKey.publicKey),
          signature: keys.signedPreKey.signature,
        },
        // The typings demand a one-time prekey; the library works without one, as the protocol does.
        ...(keys.preKey ? { preKey: { keyId: keys.preKey.id, publicKey: typed(keys.preKey.publicKey) } } : {}),
      } as Parameters<SessionBuilder['initOutgoing']>[0]);
    }
    const { type, body } = await new SessionCipher(storage, address).encrypt(plaintext);
    return { type: type === 3 ? 'pkmsg' : 'msg', body: body as unknown as Buffer };
  }

  /** Forgets all sessions of a phone. */
  forgetOwn(phone: Person): void {
    for (const key of this.#sessions.keys()) {
      if (!key.startsWith(`${phone.number}/`)) continue;
      this.#sessions.delete(key);
      this.#changed.delete(key);
    }
    this.#store.run('DELETE FROM session WHERE owner = ?', phone.number);
  }

  /** Forgets every phone's session with a device that was removed. */
  forget(address: string): void {
    for (const key of this.#sessions.keys()) {
      if (!key.endsWith(`/${address}`)) continue;
      this.#sessions.delete(key);
      this.#changed.delete(key);
    }
  }

  #storageOf(phone: Person): SignalStorage {
    const keys = this.#people.keysOf(phone);
    return {
      loadSession: async (address) => this.#load(phone.number, address),
      storeSession: async (address, record) => this.#keep(phone.number, address, record),
      isTrustedIdentity: () => true,
      loadPreKey: async (id) => {
        const number = Number(id);
        if (!number || number >= phone.nextPreKey) return undefined;
        const pair = keys.preKey(number);
        return { privKey: pair.privateKey, pubKey: typed(pair.publicKey) };
      },
      // Prekeys are derived, and the server hands each out once: there is nothing to remove.
      removePreKey: () => undefined,
      loadSignedPreKey: () => {
        const pair = keys.signedPreKey();
        return { privKey: pair.privateKey, pubKey: typed(pair.publicKey) };
      },
      getOurRegistrationId: () => keys.registrationId,
      getOurIdentity: () => ({ privKey: keys.identity.privateKey, pubKey: typed(keys.identity.publicKey) }),
    };
  }

  #load(owner: string, address: string): SessionRecord | undefined {
    const key = `${owner}/${address}`;
    let record = this.#sessions.get(key);
    if (!record) {
      const row = this.#store.get<{ record: string }>(
        'SELECT record FROM session WHERE owner = ? AND address = ?',
        owner,
        address,
      );
      if (!row) return undefined;
      record = JSON.parse(row.record) as SerialisedRecord;
      this.#sessions.set(key, record);
    }
    return SessionRecord.deserialize(record);
  }

  #keep(owner: string, address: string, record: SessionRecord): void {
    const key = `${owner}/${address}`;
    // Re-inserted, so that the map's order is by last change and the oldest are dropped first.
    this.#sessions.delete(key);
    this.#sessions.set(key, record.serialize());
    this.#changed.add(key);
    this.#store.touch();
  }

  #write(): void {
    for (const key of this.#changed) {
      const slash = key.indexOf('/');
      this.#store.run(
        'INSERT OR REPLACE INTO session VALUES (?, ?, ?)',
        key.slice(0, slash),
        key.slice(slash + 1),
        JSON.stringify(this.#sessions.get(key)),
      );
    }
    this.#changed.clear();
    if (this.#sessions.size <= SESSIONS_KEPT) return;
    for (const key of this.#sessions.keys()) {
      if (this.#sessions.size <= SESSIONS_KEPT) break;
      this.#sessions.delete(key);
    }
  }
}
