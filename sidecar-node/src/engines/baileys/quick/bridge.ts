/**
 * What Baileys takes from `whatsapp-rust-bridge`, a WebAssembly of two megabytes that keeps fifteen: derived keys, MD5,
 * and the sums that guard the state of chats. Each is tested against the original.
 */
import { createHash } from 'node:crypto';
import { hkdfSha256 } from './hmac.ts';

const NO_SALT = Buffer.alloc(32);
const DIGEST = 32;
const SUM_BYTES = 128;
const SUM_INFO = 'WhatsApp Patch Integrity';
const STATE_KEYS = ['indexKey', 'valueEncryptionKey', 'valueMacKey', 'snapshotMacKey', 'patchMacKey'] as const;

export function md5(data: Uint8Array): Buffer {
  return createHash('md5').update(data).digest();
}

/** RFC 5869 with SHA-256, up to 8160 bytes. Throws RangeError beyond. */
export function hkdf(input: Uint8Array, length: number, { salt, info }: { salt?: Uint8Array; info?: string }): Buffer {
  if (length > 255 * DIGEST) throw new RangeError('more than HKDF can give');
  const chunks = hkdfSha256(input, salt ?? NO_SALT, Buffer.from(info ?? ''), Math.ceil(length / DIGEST));
  return Buffer.concat(chunks, length);
}

type StateKeys = Record<(typeof STATE_KEYS)[number], Buffer>;

export function expandAppStateKeys(key: Uint8Array): StateKeys {
  const expanded = hkdf(key, STATE_KEYS.length * DIGEST, { info: 'WhatsApp Mutation Keys' });
  const parts = STATE_KEYS.map((name, n) => [name, expanded.subarray(n * DIGEST, (n + 1) * DIGEST)]);
  return Object.fromEntries(parts) as StateKeys;
}

/** Sums of 64 numbers of 16 bits, little-endian, each by itself and without its carry. */
export class LTHashAntiTampering {
  subtractThenAdd(base: Uint8Array, subtract: Uint8Array[], add: Uint8Array[]): Uint8Array {
    if (base.length !== SUM_BYTES) throw new RangeError(`a sum of ${base.length} bytes`);
    const sum = Buffer.from(base);
    for (const each of subtract) combine(sum, each, -1);
    for (const each of add) combine(sum, each, 1);
    return sum;
  }
}

function combine(sum: Buffer, item: Uint8Array, sign: 1 | -1): void {
  const term = hkdf(item, SUM_BYTES, { info: SUM_INFO });
  for (let at = 0; at < SUM_BYTES; at += 2) {
    sum.writeUInt16LE((sum.readUInt16LE(at) + sign * term.readUInt16LE(at)) & 0xffff, at);
  }
}
