/** Node's crypto, cheaper for many small calls. Imported before what takes functions from it. */
import crypto, { createSecretKey, type KeyObject } from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';

// In Node 24.19 a key given as bytes costs createHmac, createCipheriv and createDecipheriv 9 µs more than one given as
// a KeyObject (10.8 µs against 2.2 µs for an HMAC; Node 20 shows no difference). Signal and Noise take several such
// keys a message, so bytes are wrapped here, for libsignal as well as for this program.
type Maker = (algorithm: string, key: unknown, ...rest: unknown[]) => unknown;
const makers = crypto as unknown as Record<'createHmac' | 'createCipheriv' | 'createDecipheriv', Maker>;

/** Keys of AES-GCM are a connection's, the same bytes for every frame; the others are used once. */
const kept = new WeakMap<Uint8Array, KeyObject>();

function secretKey(algorithm: string, key: Uint8Array): KeyObject {
  if (algorithm !== 'aes-256-gcm') return createSecretKey(key);
  const known = kept.get(key);
  if (known) return known;
  const made = createSecretKey(key);
  kept.set(key, made);
  return made;
}

for (const name of ['createHmac', 'createCipheriv', 'createDecipheriv'] as const) {
  const make = makers[name];
  makers[name] = (algorithm, key, ...rest) =>
    make(algorithm, key instanceof Uint8Array ? secretKey(algorithm, key) : key, ...rest);
}

/** Random bytes asked for a few at a time, padding mostly, at 5 µs a call: taken from a pool, wiped where they were. */
const POOLED = 32;
const POOL = 4096;
const { randomBytes } = crypto;
let pool = Buffer.alloc(0);
let used = 0;

function pooledRandomBytes(size: number, ...rest: [callback: (error: Error | null, bytes: Buffer) => void]): unknown {
  if (rest.length > 0 || !Number.isInteger(size) || size < 1 || size > POOLED) return randomBytes(size, ...rest);
  if (used + size > pool.length) {
    pool = randomBytes(POOL);
    used = 0;
  }
  const taken = Buffer.from(pool.subarray(used, used + size));
  pool.fill(0, used, used + size);
  used += size;
  return taken;
}
crypto.randomBytes = pooledRandomBytes as typeof randomBytes;
syncBuiltinESMExports();
