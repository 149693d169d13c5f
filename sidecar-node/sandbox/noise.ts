import { createCipheriv, createDecipheriv, createHash } from 'node:crypto';
import { proto } from 'baileys/WAProto/index.js';
import { agree, generateKeyPair, hkdf, type KeyPair } from './curve.ts';

const PROTOCOL_NAME = Buffer.from('Noise_XX_25519_AESGCM_SHA256\0\0\0\0');
/** 'WA', protocol version 6, dictionary version 3: Noise's prologue, and the first bytes of a connection. */
export const PROLOGUE = Buffer.from([87, 65, 6, 3]);
const NOTHING = Buffer.alloc(0);
const TAG_LENGTH = 16;

function nonce(counter: number): Buffer {
  const iv = Buffer.alloc(12);
  iv.writeUInt32BE(counter, 8);
  return iv;
}

function seal(key: Buffer, counter: number, plaintext: Uint8Array, additional: Buffer): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, nonce(counter));
  cipher.setAAD(additional);
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

function open(key: Buffer, counter: number, sealed: Uint8Array, additional: Buffer): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, nonce(counter));
  decipher.setAAD(additional);
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_LENGTH));
  return Buffer.concat([decipher.update(sealed.subarray(0, sealed.length - TAG_LENGTH)), decipher.final()]);
}

/** The two directions after the handshake. */
export class Transport {
  readonly #readKey: Buffer;
  readonly #writeKey: Buffer;
  #reads = 0;
  #writes = 0;

  constructor(readKey: Buffer, writeKey: Buffer) {
    this.#readKey = readKey;
    this.#writeKey = writeKey;
  }

  decrypt(sealed: Uint8Array): Buffer {
    return open(this.#readKey, this.#reads++, sealed, NOTHING);
  }

  /** A whole frame: 3-byte length and ciphertext. */
  encryptFrame(plaintext: Uint8Array): Buffer {
    return frameOf(seal(this.#writeKey, this.#writes++, plaintext, NOTHING));
  }
}

export function frameOf(payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(3 + payload.length);
  frame.writeUIntBE(payload.length, 0, 3);
  frame.set(payload, 3);
  return frame;
}

export interface Initiator {
  readonly staticKey: Buffer;
  readonly payload: Buffer;
  readonly transport: Transport;
}

/** The responder's side of Noise XX: read the client's hello, answer, read its finish. */
export class NoiseResponder {
  readonly #static: KeyPair;
  readonly #certificate: Uint8Array;
  readonly #ephemeral = generateKeyPair();
  #hash = PROTOCOL_NAME;
  #chainingKey: Buffer = PROTOCOL_NAME;
  #key: Buffer = PROTOCOL_NAME;
  #counter = 0;

  constructor(staticKey: KeyPair, certificate: Uint8Array) {
    this.#static = staticKey;
    this.#certificate = certificate;
    this.#authenticate(PROLOGUE);
  }

  answer(clientHello: Buffer): Buffer {
    const theirEphemeral = proto.HandshakeMessage.decode(clientHello).clientHello?.ephemeral;
    if (theirEphemeral?.length !== 32) throw new Error('the client hello carries no ephemeral key');
    this.#authenticate(theirEphemeral);
    this.#authenticate(this.#ephemeral.publicKey);
    this.#mix(agree(this.#ephemeral.privateKey, theirEphemeral));
    const staticCiphertext = this.#encrypt(this.#static.publicKey);
    this.#mix(agree(this.#static.privateKey, theirEphemeral));
    const payload = this.#encrypt(this.#certificate);
    const serverHello = { ephemeral: this.#ephemeral.publicKey, static: staticCiphertext, payload };
    return Buffer.from(proto.HandshakeMessage.encode({ serverHello }).finish());
  }

  finish(message: Buffer): Initiator {
    const { clientFinish } = proto.HandshakeMessage.decode(message);
    if (!clientFinish?.static || !clientFinish.payload) throw new Error('the client finish is incomplete');
    const staticKey = this.#decrypt(clientFinish.static);
    this.#mix(agree(this.#ephemeral.privateKey, staticKey));
    const payload = this.#decrypt(clientFinish.payload);
    const keys = hkdf(NOTHING, 64, '', this.#chainingKey);
    return { staticKey, payload, transport: new Transport(keys.subarray(0, 32), keys.subarray(32)) };
  }

  #authenticate(data: Uint8Array): void {
    this.#hash = createHash('sha256').update(this.#hash).update(data).digest();
  }

  #mix(secret: Buffer): void {
    const keys = hkdf(secret, 64, '', this.#chainingKey);
    this.#chainingKey = keys.subarray(0, 32);
    this.#key = keys.subarray(32);
    this.#counter = 0;
  }

  #encrypt(plaintext: Uint8Array): Buffer {
    const sealed = seal(this.#key, this.#counter++, plaintext, this.#hash);
    this.#authenticate(sealed);
    return sealed;
  }

  #decrypt(sealed: Uint8Array): Buffer {
    const plaintext = open(this.#key, this.#counter++, sealed, this.#hash);
    this.#authenticate(sealed);
    return plaintext;
  }
}
