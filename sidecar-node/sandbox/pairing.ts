import { createCipheriv, createDecipheriv, createHmac, pbkdf2, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { proto } from 'baileys/WAProto/index.js';
import { type Companion, companionJid } from './companions.ts';
import type { Connection } from './connection.ts';
import { agree, generateKeyPair, hkdf, type KeyPair, typed, verifySignature } from './curve.ts';
import type { Person } from './people.ts';
import { Refusal } from './refusal.ts';
import type { Sandbox } from './sandbox.ts';
import { bytesOf, child, lidJid, type Node, node, parseJid, pnJid, SERVER_JID, unsigned } from './wire.ts';

const REFS = 6;
const MAX_DEVICES = 100;
const ANSWER_TIMEOUT_MS = 15_000;
const ACCOUNT_SIGNATURE_PREFIX = Buffer.from([6, 0]);
const DEVICE_SIGNATURE_PREFIX = Buffer.from([6, 1]);
const LINK_CODE_ITERATIONS = 2 << 16;
const LINK_CODE_BUNDLE_INFO = 'link_code_pairing_key_bundle_encryption_key';
const deriveKey = promisify(pbkdf2);

/** A connection that waits to be linked. */
interface Offer {
  readonly connection: Connection;
  readonly registration: Registration;
  readonly refs: readonly string[];
  readonly since: number;
  readonly timer: NodeJS.Timeout;
  linkCode?: LinkCode;
}

interface Registration {
  readonly registrationId: number;
  readonly identityKey: Buffer;
  readonly noiseKey: Buffer;
  readonly signedPreKey: { id: number; publicKey: Buffer; signature: Buffer };
  readonly platform: string;
}

/** What `companion_hello` brought, and the phone's answer once its user typed a code. */
interface LinkCode {
  readonly number: string;
  readonly ref: Buffer;
  readonly wrappedEphemeral: Buffer;
  answer?: { ephemeral: KeyPair; companionEphemeral: Buffer; settle: (secret: Buffer | Refusal) => void };
}

/** Links devices to phones: by QR and by link code. */
export class Pairing {
  readonly #sandbox: Sandbox;
  readonly #offers = new Map<Connection, Offer>();
  readonly #answers = new Map<string, (stanza: Node | undefined) => void>();

  constructor(sandbox: Sandbox) {
    this.#sandbox = sandbox;
  }

  /** A device without an account connected: it gets refs to show as QR codes, valid one after the other. */
  offer(connection: Connection): void {
    const registration = readRegistration(connection);
    const { qrFirstMs, qrNextMs } = this.#sandbox.options;
    const refs = Array.from({ length: REFS }, () => `2@${randomBytes(48).toString('base64').replace(/[,#]/g, '')}`);
    const timer = setTimeout(
      () => {
        connection.send(node('xmlstreamend'));
        connection.end();
      },
      qrFirstMs + (REFS - 1) * qrNextMs,
    );
    this.#offers.set(connection, { connection, registration, refs, since: Date.now(), timer });
    connection.send(
      node('iq', { from: SERVER_JID, type: 'set', id: connection.tag(), xmlns: 'md' }, [
        node(
          'pair-device',
          {},
          refs.map((ref) => node('ref', {}, Buffer.from(ref))),
        ),
      ]),
    );
    this.#sandbox.events.emit('change');
  }

  withdraw(connection: Connection): void {
    const offer = this.#offers.get(connection);
    if (!offer) return;
    clearTimeout(offer.timer);
    this.#offers.delete(connection);
    offer.linkCode?.answer?.settle(new Refusal('The device disconnected before it was linked.', 409));
    for (const [tag, resolve] of this.#answers) if (tag.startsWith(`${connection.id}.`)) resolve(undefined);
    this.#sandbox.events.emit('change');
  }

  pending(): Record<string, unknown>[] {
    return [...this.#offers.values()].map(({ connection, refs, since, registration, linkCode }) => ({
      connection: connection.id,
      since: new Date(since).toISOString(),
      ref: refs[this.#current(since)],
      expires_at: new Date(this.#expiry(since, this.#current(since))).toISOString(),
      platform: registration.platform,
      ...(linkCode ? { link_code_for: linkCode.number } : {}),
    }));
  }

  /** The phone's user scans a QR. The code is a ref when `qr` is one offered here and the caller only has that. */
  async scan(number: string, qr: string): Promise<{ jid: string; lid: string }> {
    const text = qr.trim();
    const parts = (text.includes('#') ? text.slice(text.indexOf('#') + 1) : text).split(',');
    const [ref, noiseKey, identityKey, advSecret] = parts;
    if (parts.length < 4 || !ref || !noiseKey || !identityKey || !advSecret) {
      throw new Refusal(
        'This is not a linking QR: it must hold a ref, a noise key, an identity key and a secret, separated by commas.',
      );
    }
    const page = this.#sandbox.pages.offering(ref);
    if (page) return await page.link(number, noiseKey, identityKey);
    const offer = [...this.#offers.values()].find(({ refs }) => refs.includes(ref));
    if (!offer)
      throw new Refusal('No device that is connected now offers this QR: it was used, or its connection ended.', 410);
    if (Date.now() > this.#expiry(offer.since, offer.refs.indexOf(ref)))
      throw new Refusal('This QR has expired: scan the one shown now.', 410);
    const { registration } = offer;
    if (!sameKey(noiseKey, registration.noiseKey) || !sameKey(identityKey, registration.identityKey)) {
      throw new Refusal('The keys in this QR are not those of the device that offers it.');
    }
    return await this.#link(offer, number, Buffer.from(advSecret, 'base64'));
  }

  /** `companion_hello`: a device asks to be linked by a code typed on the phone of `number`. */
  companionHello(connection: Connection, stanza: Node, registration: Node): void {
    const offer = this.#offers.get(connection);
    const address = parseJid(registration.attrs.jid ?? '');
    const wrappedEphemeral = bytesOf(child(registration, 'link_code_pairing_wrapped_companion_ephemeral_pub'));
    if (!offer || !address || wrappedEphemeral?.length !== 80) return refuse(connection, stanza, 'bad-request', '400');
    const ref = randomBytes(16);
    offer.linkCode = { number: address.user, ref, wrappedEphemeral };
    connection.send(
      result(stanza, [
        node('link_code_companion_reg', { stage: 'companion_hello' }, [node('link_code_pairing_ref', {}, ref)]),
      ]),
    );
    this.#sandbox.events.emit('change');
  }

  /** The phone's user types the code that the device shows. */
  async linkCode(number: string, code: string): Promise<{ jid: string; lid: string }> {
    const normalised = code.replace(/[\s-]/g, '').toUpperCase();
    if (normalised.length !== 8) throw new Refusal('A link code has eight characters.');
    const page = this.#sandbox.pages.asking(number);
    if (page) return await page.linkByCode(number, normalised);
    const offer = [...this.#offers.values()].reverse().find(({ linkCode }) => linkCode?.number === number);
    if (!offer?.linkCode) throw new Refusal('No device asks to be linked to this phone by code.', 404);
    const { linkCode, connection } = offer;
    linkCode.answer?.settle(new Refusal('Another code was typed meanwhile.', 409));
    const person = this.#sandbox.people.ensure(number);
    const { wrappedEphemeral } = linkCode;
    const key = await linkKey(normalised, wrappedEphemeral.subarray(0, 32));
    const companionEphemeral = ctr(
      createDecipheriv,
      wrappedEphemeral.subarray(48),
      key,
      wrappedEphemeral.subarray(32, 48),
    );
    const ephemeral = generateKeyPair();
    const [salt, iv] = [randomBytes(32), randomBytes(16)];
    const wrapped = Buffer.concat([
      salt,
      iv,
      ctr(createCipheriv, ephemeral.publicKey, await linkKey(normalised, salt), iv),
    ]);
    const secret = new Promise<Buffer>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Refusal('The device did not answer.', 504)), ANSWER_TIMEOUT_MS);
      linkCode.answer = {
        ephemeral,
        companionEphemeral,
        settle: (outcome) => {
          clearTimeout(timer);
          delete linkCode.answer;
          if (outcome instanceof Refusal) reject(outcome);
          else resolve(outcome);
        },
      };
    });
    connection.notify('link_code_companion_reg', {}, [
      node('link_code_companion_reg', { stage: 'primary_hello' }, [
        node('link_code_pairing_ref', {}, linkCode.ref),
        node('primary_identity_pub', {}, this.#sandbox.people.keysOf(person).identity.publicKey),
        node('link_code_pairing_wrapped_primary_ephemeral_pub', {}, wrapped),
      ]),
    ]);
    return await this.#link(offer, number, await secret);
  }

  /** `companion_finish`: only a device that knows the code could make a bundle that opens. */
  companionFinish(connection: Connection, stanza: Node, registration: Node): void {
    const linkCode = this.#offers.get(connection)?.linkCode;
    const bundle = bytesOf(child(registration, 'link_code_pairing_wrapped_key_bundle'));
    const claimed = bytesOf(child(registration, 'companion_identity_public'));
    if (!linkCode?.answer || !bundle || !claimed) return refuse(connection, stanza, 'bad-request', '400');
    const { ephemeral, companionEphemeral, settle } = linkCode.answer;
    const identity = this.#sandbox.people.keysOf(this.#sandbox.people.ensure(linkCode.number)).identity;
    const shared = agree(ephemeral.privateKey, companionEphemeral);
    let opened: Buffer;
    try {
      opened = openBundle(bundle, hkdf(shared, 32, LINK_CODE_BUNDLE_INFO, bundle.subarray(0, 32)));
      if (!opened.subarray(0, 32).equals(claimed) || !opened.subarray(32, 64).equals(identity.publicKey))
        throw new Error('keys differ');
    } catch {
      refuse(connection, stanza, 'not-authorized', '401');
      return settle(new Refusal('This is not the code that the device shows.', 403));
    }
    connection.send(result(stanza));
    settle(
      hkdf(Buffer.concat([shared, agree(identity.privateKey, claimed), opened.subarray(64, 96)]), 32, 'adv_secret'),
    );
  }

  answered(connection: Connection, stanza: Node): void {
    const tag = stanza.attrs.id ?? '';
    if (tag.startsWith(`${connection.id}.`)) this.#answers.get(tag)?.(stanza);
  }

  async #link(offer: Offer, number: string, advSecret: Buffer): Promise<{ jid: string; lid: string }> {
    const { connection, registration } = offer;
    const { people, companions, store, journal } = this.#sandbox;
    if (companions.of(number).length >= MAX_DEVICES) throw new Refusal('This phone has too many linked devices.', 409);
    const person = people.ensure(number);
    const device = person.nextDevice++;
    person.isPhone = true;
    people.save(person);
    const tag = connection.tag();
    const answer = this.#answer(tag);
    const details = Buffer.from(
      proto.ADVDeviceIdentity.encode({
        rawId: people.keysOf(person).registrationId,
        timestamp: Math.floor(Date.now() / 1000),
        keyIndex: device,
      }).finish(),
    );
    connection.send(this.#pairSuccess(tag, person, device, details, registration.identityKey, advSecret));
    const stanza = await answer;
    const signed = bytesOf(child(child(stanza, 'pair-device-sign'), 'device-identity'));
    if (!signed) throw new Refusal('The device did not accept the link.', 502);
    const { deviceSignature } = proto.ADVSignedDeviceIdentity.decode(signed);
    const accountKey = people.keysOf(person).identity.publicKey;
    const signedBytes = Buffer.concat([DEVICE_SIGNATURE_PREFIX, details, registration.identityKey, accountKey]);
    if (!deviceSignature || !verifySignature(registration.identityKey, signedBytes, deviceSignature)) {
      throw new Refusal('The device signed its identity wrongly.', 502);
    }
    const companion: Companion = {
      ...registration,
      number,
      lid: person.lid,
      device,
      keyIndex: device,
      pairedAt: Date.now(),
      isNew: true,
    };
    companions.add(companion);
    journal.append({ kind: 'pair', account: number, device, type: registration.platform });
    await store.committed();
    this.withdraw(connection);
    connection.streamError('515');
    this.#sandbox.deviceListChanged(number, 'add', device);
    return { jid: companionJid(companion), lid: lidJid(person.lid, device) };
  }

  #pairSuccess(
    tag: string,
    person: Person,
    device: number,
    details: Buffer,
    companionIdentity: Buffer,
    advSecret: Buffer,
  ): Node {
    const { identity } = this.#sandbox.people.keysOf(person);
    const account = proto.ADVSignedDeviceIdentity.encode({
      details,
      accountSignatureKey: identity.publicKey,
      accountSignature: identity.sign(Buffer.concat([ACCOUNT_SIGNATURE_PREFIX, details, companionIdentity])),
    }).finish();
    const sealed = proto.ADVSignedDeviceIdentityHMAC.encode({
      details: account,
      hmac: createHmac('sha256', advSecret).update(account).digest(),
    }).finish();
    return node('iq', { from: SERVER_JID, type: 'set', id: tag, xmlns: 'md' }, [
      node('pair-success', {}, [
        node('device-identity', {}, Buffer.from(sealed)),
        node('biz', { name: person.name }),
        node('device', { jid: pnJid(person.number, device), lid: lidJid(person.lid, device) }),
        node('platform', { name: 'android' }),
      ]),
    ]);
  }

  async #answer(tag: string): Promise<Node | undefined> {
    const { promise, resolve } = Promise.withResolvers<Node | undefined>();
    const timer = setTimeout(() => resolve(undefined), ANSWER_TIMEOUT_MS);
    this.#answers.set(tag, resolve);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#answers.delete(tag);
    }
  }

  #current(since: number): number {
    const { qrFirstMs, qrNextMs } = this.#sandbox.options;
    const age = Date.now() - since - qrFirstMs;
    return age < 0 ? 0 : Math.min(REFS - 1, 1 + Math.floor(age / qrNextMs));
  }

  #expiry(since: number, index: number): number {
    const { qrFirstMs, qrNextMs } = this.#sandbox.options;
    return since + qrFirstMs + index * qrNextMs;
  }
}

