/**
 * WhatsApp's binary XML, written into bytes instead of a list of numbers. Equal to Baileys' own encoder byte for byte
 * (tested), for it is what the server sees.
 */
import type { BinaryNode } from 'baileys';

type Token = { index: number; dict?: number };
type Jid = { user: string; server: string; device?: number | undefined; domainType?: number };

type Tag =
  | 'LIST_EMPTY'
  | 'LIST_8'
  | 'LIST_16'
  | 'DICTIONARY_0'
  | 'AD_JID'
  | 'JID_PAIR'
  | 'HEX_8'
  | 'NIBBLE_8'
  | 'BINARY_8'
  | 'BINARY_20'
  | 'BINARY_32';

/** Baileys' own tables. */
export interface Tables {
  TAGS: Record<Tag, number>;
  TOKEN_MAP: Record<string, Token>;
}

const FIRST_SIZE = 4096;
const MAX_PACKED = 127;
/** 4 bits a character: `0`–`9`, `-`, `.` and `0`–`9`, `A`–`F`; -1 for what neither has. */
const NIBBLES = table('0123456789-.');
const HEX = table('0123456789ABCDEF');
/** The lower half of the last byte of an odd number of characters. */
const NO_CHARACTER = 15;

function table(characters: string): Int8Array {
  const values = new Int8Array(128).fill(-1);
  for (let i = 0; i < characters.length; i++) values[characters.charCodeAt(i)] = i;
  return values;
}

/** Whether each of the `text`'s characters has its 4 bits in `values`. */
function packs(text: string, values: Int8Array): boolean {
  if (text.length > MAX_PACKED) return false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 127 || (values[code] as number) < 0) return false;
  }
  return true;
}

export function makeEncoder(
  { TAGS, TOKEN_MAP }: Tables,
  jidDecode: (jid: string) => Jid | undefined,
): (node: BinaryNode) => Buffer {
  const tokens = new Map(Object.entries(TOKEN_MAP));
  let out = Buffer.allocUnsafeSlow(FIRST_SIZE);
  let at = 0;

  function room(bytes: number): void {
    if (at + bytes <= out.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(out.length * 2, at + bytes));
    out.copy(grown, 0, 0, at);
    out = grown;
  }

  function byte(value: number): void {
    if (at === out.length) room(1);
    out[at++] = value;
  }

  function length(bytes: number): void {
    room(5 + bytes);
    if (bytes < 256) {
      byte(TAGS.BINARY_8);
    } else if (bytes < 1 << 20) {
      byte(TAGS.BINARY_20);
      byte((bytes >> 16) & 0x0f);
      byte(bytes >> 8);
    } else {
      byte(TAGS.BINARY_32);
      byte(bytes >> 24);
      byte(bytes >> 16);
      byte(bytes >> 8);
    }
    byte(bytes);
  }

  function bytes(content: Uint8Array): void {
    length(content.length);
    out.set(content, at);
    at += content.length;
  }

  function raw(text: string): void {
    const size = Buffer.byteLength(text);
    length(size);
    at += out.write(text, at, 'utf8');
  }

  function packed(text: string, values: Int8Array, kind: number): void {
    const half = text.length >> 1;
    const odd = text.length & 1;
    byte(kind);
    byte((half + odd) | (odd << 7));
    for (let i = 0; i < half; i++) {
      const high = values[text.charCodeAt(2 * i)] as number;
      byte((high << 4) | (values[text.charCodeAt(2 * i + 1)] as number));
    }
    if (odd) byte(((values[text.charCodeAt(text.length - 1)] as number) << 4) | NO_CHARACTER);
  }

  function jid({ user, server, device, domainType }: Jid): void {
    if (device !== undefined) {
      byte(TAGS.AD_JID);
      byte(domainType || 0);
      byte(device || 0);
      string(user);
    } else {
      byte(TAGS.JID_PAIR);
      if (user.length > 0) string(user);
      else byte(TAGS.LIST_EMPTY);
      string(server);
    }
  }

  function string(text: string): void {
    if (text === '') return raw(text);
    const token = tokens.get(text);
    if (token) {
      if (token.dict !== undefined) byte(TAGS.DICTIONARY_0 + token.dict);
      return byte(token.index);
    }
    if (packs(text, NIBBLES)) return packed(text, NIBBLES, TAGS.NIBBLE_8);
    if (packs(text, HEX)) return packed(text, HEX, TAGS.HEX_8);
    const decoded = jidDecode(text);
    if (decoded) jid(decoded);
    else raw(text);
  }

  function list(size: number): void {
    if (size === 0) return byte(TAGS.LIST_EMPTY);
    if (size < 256) {
      byte(TAGS.LIST_8);
    } else {
      byte(TAGS.LIST_16);
      byte(size >> 8);
    }
    byte(size);
  }

  function encode({ tag: name, attrs, content }: BinaryNode): void {
    if (!name) throw new Error('Invalid node: tag cannot be undefined');
    const names = Object.keys(attrs ?? {}).filter((key) => attrs[key] !== undefined && attrs[key] !== null);
    list(2 * names.length + 1 + (content === undefined ? 0 : 1));
    string(name);
    for (const key of names) {
      // Another value counts above and is left out here, as Baileys does it.
      if (typeof attrs[key] !== 'string') continue;
      string(key);
      string(attrs[key]);
    }
    if (content === undefined) return;
    if (typeof content === 'string') return string(content);
    if (content instanceof Uint8Array) return bytes(content);
    if (!Array.isArray(content)) throw new Error(`invalid children for header "${name}": ${typeof content}`);
    const children = content.filter(
      (child: unknown) =>
        child && ((child as BinaryNode).tag || child instanceof Uint8Array || typeof child === 'string'),
    );
    list(children.length);
    for (const child of children) encode(child);
  }

  return (node) => {
    at = 0;
    byte(0);
    encode(node);
    const made = Buffer.from(out.subarray(0, at));
    if (out.length > FIRST_SIZE) out = Buffer.allocUnsafeSlow(FIRST_SIZE);
    return made;
  };
}
