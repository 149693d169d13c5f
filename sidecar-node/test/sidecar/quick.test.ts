/** What was made quicker gives what the original gives. The originals are loaded here as they are. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type BinaryNode, encodeBinaryNode, jidDecode } from 'baileys';
import { makeEncoder, type Tables } from '../../src/engines/baileys/quick/binary_node.ts';
import * as bridge from '../../src/engines/baileys/quick/bridge.ts';
import { hkdfSha256, hmacSha256 } from '../../src/engines/baileys/quick/hmac.ts';
import { quickenRecords, type SessionRecord, type SessionRow } from '../../src/engines/baileys/quick/records.ts';

const SRC = fileURLToPath(new URL('../../src/', import.meta.url));
const LIBRARY = fileURLToPath(new URL('../../node_modules/baileys/lib/', import.meta.url));
const require = createRequire(import.meta.url);

/** Numbers from 0 to below `below`, the same ones in each run. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Runs a script in a process whose Baileys has its seams; returns what it prints, as JSON. */
function patched(script: string): unknown {
  const prelude = `import ${JSON.stringify(`${SRC}node_crypto.ts`)};
    const { patchSources } = await import(${JSON.stringify(`${SRC}engines/baileys/harden.ts`)});
    patchSources();
    const library = ${JSON.stringify(LIBRARY)};
    const print = (value) => process.stdout.write(JSON.stringify(value));`;
  const done = spawnSync(process.execPath, ['--input-type=module', '-e', `${prelude}\n${script}`], {
    encoding: 'utf8',
  });
  assert.equal(done.status, 0, done.stderr);
  return JSON.parse(done.stdout);
}

test('HMAC and HKDF give what Node and libsignal give, whatever the lengths', () => {
  const original = require('libsignal/src/crypto.js') as {
    deriveSecrets(input: Buffer, salt: Buffer, info: Buffer, chunks: number): Buffer[];
  };
  for (const size of [0, 1, 32, 55, 56, 64, 65, 119, 120, 4095, 4096, 4097, 20_000])
    for (const keySize of [0, 1, 31, 32, 63, 64, 65, 200]) {
      const [key, data] = [randomBytes(keySize), randomBytes(size)];
      assert.deepEqual(hmacSha256(key, data), createHmac('sha256', key).update(data).digest());
    }
  for (const chunks of [1, 2, 3])
    for (const info of ['WhisperMessageKeys', 'WhisperRatchet', '']) {
      const [input, salt, label] = [randomBytes(32 + chunks), randomBytes(32), Buffer.from(info)];
      assert.deepEqual(hkdfSha256(input, salt, label, chunks), original.deriveSecrets(input, salt, label, chunks));
    }
});

test('what Baileys takes from its WebAssembly is what that gives', async () => {
  const original = await import('whatsapp-rust-bridge');
  for (const size of [0, 1, 32, 80, 5000]) {
    const data = randomBytes(size);
    assert.deepEqual(bridge.md5(data), Buffer.from(original.md5(data)));
    for (const [length, options] of [
      [32, { info: 'adv_secret' }],
      [64, { salt: randomBytes(32), info: '' }],
      [112, { info: 'WhatsApp Image Keys' }],
      [33, { salt: randomBytes(100) }],
      [1, {}],
    ] as const)
      assert.deepEqual(bridge.hkdf(data, length, options), Buffer.from(original.hkdf(data, length, options)));
  }
  const key = randomBytes(32);
  const expanded = original.expandAppStateKeys(key);
  for (const [name, value] of Object.entries(bridge.expandAppStateKeys(key)))
    assert.deepEqual(value, Buffer.from(expanded[name as keyof typeof expanded] as Uint8Array), name);
  const macs = (count: number): Buffer[] => Array.from({ length: count }, () => randomBytes(32));
  for (const [subtract, add] of [
    [macs(0), macs(1)],
    [macs(3), macs(0)],
    [macs(40), macs(70)],
  ] as const) {
    const base = randomBytes(128);
    const expected = new original.LTHashAntiTampering().subtractThenAdd(base, subtract, add);
    const before = Buffer.from(base);
    assert.deepEqual(new bridge.LTHashAntiTampering().subtractThenAdd(base, subtract, add), Buffer.from(expected));
    assert.deepEqual(base, before, 'the base is left as it was');
  }
});

