import { createCipheriv, createDecipheriv, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { proto } from 'baileys/WAProto/index.js';
import { expandAppStateKeys, LTHashAntiTampering } from '../src/engines/baileys/quick/bridge.ts';
import { Refusal } from './refusal.ts';

const { SET, REMOVE } = proto.SyncdMutation.SyncdOperation;
const MAC = 32;
const IV = 16;
const SUMS = new LTHashAntiTampering();

/** One entry of an account's state, as its devices read it: `index` names what it is about, `value` says how it is. */
export interface Change {
  readonly index: string[];
  readonly value: proto.ISyncActionValue;
  /** Of the action's format. */
  readonly version: number;
  readonly removed?: boolean;
}

/** A collection as all devices must have it: `sum` guards the entries, `macs` has each one's code by its index's. */
export interface Collection {
  readonly name: string;
  readonly version: number;
  readonly sum: Uint8Array;
  readonly macs: ReadonlyMap<string, Uint8Array>;
}

/** What a patch made of a collection. */
export interface Patched {
  readonly collection: Collection;
  readonly changes: Change[];
}

/** Closes and opens patches of the state with one key that an account's devices share. The server cannot. */
export class StateSeal {
  readonly #id: Buffer;
  readonly #keys: ReturnType<typeof expandAppStateKeys>;

  constructor(id: Uint8Array, data: Uint8Array) {
    this.#id = Buffer.from(id);
    this.#keys = expandAppStateKeys(data);
  }

  /** The patch that makes one change, to follow on the collection as it is. */
  seal(collection: Collection, { index, value, version, removed }: Change): proto.ISyncdPatch {
    const encodedIndex = Buffer.from(JSON.stringify(index));
    const plain = proto.SyncActionData.encode({ index: encodedIndex, value, padding: new Uint8Array(0), version });
    const iv = randomBytes(IV);
    const cipher = createCipheriv('aes-256-cbc', this.#keys.valueEncryptionKey, iv);
    const sealed = Buffer.concat([iv, cipher.update(plain.finish()), cipher.final()]);
    const operation = removed ? REMOVE : SET;
    const code = this.#valueMac(operation, sealed);
    const mutation = {
      operation,
      record: {
        index: { blob: hmac(this.#keys.indexKey, encodedIndex) },
        value: { blob: Buffer.concat([sealed, code]) },
        keyId: { id: this.#id },
      },
    };
    const next = mixed(collection, [mutation]);
    const snapshotMac = this.#snapshotMac(next);
    return {
      version: { version: next.version },
      mutations: [mutation],
      snapshotMac,
      patchMac: this.#patchMac(next, snapshotMac, [code]),
      keyId: { id: this.#id },
    };
  }

  /** What a device's patch makes of the collection. Throws Refusal for one that is not sealed as it must be. */
  open(collection: Collection, patch: proto.ISyncdPatch): Patched {
    const mutations = patch.mutations ?? [];
    same(patch.keyId?.id, this.#id, 'key');
    const changes = mutations.map((mutation) => this.#open(mutation));
    const next = mixed(collection, mutations);
    const snapshotMac = this.#snapshotMac(next);
    same(patch.snapshotMac, snapshotMac, 'snapshot MAC');
    const codes = mutations.map((mutation) => codeOf(mutation));
    same(patch.patchMac, this.#patchMac(next, snapshotMac, codes), 'patch MAC');
    return { collection: next, changes };
  }

  #open({ operation, record }: proto.ISyncdMutation): Change {
    const blob = Buffer.from(record?.value?.blob ?? []);
    const sealed = blob.subarray(0, -MAC);
    same(blob.subarray(-MAC), this.#valueMac(operation ?? SET, sealed), 'value MAC');
    const decipher = createDecipheriv('aes-256-cbc', this.#keys.valueEncryptionKey, sealed.subarray(0, IV));
    const plain = Buffer.concat([decipher.update(sealed.subarray(IV)), decipher.final()]);
    const { index, value, version } = proto.SyncActionData.decode(plain);
    same(record?.index?.blob, hmac(this.#keys.indexKey, index ?? new Uint8Array(0)), 'index MAC');
    return {
      index: JSON.parse(Buffer.from(index ?? []).toString()) as string[],
      value: value ?? {},
      version: version ?? 0,
      removed: operation === REMOVE,
    };
  }

  #valueMac(operation: number, sealed: Uint8Array): Buffer {
    const head = Buffer.concat([Buffer.of(operation === REMOVE ? 2 : 1), this.#id]);
    const code = createHmac('sha512', this.#keys.valueMacKey).update(head).update(sealed).update(long(head.length));
    return code.digest().subarray(0, MAC);
  }

  #snapshotMac({ name, version, sum }: Collection): Buffer {
    return hmac(this.#keys.snapshotMacKey, sum, long(version), Buffer.from(name));
  }

  #patchMac({ name, version }: Collection, snapshotMac: Uint8Array, codes: Uint8Array[]): Buffer {
    return hmac(this.#keys.patchMacKey, snapshotMac, ...codes, long(version), Buffer.from(name));
  }
}

function mixed({ name, version, sum, macs }: Collection, mutations: proto.ISyncdMutation[]): Collection {
  const next = new Map(macs);
  const [gone, come]: [Uint8Array[], Uint8Array[]] = [[], []];
  for (const mutation of mutations) {
    const at = Buffer.from(mutation.record?.index?.blob ?? []).toString('base64');
    const before = next.get(at);
    if (before) gone.push(before);
    if (mutation.operation === REMOVE) next.delete(at);
    else {
      come.push(codeOf(mutation));
      next.set(at, codeOf(mutation));
    }
  }
  return { name, version: version + 1, sum: SUMS.subtractThenAdd(sum, gone, come), macs: next };
}

const codeOf = ({ record }: proto.ISyncdMutation): Buffer => Buffer.from(record?.value?.blob ?? []).subarray(-MAC);

function hmac(key: Uint8Array, ...parts: Uint8Array[]): Buffer {
  const code = createHmac('sha256', key);
  for (const part of parts) code.update(part);
  return code.digest();
}

function long(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

function same(given: Uint8Array | null | undefined, wanted: Uint8Array, what: string): void {
  if (given?.length !== wanted.length || !timingSafeEqual(given, wanted)) throw new Refusal(`The ${what} is wrong.`);
}
