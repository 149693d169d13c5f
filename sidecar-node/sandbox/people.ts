import { randomBytes, randomInt } from 'node:crypto';
import { hkdf, type KeyPair, keyPairOf, SigningIdentity, typed } from './curve.ts';
import { Refusal } from './refusal.ts';
import type { Bundle } from './signal.ts';
import type { Store } from './store.ts';
import { lidJid, parseJid, pnJid } from './wire.ts';

/** How a contact's phone treats what it gets. Delays are milliseconds. */
export interface Behaviour {
  /** false: the number is not on WhatsApp. */
  registered: boolean;
  /** false: the phone is off, no receipt leaves it until this is set again. */
  deliver: boolean;
  deliver_delay_ms: number;
  read: boolean;
  read_delay_ms: number;
  /** Emits 'played' for voice and audio messages, after 'read'. */
  play: boolean;
  /** null: none; 'echo': the same text; anything else: that text. */
  reply: string | null;
  reply_delay_ms: number;
  /** Which of its two identities the contact's messages come from. */
  addressing: 'pn' | 'lid';
  /** The phone pretends that it could not decrypt the first message, and asks for it again. */
  retry_first: boolean;
  /** false: lets nobody add them to groups. */
  addable: boolean;
}

export const DEFAULT_BEHAVIOUR: Behaviour = {
  registered: true,
  deliver: true,
  deliver_delay_ms: 0,
  read: true,
  read_delay_ms: 0,
  play: false,
  reply: null,
  reply_delay_ms: 0,
  addressing: 'pn',
  retry_first: false,
  addable: true,
};

const SIGNED_PREKEY_ID = 1;

/**
 * Signal keys of a person's primary phone, all derived from one seed so that a contact costs one small row. Only the
 * identity, which every message needs, is kept; the others are derived when a session begins.
 */
class PhoneKeys {
  readonly identity: SigningIdentity;
  readonly registrationId: number;
  readonly #seed: Buffer;

  constructor(seed: Buffer) {
    this.#seed = seed;
    this.identity = new SigningIdentity(hkdf(seed, 32, 'identity'));
    this.registrationId = 1 + (hkdf(seed, 2, 'registration').readUInt16BE() % 16380);
  }

  /** What a server hands to somebody who wants to write to this phone. */
  bundle(preKeyId: number): Bundle {
    const { publicKey } = this.signedPreKey();
    return {
      registrationId: this.registrationId,
      identityKey: this.identity.publicKey,
      signedPreKey: { id: SIGNED_PREKEY_ID, publicKey, signature: this.identity.sign(typed(publicKey)) },
      preKey: { id: preKeyId, publicKey: this.preKey(preKeyId).publicKey },
    };
  }