const WORDS = [
  ...['message', 'to', 'participant', 'receipt', 'id', 'type', 'xmlns', 's.whatsapp.net', 'read-self', 'w:profile'],
  ...['5511999990001@s.whatsapp.net', '5511999990001:12@s.whatsapp.net', '123_1:5@lid', '77@lid', '1-2@g.us', '@g.us'],
  ...['a:b:c@hosted', 'x@hosted.lid', '9:@lid', '_@lid', 'status@broadcast', '@', 'a@b@c', ':7@s.whatsapp.net'],
  ...[
    '',
    '-',
    '.',
    '0',
    '12',
    '123',
    '1.2-3',
    'A',
    'AB',
    'ABC',
    '3EB0F00D',
    'a',
    'ç',
    '日本',
    '\ud800',
    '0'.repeat(127),
  ],
  ...['0'.repeat(128), 'F'.repeat(127), 'F'.repeat(128), 'x'.repeat(255), 'x'.repeat(256), 'y'.repeat(5000)],
];

function anyNode(next: (below: number) => number, depth: number): BinaryNode {
  const word = (): string => WORDS[next(WORDS.length)] as string;
  const attrs: Record<string, unknown> = {};
  for (let n = next(6); n > 0; n--) attrs[word()] = next(9) === 0 ? [undefined, null, 7][next(3)] : word();
  const sizes = [0, 1, 200, 255, 256, 4096, 70_000];
  const kinds = [
    () => undefined,
    word,
    () => randomBytes(sizes[next(sizes.length)] as number),
    () => new Uint8Array([1, 2, 3]),
    () => Array.from({ length: next(depth > 2 ? 1 : 5) }, () => anyNode(next, depth + 1)),
  ];
  return { tag: word() || 'iq', attrs, content: kinds[next(kinds.length)]?.() } as BinaryNode;
}

test('a stanza is encoded to the bytes Baileys makes of it', async () => {
  const tables = (await import(`file://${LIBRARY}WABinary/constants.js`)) as Tables;
  const encode = makeEncoder(tables, jidDecode);
  const next = numbers(7);
  for (let n = 0; n < 3000; n++) {
    const node = anyNode(next, 0);
    const expected = encodeBinaryNode(node);
    assert.ok(encode(node).equals(expected), JSON.stringify(node).slice(0, 500));
  }
  for (const word of [...Object.keys(tables.TOKEN_MAP), ...WORDS]) {
    const node = { tag: 'iq', attrs: { id: word }, content: word };
    assert.deepEqual(encode(node), encodeBinaryNode(node), word);
  }
  const many = { tag: 'list', attrs: {}, content: Array.from({ length: 300 }, () => ({ tag: 'item', attrs: {} })) };
  assert.deepEqual(encode(many), encodeBinaryNode(many));
  const large = { tag: 'enc', attrs: {}, content: randomBytes(1_200_000) };
  assert.ok(encode(large).equals(encodeBinaryNode(large)));
  for (const wrong of [
    { tag: '', attrs: {} },
    { tag: 'a', attrs: {}, content: 7 },
    { tag: 'a', attrs: {}, content: null },
  ])
    assert.throws(() => encode(wrong as unknown as BinaryNode), /^Error: (Invalid node|invalid children)/);
});

test('a message with a false, short or missing MAC is refused', () => {
  const found = patched(`
    const { createRequire } = await import('node:module');
    const { verifyMAC, calculateMAC } = createRequire(library + 'index.js')('libsignal/src/crypto.js');
    const [key, data] = [Buffer.alloc(32, 1), Buffer.from('data')];
    const mac = calculateMAC(key, data).subarray(0, 8), flipped = Buffer.from(mac);
    flipped[7] ^= 1;
    const tell = (given) => { try { verifyMAC(data, key, given, 8); return 'good'; } catch (error) { return error.message; } };
    print([mac, flipped, mac.subarray(0, 7), Buffer.alloc(0)].map(tell));`);
  assert.deepEqual(found, ['good', 'Bad MAC', 'Bad MAC length', 'Bad MAC length']);
});

test('jids are read, and hashes made, as Baileys does it', async () => {
  const jids = [...WORDS, 'user', '1:2:3@lid', '12:0@s.whatsapp.net', '1:x@lid', 'a@lid:4', 'a_2:9@s.whatsapp.net'];
  const found = patched(`
    const { jidDecode } = await import(library + 'WABinary/jid-utils.js');
    const { sha256 } = await import(library + 'Utils/crypto.js');
    print([${JSON.stringify(jids)}.map((jid) => jidDecode(jid) ?? null), sha256(Buffer.from('abc')).toString('hex')]);`);
  assert.deepEqual(found, [
    JSON.parse(JSON.stringify(jids.map((jid) => jidDecode(jid) ?? null))),
    'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
  ]);
});

