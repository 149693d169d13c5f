import { randomBytes } from 'node:crypto';
import { proto } from 'baileys/WAProto/index.js';
import { type KeyPair, keyPairOf, SigningIdentity } from './curve.ts';
import type { Store } from './store.ts';

const { Details } = proto.CertChain.NoiseCertificate;
/** WA_CERT_DETAILS.SERIAL: what clients expect as the intermediate certificate's issuer. */
const ROOT_SERIAL = 0;
const INTERMEDIATE_SERIAL = 1;

export interface ServerIdentity {
  /** What a client must trust, in hex. */
  readonly rootKey: string;
  readonly staticKey: KeyPair;
  /** The encoded chain: leaf for the static key, signed by the intermediate, signed by the root. */
  readonly certificate: Uint8Array;
}

export function secret(store: Store, name: string): Buffer {
  const row = store.get<{ value: Uint8Array }>('SELECT value FROM meta WHERE key = ?', name);
  if (row) return Buffer.from(row.value);
  const value = randomBytes(32);
  store.run('INSERT INTO meta VALUES (?, ?)', name, value);
  return value;
}

export function serverIdentity(store: Store): ServerIdentity {
  const root = new SigningIdentity(secret(store, 'noise root'));
  const intermediate = new SigningIdentity(secret(store, 'noise intermediate'));
  const staticKey = keyPairOf(secret(store, 'noise static'));
  const certified = (serial: number, issuerSerial: number, key: Buffer, issuer: SigningIdentity) => {
    const details = Details.encode({ serial, issuerSerial, key }).finish();
    return { details, signature: issuer.sign(details) };
  };
  const chain = {
    intermediate: certified(INTERMEDIATE_SERIAL, ROOT_SERIAL, intermediate.publicKey, root),
    leaf: certified(INTERMEDIATE_SERIAL + 1, INTERMEDIATE_SERIAL, staticKey.publicKey, intermediate),
  };
  return { rootKey: root.publicKey.toString('hex'), staticKey, certificate: proto.CertChain.encode(chain).finish() };
}
