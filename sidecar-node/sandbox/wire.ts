import { inflateSync } from 'node:zlib';
import * as tokens from 'baileys/lib/WABinary/constants.js';
import { type BinaryNode, decodeDecompressedBinaryNode, jidDecode } from 'baileys/lib/WABinary/index.js';
import { makeEncoder } from '../src/engines/baileys/quick/binary_node.ts';

export type Node = BinaryNode;
export const SERVER = 's.whatsapp.net';
export const SERVER_JID = '@s.whatsapp.net';

export function node(tag: string, attrs: Record<string, string | undefined> = {}, content?: Node['content']): Node {
  const kept: Record<string, string> = {};
  for (const key in attrs) {
    const value = attrs[key];
    if (value !== undefined) kept[key] = value;
  }
  return content === undefined ? { tag, attrs: kept } : { tag, attrs: kept, content };
}

export const encodeNode: (value: Node) => Buffer = makeEncoder(tokens, jidDecode);

/** Decodes a decrypted frame: a flags byte (2 = deflated), then the node. */
export function decodeNode(frame: Buffer): Node {
  const body = (frame[0] ?? 0) & 2 ? inflateSync(frame.subarray(1)) : frame.subarray(1);
  return decodeDecompressedBinaryNode(body, tokens);
}

export const children = (parent: Node | undefined): Node[] => (Array.isArray(parent?.content) ? parent.content : []);
export const child = (parent: Node | undefined, tag: string): Node | undefined =>
  children(parent).find((candidate) => candidate.tag === tag);

export function bytesOf(value: Node | undefined): Buffer | undefined {
  const content = value?.content;
  if (content instanceof Uint8Array) return Buffer.from(content.buffer, content.byteOffset, content.byteLength);
  // Baileys writes short ASCII contents as packed strings.
  return typeof content === 'string' ? Buffer.from(content) : undefined;
}

export const unsigned = (bytes: Buffer | undefined): number | undefined =>
  bytes && bytes.length > 0 && bytes.length <= 6 ? bytes.readUIntBE(0, bytes.length) : undefined;

export function bigEndian(value: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  bytes.writeUIntBE(value, 0, length);
  return bytes;
}

export interface Address {
  readonly user: string;
  readonly device: number;
  readonly server: string;
}

export function parseJid(jid: string): Address | undefined {
  const at = jid.indexOf('@');
  if (at < 0) return undefined;
  const [user = '', device = '0'] = jid.slice(0, at).split(':');
  return { user: user.split('_')[0] ?? '', device: Number(device) || 0, server: jid.slice(at + 1) };
}

export const pnJid = (number: string, device = 0): string => `${number}${device ? `:${device}` : ''}@${SERVER}`;
export const lidJid = (lid: string, device = 0): string => `${lid}${device ? `:${device}` : ''}@lid`;
export const seconds = (at = Date.now()): string => String(Math.floor(at / 1000));
