import {
  createHash,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  sign as signEd25519,
  verify as verifyEd25519,
} from 'node:crypto';

const X25519_PKCS8 = Buffer.from('302e020100300506032b656e04220420', 'hex');
const X25519_SPKI = Buffer.from('302a300506032b656e032100', 'hex');
const ED25519_PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');
const ED25519_SPKI = Buffer.from('302a300506032b6570032100', 'hex');
/** Signal's type byte in front of a Curve25519 public key. */
const DJB_TYPE = Buffer.from([5]);
const FIELD_PRIME = 2n ** 255n - 19n;

export interface KeyPair {
  readonly privateKey: Buffer;
  /** 32 bytes, without the type byte. */
  readonly publicKey: Buffer;
}

const rawPublic = (key: KeyObject): Buffer => Buffer.from(key.export({ format: 'der', type: 'spki' })).subarray(-32);
const x25519Private = (raw: Uint8Array): KeyObject =>
  createPrivateKey({ key: Buffer.concat([X25519_PKCS8, raw]), format: 'der', type: 'pkcs8' });

export function generateKeyPair(): KeyPair {
  const { publicKey, privateKey } = generateKeyPairSync('x25519');
  return {
    privateKey: Buffer.from(privateKey.export({ format: 'der', type: 'pkcs8' })).subarray(-32),
    publicKey: rawPublic(publicKey),
  };
}

export function keyPairOf(privateKey: Buffer): KeyPair {
  return { privateKey, publicKey: rawPublic(createPublicKey(x25519Private(privateKey))) };
}

export function agree(privateKey: Uint8Array, publicKey: Uint8Array): Buffer {
  const theirs = createPublicKey({ key: Buffer.concat([X25519_SPKI, publicKey]), format: 'der', type: 'spki' });
  return diffieHellman({ privateKey: x25519Private(privateKey), publicKey: theirs });
}

export function hkdf(secret: Uint8Array, length: number, info: string, salt: Uint8Array = new Uint8Array(0)): Buffer {
  // A KeyObject, for the reason given in src/node_crypto.ts.
  return Buffer.from(hkdfSync('sha256', createSecretKey(secret), salt, info, length));
}

/** The form Signal signs and sends inside messages: type byte and key. */
export function typed(publicKey: Uint8Array): Buffer {
  return publicKey.length === 33 ? Buffer.from(publicKey) : Buffer.concat([DJB_TYPE, publicKey]);
}

/**
 * A Curve25519 identity that signs with XEdDSA.
 *
 * The key pair is derived from an Ed25519 seed rather than the other way round, so that Node's native Ed25519 makes
 * the signature; Signal's form differs only in carrying the Edwards key's sign in the signature's top bit.
 */
export class SigningIdentity implements KeyPair {
  readonly privateKey: Buffer;
  readonly publicKey: Buffer;
  readonly #seed: Uint8Array;

  constructor(seed: Uint8Array) {
    this.#seed = seed;
    const scalar = createHash('sha512').update(seed).digest().subarray(0, 32);
    scalar[0] = (scalar[0] ?? 0) & 0xf8;
    scalar[31] = ((scalar[31] ?? 0) & 0x7f) | 0x40;
    this.privateKey = Buffer.from(scalar);
    this.publicKey = keyPairOf(this.privateKey).publicKey;
  }

  sign(message: Uint8Array): Buffer {
    // Made for each signature: a phone signs once or twice in its life, and a kept KeyObject costs more than its seed.
    const edwards = createPrivateKey({ key: Buffer.concat([ED25519_PKCS8, this.#seed]), format: 'der', type: 'pkcs8' });
    const sign = (rawPublic(createPublicKey(edwards))[31] ?? 0) & 0x80;
    const signature = signEd25519(null, message, edwards);
    signature[63] = (signature[63] ?? 0) | sign;
    return signature;
  }
}

/** XEdDSA verification against a 32-byte Curve25519 public key. */
export function verifySignature(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== 32 || signature.length !== 64) return false;
  const u = littleEndian(publicKey) % FIELD_PRIME;
  const y = mod((u - 1n) * inverse(u + 1n));
  const edwards = Buffer.from(y.toString(16).padStart(64, '0'), 'hex').reverse();
  edwards[31] = (edwards[31] ?? 0) | ((signature[63] ?? 0) & 0x80);
  const plain = Buffer.from(signature);
  plain[63] = (plain[63] ?? 0) & 0x7f;
  try {
    const key = createPublicKey({ key: Buffer.concat([ED25519_SPKI, edwards]), format: 'der', type: 'spki' });
    return verifyEd25519(null, message, key, plain);
  } catch {
    return false;
  }
}

const mod = (value: bigint): bigint => ((value % FIELD_PRIME) + FIELD_PRIME) % FIELD_PRIME;

function littleEndian(bytes: Uint8Array): bigint {
  const copy = Buffer.from(bytes).reverse();
  copy[0] = (copy[0] ?? 0) & 0x7f;
  return BigInt(`0x${copy.toString('hex')}`);
}

function inverse(value: bigint): bigint {
  let [r0, r1, s0, s1] = [FIELD_PRIME, mod(value), 0n, 1n];
  while (r1 !== 0n) {
    const quotient = r0 / r1;
    [r0, r1, s0, s1] = [r1, r0 - quotient * r1, s1, s0 - quotient * s1];
  }
  return mod(s0);
}
