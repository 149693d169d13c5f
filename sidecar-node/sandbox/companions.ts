import type { Person } from './people.ts';
import type { Store } from './store.ts';
import { lidJid, pnJid } from './wire.ts';

/** A linked device: what Baileys is to its account's phone. */
export interface Companion {
  readonly number: string;
  readonly lid: string;
  readonly device: number;
  readonly noiseKey: Buffer;
  readonly identityKey: Buffer;
  readonly registrationId: number;
  readonly keyIndex: number;
  readonly platform: string;
  readonly pairedAt: number;
  signedPreKey: SignedPreKey;
  /** True until its first login is over. */
  isNew: boolean;
}

export interface SignedPreKey {
  readonly id: number;
  readonly publicKey: Buffer;
  readonly signature: Buffer;
}

export interface PreKey {
  readonly id: number;
  readonly publicKey: Buffer;
}

interface CompanionRow {
  number: string;
  device: number;
  noise_key: Uint8Array;
  identity_key: Uint8Array;
  registration_id: number;
  signed_prekey_id: number;
  signed_prekey: Uint8Array;
  signed_prekey_signature: Uint8Array;
  key_index: number;
  platform: string;
  paired_at: number;
  first_login: number;
}

/** What a linked browser page calls itself. It has no keys: what is queued for it is not encrypted. */
export const PAGE = 'web page';
export const isPage = ({ platform }: Companion): boolean => platform === PAGE;

export const companionJid = (companion: Companion): string => pnJid(companion.number, companion.device);
export const companionLid = (companion: Companion): string => lidJid(companion.lid, companion.device);

export class Companions {
  readonly #store: Store;
  readonly #byNumber = new Map<string, Companion[]>();
  readonly #preKeyCounts = new Map<Companion, number>();

  constructor(store: Store, people: { find(number: string): Person | undefined }) {
    this.#store = store;
    for (const row of store.all<CompanionRow>('SELECT * FROM companion')) {
      const person = people.find(row.number);
      if (!person) continue;
      this.#index({
        number: row.number,
        lid: person.lid,
        device: row.device,
        noiseKey: Buffer.from(row.noise_key),
        identityKey: Buffer.from(row.identity_key),
        registrationId: row.registration_id,
        keyIndex: row.key_index,
        platform: row.platform,
        pairedAt: row.paired_at,
        isNew: row.first_login === 1,
        signedPreKey: {
          id: row.signed_prekey_id,
          publicKey: Buffer.from(row.signed_prekey),
          signature: Buffer.from(row.signed_prekey_signature),
        },
      });
    }
  }

  of(number: string): readonly Companion[] {
    return this.#byNumber.get(number) ?? [];
  }

  find(number: string, device: number): Companion | undefined {
    return this.of(number).find((companion) => companion.device === device);
  }

  add(companion: Companion): void {
    this.#index(companion);
    this.save(companion);
  }

  save(companion: Companion): void {
    const { signedPreKey: key } = companion;
    this.#store.run(
      'INSERT OR REPLACE INTO companion VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
      companion.number,
      companion.device,
      companion.noiseKey,
      companion.identityKey,
      companion.registrationId,
      key.id,
      key.publicKey,
      key.signature,
      companion.keyIndex,
      companion.platform,
      companion.pairedAt,
      companion.isNew ? 1 : 0,
    );
  }

  /** Forgets a device and everything that waits for it. */
  remove(companion: Companion): void {
    this.#byNumber.set(
      companion.number,
      this.of(companion.number).filter((other) => other !== companion),
    );
    this.#preKeyCounts.delete(companion);
    for (const table of ['companion', 'prekey', 'queue']) {
      this.#store.run(`DELETE FROM ${table} WHERE number = ? AND device = ?`, companion.number, companion.device);
    }
    this.#store.run('DELETE FROM session WHERE address = ?', sessionAddress(companion));
  }

  preKeyCount(companion: Companion): number {
    let count = this.#preKeyCounts.get(companion);
    if (count === undefined) {
      const row = this.#store.get<{ n: number }>(
        'SELECT count(*) AS n FROM prekey WHERE number = ? AND device = ?',
        companion.number,
        companion.device,
      );
      count = row?.n ?? 0;
      this.#preKeyCounts.set(companion, count);
    }
    return count;
  }

  addPreKeys(companion: Companion, keys: PreKey[]): void {
    for (const key of keys) {
      this.#store.run(
        'INSERT OR REPLACE INTO prekey VALUES (?, ?, ?, ?)',
        companion.number,
        companion.device,
        key.id,
        key.publicKey,
      );
    }
    this.#preKeyCounts.delete(companion);
  }

  /** Hands out a one-time prekey, each only once. */
  takePreKey(companion: Companion): PreKey | undefined {
    const row = this.#store.get<{ id: number; value: Uint8Array }>(
      'SELECT id, value FROM prekey WHERE number = ? AND device = ? ORDER BY id LIMIT 1',
      companion.number,
      companion.device,
    );
    if (!row) return undefined;
    this.#store.run(
      'DELETE FROM prekey WHERE number = ? AND device = ? AND id = ?',
      companion.number,
      companion.device,
      row.id,
    );
    this.#preKeyCounts.set(companion, Math.max(0, this.preKeyCount(companion) - 1));
    return { id: row.id, publicKey: Buffer.from(row.value) };
  }

  #index(companion: Companion): void {
    this.#byNumber.set(companion.number, [
      ...this.of(companion.number).filter((other) => other.device !== companion.device),
      companion,
    ]);
  }
}

/** The Signal address of a device; a person's number and LID are one address here. */
export const sessionAddress = ({ number, device }: { number: string; device: number }): string => `${number}.${device}`;
