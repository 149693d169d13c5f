/** Files on their way: out of the worker into the page, and from the page to the worker, in parts. */
import { createHash } from 'node:crypto';
import { open, readFile } from 'node:fs/promises';
import { decode } from '@msgpack/msgpack';
import { ActionError, type Content } from '../../protocol.ts';
import type { Link } from '../port.ts';
import type { File } from './content.ts';
import { dropFile, fetchFile, partOf } from './in_page.ts';
import type { Page } from './library.ts';

/** A part handed over by the worker, or to it. */
const PART = 256 * 1024;
/** A file that is sent passes to the page as one text, a third longer. */
const LARGEST_SENT = 64 * 1024 * 1024;
/** A file returned in the result itself has to fit a frame. */
const MAX_INLINE = 15 * 1024 * 1024;

/** How the file of a `send` is read: what the worker hands over in parts, else bytes or a path in its content. */
export function fileOf(link: Link, act: number, content: Content): File {
  const body = (content[String(content.type)] ?? {}) as Record<string, unknown>;
  return async () => {
    const size = (content.blob as { size?: number } | undefined)?.size;
    if (size !== undefined) return await received(link, act, size);
    const data = body.data ?? content.data;
    if (data instanceof Uint8Array) return Buffer.from(data);
    const path = body.path ?? content.path;
    if (typeof path !== 'string') throw new ActionError('E_MISSING_FIELD', 'data or path is missing');
    return await readFile(path).catch(() => {
      throw new ActionError('E_MEDIA_NOT_FOUND');
    });
  };
}

async function received(link: Link, act: number, size: number): Promise<Buffer> {
  if (size > LARGEST_SENT) throw new ActionError('E_MEDIA_TOO_LARGE', 'more than 64 MiB do not pass through a page');
  const parts: Uint8Array[] = [];
  for (let offset = 0; offset < size; ) {
    const part = await link.blobGet(act, offset, Math.min(PART, size - offset));
    if (part.length === 0) throw new ActionError('E_MEDIA_CORRUPT', 'the file ended too early');
    offset += part.length;
    parts.push(part);
  }
  return Buffer.concat(parts);
}

interface Fetched {
  size: number;
  sha256: string;
  data?: Uint8Array;
  path?: string;
}

/** `content.source` is an event's `media.source`; the file goes where `content` says, as with every engine. */
export async function fetchMedia(content: Content, act: number, page: Page, link: Link): Promise<Fetched> {
  const source = sourceOf(content);
  const found = await page.evaluate(fetchFile, source);
  if ('error' in found) {
    const gone = found.status === 404 || found.status === 410;
    throw new ActionError(gone ? 'E_MEDIA_EXPIRED' : 'E_MEDIA_DOWNLOAD_FAILED');
  }
  try {
    if (!content.blob && !content.path && found.size > MAX_INLINE) throw new ActionError('E_MEDIA_TOO_LARGE');
    return await handedOver(found, source, content, act, page, link);
  } finally {
    await page.evaluate(dropFile, found.file).catch(() => {});
  }
}

async function handedOver(
  { file, size }: { file: number; size: number },
  source: Record<string, unknown>,
  content: Content,
  act: number,
  page: Page,
  link: Link,
): Promise<Fetched> {
  const hash = createHash('sha256');
  const path = typeof content.path === 'string' ? content.path : undefined;
  const target = path !== undefined && !content.blob ? await open(path, 'w', 0o600) : undefined;
  const kept: Buffer[] = [];
  try {
    for (let offset = 0; offset < size; offset += PART) {
      const part = Buffer.from(await page.evaluate(partOf, file, offset, PART), 'base64');
      hash.update(part);
      if (content.blob) await link.blobPut(act, part);
      else if (target) await target.write(part);
      else kept.push(part);
    }
  } finally {
    await target?.close();
  }
  const digest = hash.digest();
  if (typeof source.filehash === 'string' && digest.toString('base64') !== source.filehash)
    throw new ActionError('E_MEDIA_CORRUPT');
  const about = { size, sha256: digest.toString('hex') };
  if (content.blob) return about;
  return path === undefined ? { ...about, data: Buffer.concat(kept) } : { ...about, path };
}

function sourceOf(content: Content): Record<string, unknown> {
  try {
    const source = decode(content.source as Uint8Array) as Record<string, unknown>;
    if (typeof source.directPath === 'string') return source;
  } catch {
    // Below.
  }
  throw new ActionError('E_MEDIA_NOT_FOUND', 'not a source of this engine');
}