function readRegistration(connection: Connection): Registration {
  const data = connection.registration;
  const buffer = (value: Uint8Array | null | undefined, length: number, what: string): Buffer => {
    if (value?.length !== length) throw new Error(`the registration's ${what} is malformed`);
    return Buffer.from(value);
  };
  const identityKey = buffer(data?.eIdent, 32, 'identity key');
  const publicKey = buffer(data?.eSkeyVal, 32, 'signed prekey');
  const signature = buffer(data?.eSkeySig, 64, 'prekey signature');
  if (!verifySignature(identityKey, typed(publicKey), signature))
    throw new Error('the signed prekey is not signed by the identity key');
  const props = proto.DeviceProps.decode(data?.deviceProps ?? new Uint8Array(0));
  return {
    registrationId: unsigned(buffer(data?.eRegid, 4, 'id')) ?? 0,
    identityKey,
    noiseKey: buffer(connection.noiseKey, 32, 'noise key'),
    signedPreKey: { id: unsigned(buffer(data?.eSkeyId, 3, 'prekey id')) ?? 0, publicKey, signature },
    platform: `${proto.DeviceProps.PlatformType[props.platformType ?? 0] ?? 'UNKNOWN'} (${props.os ?? ''})`,
  };
}

const sameKey = (text: string, key: Buffer): boolean => Buffer.from(text, 'base64').equals(key);
const linkKey = (code: string, salt: Buffer): Promise<Buffer> =>
  deriveKey(code, salt, LINK_CODE_ITERATIONS, 32, 'sha256');
const result = (stanza: Node, content?: Node[]): Node =>
  node('iq', { from: SERVER_JID, type: 'result', id: stanza.attrs.id }, content);

function refuse(connection: Connection, stanza: Node, text: string, code: string): void {
  connection.send(
    node('iq', { from: SERVER_JID, type: 'error', id: stanza.attrs.id }, [node('error', { code, text })]),
  );
}

function ctr(make: typeof createCipheriv | typeof createDecipheriv, data: Buffer, key: Buffer, iv: Buffer): Buffer {
  const cipher = make('aes-256-ctr', key, iv);
  return Buffer.concat([cipher.update(data), cipher.final()]);
}

/** Salt (32 bytes), nonce (12), then AES-GCM of companion identity, primary identity and a random value. */
function openBundle(bundle: Buffer, key: Buffer): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, bundle.subarray(32, 44));
  decipher.setAuthTag(bundle.subarray(bundle.length - 16));
  return Buffer.concat([decipher.update(bundle.subarray(44, bundle.length - 16)), decipher.final()]);
}