test('a timeout rejects as Baileys expects it, and only when nothing came first', () => {
  const found = patched(`
    const { promiseTimeout } = await import(library + 'Utils/generics.js');
    const tell = (promise) => promise.then((value) => value, (error) => [error.message, error.output?.statusCode ?? 0]);
    print(await Promise.all([
      tell(promiseTimeout(20, () => {})),
      tell(promiseTimeout(60_000, (resolve) => resolve('came'))),
      tell(promiseTimeout(60_000, (_, reject) => reject(new Error('went')))),
      tell(promiseTimeout(60_000, async (resolve) => { await null; resolve('later'); })),
      tell(promiseTimeout(undefined, (resolve) => resolve('unbounded'))),
    ]));`);
  assert.deepEqual(found, [['Timed Out', 408], 'came', ['went', 0], 'later', 'unbounded']);
});

test('pooled random bytes have their length, never repeat and leave large and asynchronous calls alone', () => {
  const found = patched(`
    const { randomBytes } = await import('node:crypto');
    const made = Array.from({ length: 2000 }, () => randomBytes(16).toString('hex'));
    const later = await new Promise((resolve) => randomBytes(8, (_, bytes) => resolve(bytes.length)));
    let refused = 0;
    for (const wrong of [-1, 'x', undefined]) try { randomBytes(wrong); } catch { refused++; }
    print([new Set(made).size, made.every((each) => /^(?!0{32})[0-9a-f]{32}$/.test(each)), later,
      [0, 1, 31, 32, 33, 5000].map((size) => randomBytes(size).length), refused]);`);
  assert.deepEqual(found, [2000, true, 8, [0, 1, 31, 32, 33, 5000], 3]);
});

/** One session as libsignal stores it: two chains, skipped keys, a prekey still pending. */
function stored(): { _sessions: Record<string, unknown>; version: string } {
  const key = (): string => randomBytes(32).toString('base64');
  const chain = (chainType: number): unknown => ({
    chainKey: { counter: 4, key: key() },
    chainType,
    messageKeys: { 1: key(), 3: key() },
  });
  const baseKey = key();
  const session = {
    registrationId: 77,
    currentRatchet: {
      ephemeralKeyPair: { pubKey: key(), privKey: key() },
      lastRemoteEphemeralKey: key(),
      previousCounter: 2,
      rootKey: key(),
    },
    indexInfo: { baseKey, baseKeyType: 1, closed: -1, used: 5, created: 4, remoteIdentityKey: key() },
    _chains: { [key()]: chain(1), [key()]: chain(2) },
    pendingPreKey: { signedKeyId: 1, baseKey: key(), preKeyId: 9 },
  };
  return { _sessions: { [baseKey]: session }, version: 'v1' };
}

const rowOf = (record: SessionRecord): SessionRow => record.serialize() as SessionRow;

test('a session record is stored and read as by libsignal, and what is read can be changed freely', () => {
  const path = require.resolve('libsignal/src/session_record.js');
  type Class = Parameters<typeof quickenRecords>[0];
  const original = require(path) as Class;
  const data = stored();
  const plain = original.deserialize(structuredClone(data));
  const expected = plain.serialize();
  delete require.cache[path];
  const quick = require(path) as Class;
  quickenRecords(quick);

  const first = quick.deserialize(structuredClone(data));
  const row = rowOf(first);
  assert.deepEqual(quick.deserialize(Buffer.from(row)).sessions, first.sessions, 'from bytes alone');
  const copy = quick.deserialize(row);
  assert.deepEqual(copy.sessions, first.sessions, 'from what the bytes remember');
  assert.deepEqual(JSON.parse(JSON.stringify(expected)), data);
  for (const { currentRatchet, _chains } of Object.values(copy.sessions)) {
    const kept = [currentRatchet, ...Object.values(_chains).flatMap((each) => [each.chainKey, each.messageKeys])];
    for (const key of kept.flatMap((fields) => Object.values(fields)))
      if (key instanceof Uint8Array) assert.equal(key.buffer.byteLength, 32, 'a key that is kept keeps no pool');
  }

  const before = Buffer.from(rowOf(quick.deserialize(row)));
  for (const entry of Object.values(copy.sessions)) {
    for (const chain of Object.values(entry._chains)) {
      Object.assign(chain.chainKey, { counter: 99, key: undefined });
      Object.assign(chain.messageKeys, { 50: Buffer.alloc(32) });
    }
    Object.assign(entry.currentRatchet, { previousCounter: 12, rootKey: Buffer.alloc(32) });
    Object.assign(entry.currentRatchet.ephemeralKeyPair, { privKey: Buffer.alloc(32) });
    Object.assign(entry.indexInfo, { closed: 1 });
    entry._chains = {};
    delete entry.pendingPreKey;
  }
  assert.deepEqual(Buffer.from(rowOf(quick.deserialize(row))), before, 'the row kept what it held');
});