  signedPreKey(): KeyPair {
    return keyPairOf(hkdf(this.#seed, 32, 'signed prekey'));
  }

  preKey(id: number): KeyPair {
    return keyPairOf(hkdf(this.#seed, 32, `prekey ${id}`));
  }
}

export interface Person {
  readonly number: string;
  readonly lid: string;
  seed: Buffer;
  name: string;
  isPhone: boolean;
  nextPreKey: number;
  nextDevice: number;
  behaviour: Partial<Behaviour>;
}

interface PersonRow {
  number: string;
  lid: string;
  name: string;
  seed: Uint8Array;
  is_phone: number;
  next_prekey: number;
  next_device: number;
  behaviour: string;
}

const NUMBER = /^[1-9]\d{6,14}$/;
const KEYS_KEPT = 20_000;

export function parseNumber(value: unknown, field = 'number'): string {
  const digits = typeof value === 'string' || typeof value === 'number' ? String(value).replace(/^\+/, '') : '';
  if (!NUMBER.test(digits)) throw new Refusal(`"${field}" must be a phone number in E.164, for example 5511999990001.`);
  return digits;
}

/** Everybody on this WhatsApp: account holders and contacts alike, made when first named. */
export class People {
  defaults: Behaviour = { ...DEFAULT_BEHAVIOUR };
  readonly #store: Store;
  readonly #byNumber = new Map<string, Person>();
  readonly #byLid = new Map<string, Person>();
  readonly #keys = new Map<string, PhoneKeys>();

  constructor(store: Store) {
    this.#store = store;
    for (const row of store.all<PersonRow>('SELECT * FROM person')) {
      this.#index({
        number: row.number,
        lid: row.lid,
        seed: Buffer.from(row.seed),
        name: row.name,
        isPhone: row.is_phone === 1,
        nextPreKey: row.next_prekey,
        nextDevice: row.next_device,
        behaviour: JSON.parse(row.behaviour) as Partial<Behaviour>,
      });
    }
    const saved = store.get<{ value: Uint8Array }>("SELECT value FROM meta WHERE key = 'defaults'");
    if (saved)
      this.defaults = {
        ...DEFAULT_BEHAVIOUR,
        ...(JSON.parse(Buffer.from(saved.value).toString()) as Partial<Behaviour>),
      };
  }

  all(): Iterable<Person> {
    return this.#byNumber.values();
  }

  find(number: string): Person | undefined {
    return this.#byNumber.get(number);
  }

  byLid(lid: string): Person | undefined {
    return this.#byLid.get(lid);
  }

  /** The person with this number, made now if nobody has it yet. */
  ensure(number: string): Person {
    const known = this.#byNumber.get(number);
    if (known) return known;
    let lid: string;
    do lid = `1${String(randomInt(10 ** 12)).padStart(13, '0')}`;
    while (this.#byLid.has(lid));
    const person: Person = {
      number,
      lid,
      seed: randomBytes(32),
      name: `+${number}`,
      isPhone: false,
      nextPreKey: 1,
      nextDevice: 1,
      behaviour: {},
    };
    this.#index(person);
    this.save(person);
    return person;
  }

  /** Whoever a JID names, by number or by LID; a LID that nobody has names nobody. */
  ofJid(jid: string): Person | undefined {
    const address = parseJid(jid);
    if (!address) return undefined;
    if (address.server === 'lid') return this.#byLid.get(address.user);
    if (address.server !== 's.whatsapp.net' && address.server !== 'c.us') return undefined;
    return NUMBER.test(address.user) ? this.ensure(address.user) : undefined;
  }

  behaviourOf(person: Person): Behaviour {
    return { ...this.defaults, ...person.behaviour };
  }

  keysOf(person: Person): PhoneKeys {
    let keys = this.#keys.get(person.number);
    if (!keys) {
      if (this.#keys.size >= KEYS_KEPT) this.#keys.delete(this.#keys.keys().next().value as string);
      keys = new PhoneKeys(person.seed);
      this.#keys.set(person.number, keys);
    }
    return keys;
  }

  /** New keys, as when WhatsApp is installed again on the phone. */
  renewKeys(person: Person): void {
    person.seed = randomBytes(32);
    this.#keys.delete(person.number);
    this.save(person);
  }

  save(person: Person): void {
    this.#store.run(
      `INSERT INTO person VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (number) DO UPDATE SET name = excluded.name,
       is_phone = excluded.is_phone, seed = excluded.seed, next_prekey = excluded.next_prekey, next_device = excluded.next_device,
       behaviour = excluded.behaviour`,
      person.number,
      person.lid,
      person.name,
      person.seed,
      person.isPhone ? 1 : 0,
      person.nextPreKey,
      person.nextDevice,
      JSON.stringify(person.behaviour),
    );
  }

  setDefaults(change: Partial<Behaviour>): void {
    this.defaults = { ...this.defaults, ...change };
    this.#store.run("INSERT OR REPLACE INTO meta VALUES ('defaults', ?)", Buffer.from(JSON.stringify(this.defaults)));
  }

  #index(person: Person): void {
    this.#byNumber.set(person.number, person);
    this.#byLid.set(person.lid, person);
  }
}

/** The jid that a contact's messages come from, and its other identity. */
export function addressesOf(person: Person, addressing: 'pn' | 'lid'): { jid: string; other: string } {
  const [pn, lid] = [pnJid(person.number), lidJid(person.lid)];
  return addressing === 'lid' ? { jid: lid, other: pn } : { jid: pn, other: lid };
}

const CHECKS: Record<keyof Behaviour, (value: unknown) => boolean> = {
  registered: isBoolean,
  deliver: isBoolean,
  deliver_delay_ms: isDelay,
  read: isBoolean,
  read_delay_ms: isDelay,
  play: isBoolean,
  reply: (value) => value === null || (typeof value === 'string' && value.length > 0),
  reply_delay_ms: isDelay,
  addressing: (value) => value === 'pn' || value === 'lid',
  retry_first: isBoolean,
  addable: isBoolean,
};

function isBoolean(value: unknown): boolean {
  return typeof value === 'boolean';
}

function isDelay(value: unknown): boolean {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 && value <= 86_400_000;
}

export function parseBehaviour(value: unknown): Partial<Behaviour> {
  if (value === undefined) return {};
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Refusal('"behaviour" must be an object.');
  for (const [key, setting] of Object.entries(value)) {
    if (!Object.hasOwn(CHECKS, key))
      throw new Refusal(`"${key}" is not a behaviour; known are ${Object.keys(CHECKS).join(', ')}.`);
    if (!CHECKS[key as keyof Behaviour](setting))
      throw new Refusal(`"${key}" has a value that this behaviour does not take.`);
  }
  return value as Partial<Behaviour>;
}
