import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from 'node:crypto';
import type { Store } from './store.ts';

export interface TlsIdentity {
  readonly key: string;
  readonly certificate: string;
  readonly ca: string;
}

const VALID_FROM = '20240101000000Z';
const VALID_TO = '20491231235959Z';
const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
const UTF8_STRING = 0x0c;
const GENERALIZED_TIME = 0x18;
const SEQUENCE = 0x30;
const SET = 0x31;
const contextTag = (number: number, constructed: boolean): number => (constructed ? 0xa0 : 0x80) | number;

/** X.509's object identifiers, DER-encoded with tag and length. */
const OID = {
  commonName: '0603550403',
  ecdsaWithSha256: '06082a8648ce3d040302',
  basicConstraints: '0603551d13',
  keyUsage: '0603551d0f',
  extendedKeyUsage: '0603551d25',
  serverAuth: '06082b06010505070301',
  subjectAltName: '0603551d11',
  subjectKeyId: '0603551d0e',
  authorityKeyId: '0603551d23',
};
const oid = (name: keyof typeof OID): Buffer => Buffer.from(OID[name], 'hex');
const TRUE = Buffer.from('0101ff', 'hex');

function der(tag: number, ...parts: Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  if (body.length < 128) return Buffer.concat([Buffer.from([tag, body.length]), body]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  const digits = length.subarray(length.findIndex((byte) => byte !== 0));
  return Buffer.concat([Buffer.from([tag, 0x80 | digits.length]), digits, body]);
}

function integer(bytes: Buffer): Buffer {
  return der(0x02, (bytes[0] ?? 0) & 0x80 ? Buffer.concat([Buffer.alloc(1), bytes]) : bytes);
}

const bits = (bytes: Uint8Array, unused = 0): Buffer => der(BIT_STRING, Buffer.from([unused]), bytes);
const named = (name: string): Buffer =>
  der(SEQUENCE, der(SET, der(SEQUENCE, oid('commonName'), der(UTF8_STRING, Buffer.from(name)))));
const extension = (id: keyof typeof OID, critical: boolean, value: Buffer): Buffer =>
  der(SEQUENCE, oid(id), ...(critical ? [TRUE] : []), der(OCTET_STRING, value));

interface Holder {
  readonly name: string;
  readonly key: KeyObject;
}

const spkiOf = ({ key }: Holder): Buffer => createPublicKey(key).export({ format: 'der', type: 'spki' });
const keyId = (holder: Holder): Buffer => createHash('sha1').update(spkiOf(holder)).digest();

function certificate(subject: Holder, issuer: Holder, extensions: Buffer[]): string {
  const algorithm = der(SEQUENCE, oid('ecdsaWithSha256'));
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  const time = (value: string): Buffer => der(GENERALIZED_TIME, Buffer.from(value));
  const body = der(
    SEQUENCE,
    der(contextTag(0, true), integer(Buffer.from([2]))),
    integer(serial),
    algorithm,
    named(issuer.name),
    der(SEQUENCE, time(VALID_FROM), time(VALID_TO)),
    named(subject.name),
    spkiOf(subject),
    der(
      contextTag(3, true),
      der(
        SEQUENCE,
        ...extensions,
        extension('subjectKeyId', false, der(OCTET_STRING, keyId(subject))),
        extension('authorityKeyId', false, der(SEQUENCE, der(contextTag(0, false), keyId(issuer)))),
      ),
    ),
  );
  const signed = der(SEQUENCE, body, algorithm, bits(sign('sha256', body, issuer.key)));
  const lines = signed.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

function authority(holder: Holder): string {
  return certificate(holder, holder, [
    extension('basicConstraints', true, der(SEQUENCE, TRUE)),
    extension('keyUsage', true, bits(Buffer.from([0b0000_0110]), 1)),
  ]);
}

function server(holder: Holder, issuer: Holder, name: string): string {
  const dns = (name: string): Buffer => der(contextTag(2, false), Buffer.from(name));
  const ip = (...octets: number[]): Buffer => der(contextTag(7, false), Buffer.from(octets));
  return certificate(holder, issuer, [
    extension('basicConstraints', true, der(SEQUENCE)),
    extension('keyUsage', true, bits(Buffer.from([0b1000_0000]), 7)),
    extension('extendedKeyUsage', false, der(SEQUENCE, oid('serverAuth'))),
    extension(
      'subjectAltName',
      false,
      der(SEQUENCE, dns('localhost'), dns(name), ip(127, 0, 0, 1), ip(...Buffer.alloc(15), 1)),
    ),
  ]);
}

/** The media host's TLS identity for a host name, under an authority made for this data directory and that name. */
export function tlsIdentity(store: Store, name: string): TlsIdentity {
  const kept = name === '127.0.0.1' ? 'tls' : `tls:${name}`;
  const row = store.get<{ value: Uint8Array }>('SELECT value FROM meta WHERE key = ?', kept);
  if (row) return JSON.parse(Buffer.from(row.value).toString()) as TlsIdentity;
  const holder = (commonName: string): Holder => ({
    name: commonName,
    key: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
  });
  const [root, leaf] = [holder('PyWhatsWeb sandbox media CA'), holder('localhost')];
  const key = createPrivateKey(leaf.key.export({ format: 'pem', type: 'pkcs8' })).export({
    format: 'pem',
    type: 'pkcs8',
  }) as string;
  const identity = { key, certificate: server(leaf, root, name), ca: authority(root) };
  store.run('INSERT INTO meta VALUES (?, ?)', kept, Buffer.from(JSON.stringify(identity)));
  return identity;
}
