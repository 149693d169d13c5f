/**
 * Parts of Baileys and libsignal that take most of a text's time, done with less work. What leaves for WhatsApp and
 * what is stored stay what they were: each is tested against the original. Imports neither library.
 */
import { timingSafeEqual } from 'node:crypto';
import { createRequire } from 'node:module';
import { hkdfSha256, hmacSha256 } from './hmac.ts';
import { quickenRecords } from './records.ts';

/** What is changed in a source of Baileys: `before` stands in it exactly once. */
export interface Seam {
  file: string;
  before: string;
  after: string;
}

const url = (name: string): string => JSON.stringify(new URL(name, import.meta.url).href);

/** The files of Baileys that take something from its WebAssembly. */
const BRIDGED: readonly Seam[] = [
  ['crypto.js', 'export { md5, hkdf }'],
  ['chat-utils.js', 'import { expandAppStateKeys }'],
  ['lt-hash.js', 'import { LTHashAntiTampering }'],
].map(([file, names]) => ({
  file: `/baileys/lib/Utils/${file}`,
  before: `${names} from 'whatsapp-rust-bridge';\n`,
  after: `${names} from ${url('bridge.ts')};\n`,
}));

export const QUICK: readonly Seam[] = [
  ...BRIDGED,
  {
    file: '/baileys/lib/WABinary/encode.js',
    before: 'export const encodeBinaryNode = (node, opts = constants, buffer = [0]) => {\n',
    after:
      `import { makeEncoder } from ${url('binary_node.ts')};\n` +
      'export const encodeBinaryNode = makeEncoder(constants, jidDecode);\n' +
      'export const encodeBinaryNodeSlowly = (node, opts = constants, buffer = [0]) => {\n',
  },
  {
    file: '/baileys/lib/WABinary/jid-utils.js',
    before: 'export const jidDecode = (jid) => {\n',
    after:
      'export const jidDecode = (jid) => {\n' +
      "    const at = typeof jid === 'string' ? jid.indexOf('@') : -1;\n" +
      "    if (at >= 0 && jid.indexOf('_') < 0) {\n" +
      "        const colon = jid.indexOf(':');\n" +
      "        if (colon < 0 || (colon < at && jid.indexOf(':', colon + 1) < 0)) {\n" +
      '            const server = jid.slice(at + 1);\n' +
      "            const domainType = server === 'lid' ? 1 : server === 'hosted' ? 128 : server === 'hosted.lid' ? 129 : 0;\n" +
      '            const device = colon >= 0 && colon + 1 < at ? +jid.slice(colon + 1, at) : undefined;\n' +
      '            return { server, user: jid.slice(0, colon < 0 ? at : colon), domainType, device };\n' +
      '        }\n' +
      '    }\n' +
      '    return jidDecodeRare(jid);\n' +
      '};\n' +
      'const jidDecodeRare = (jid) => {\n',
  },
  {
    file: '/baileys/lib/Utils/crypto.js',
    before: "    return createHash('sha256').update(buffer).digest();\n",
    after: "    return Buffer.from(hash('sha256', buffer, 'binary'), 'binary');\n",
  },
  {
    file: '/baileys/lib/Utils/crypto.js',
    before: "import { createCipheriv, createDecipheriv, createHash, createHmac, randomBytes } from 'crypto';\n",
    after: "import { createCipheriv, createDecipheriv, createHmac, hash, randomBytes } from 'crypto';\n",
  },
  // Six lookups a text, each with a list, a set, a sort and four promises, for an address that is in the cache.
  {
    file: '/baileys/lib/Signal/libsignal.js',
    before: '            const lidForPN = await lidMapping.getLIDForPN(pnJid);\n',
    after:
      "            const known = domainType === 0 && device !== '99' && lidMapping.mappingCache.get('pn:' + user);\n" +
      "            if (known && typeof known === 'string') return known + '_1.' + device;\n" +
      '            const lidForPN = await lidMapping.getLIDForPN(pnJid);\n',
  },
  // A timer of three days for every address, each keeping the transaction it was made in: a bound does instead, for
  // what drops out is read from the store again.
  ...['libsignal.js', 'lid-mapping.js'].map((name) => ({
    file: `/baileys/lib/Signal/${name}`,
    before: 'ttlAutopurge: true,\n',
    after: 'max: 512,\n',
  })),
  // The original makes an error, and three promises more, for each timeout that does not come: two a stanza.
  {
    file: '/baileys/lib/Utils/generics.js',
    before: '    const stack = new Error().stack;\n    // Create a promise that rejects in <ms> milliseconds\n',
    after:
      '    return new Promise((resolve, reject) => {\n' +
      "        const late = () => reject(new Boom('Timed Out', { statusCode: DisconnectReason.timedOut, data: {} }));\n" +
      '        const timer = setTimeout(late, ms);\n' +
      '        const settle = (end) => (value) => { clearTimeout(timer); end(value); };\n' +
      '        promise(settle(resolve), settle(reject));\n' +
      '    });\n' +
      '    const stack = undefined;\n',
  },
];

interface SignalCrypto {
  verifyMAC(data: Buffer, key: Buffer, mac: Buffer, length: number): void;
  calculateMAC(key: Buffer, data: Buffer): Buffer;
  deriveSecrets(input: Buffer, salt: Buffer, info: Buffer, chunks?: number): Buffer[];
}

const signalCrypto = (): SignalCrypto => createRequire(import.meta.url)('libsignal/src/crypto.js') as SignalCrypto;

/** libsignal's key derivation; what it checks a message by stays its own. */
export function quickenKeys(): void {
  const crypto = signalCrypto();
  crypto.calculateMAC = hmacSha256;
  crypto.deriveSecrets = (input, salt, info, chunks = 3) => {
    if (salt.length !== 32) throw new Error('Got salt of incorrect length');
    return hkdfSha256(input, salt, info, chunks);
  };
}

/** Before Baileys is loaded: some of it takes libsignal's functions as they are then. */
export function quickenSignal(): void {
  quickenKeys();
  signalCrypto().verifyMAC = (data, key, mac, length) => {
    const expected = hmacSha256(key, data).subarray(0, length);
    if (mac.length !== length || expected.length !== length) throw new Error('Bad MAC length');
    if (!timingSafeEqual(expected, mac)) throw new Error('Bad MAC');
  };
  quickenRecords(createRequire(import.meta.url)('libsignal/src/session_record.js'));
}
