import crypto, { createSecretKey } from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';

// In Node 24.19 a key given as bytes costs createHmac, createCipheriv and createDecipheriv 9 µs more than one given as
// a KeyObject (10.8 µs against 2.2 µs for an HMAC; Node 20 shows no difference). Signal and Noise take some thirty such
// keys a message, so bytes are wrapped here, for libsignal as well as for this program.
type Maker = (algorithm: string, key: unknown, ...rest: unknown[]) => unknown;
const makers = crypto as unknown as Record<'createHmac' | 'createCipheriv' | 'createDecipheriv', Maker>;

for (const name of ['createHmac', 'createCipheriv', 'createDecipheriv'] as const) {
  const make = makers[name];
  makers[name] = (algorithm, key, ...rest) =>
    make(algorithm, key instanceof Uint8Array ? createSecretKey(key) : key, ...rest);
}
syncBuiltinESMExports();
