/**
 * HMAC-SHA256 and what libsignal derives with it, without Node's Hmac objects: each of those is a native object with a
 * finalizer, and a text takes some twenty. One-shot hashes to a string cost a quarter and leave nothing to collect.
 */
import { createHmac, hash } from 'node:crypto';

const BLOCK = 64;
const DIGEST = 32;
/** Messages up to this many bytes are hashed here; longer ones are worth an Hmac. */
const LONGEST = 4096;

const inner = Buffer.alloc(BLOCK + LONGEST);
const outer = Buffer.alloc(BLOCK + DIGEST);

/** HMAC-SHA256 of `data`, 32 bytes. */
export function hmacSha256(key: Uint8Array, data: Uint8Array): Buffer {
  if (key.length > BLOCK || data.length > LONGEST) return createHmac('sha256', key).update(data).digest();
  for (let i = 0; i < BLOCK; i++) {
    const byte = i < key.length ? (key[i] as number) : 0;
    inner[i] = byte ^ 0x36;
    outer[i] = byte ^ 0x5c;
  }
  inner.set(data, BLOCK);
  outer.write(hash('sha256', inner.subarray(0, BLOCK + data.length), 'binary'), BLOCK, 'binary');
  return Buffer.from(hash('sha256', outer, 'binary'), 'binary');
}

/** RFC 5869: `chunks` times 32 bytes. */
export function hkdfSha256(input: Uint8Array, salt: Uint8Array, info: Uint8Array, chunks: number): Buffer[] {
  const key = hmacSha256(salt, input);
  const block = Buffer.alloc(DIGEST + info.length + 1);
  block.set(info, DIGEST);
  const made: Buffer[] = [];
  for (let n = 1; n <= chunks; n++) {
    block[block.length - 1] = n;
    const last = hmacSha256(key, n === 1 ? block.subarray(DIGEST) : block);
    block.set(last);
    made.push(last);
  }
  return made;
}
