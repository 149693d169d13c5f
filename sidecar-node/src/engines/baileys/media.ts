/** Files on their way: out of the worker in parts, and from WhatsApp: downloaded, decrypted, checked. */
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { decode } from '@msgpack/msgpack';
import { downloadContentFromMessage, type proto, type WAMessage, type WASocket } from 'baileys';
import { errorText } from '../../logs.ts';
import { ActionError, type Address, type Content } from '../../protocol.ts';
import { tidily } from '../../trim.ts';
import type { Link } from '../port.ts';
import { openChannelFile } from './channel_files.ts';
import { jidOf } from './identity.ts';
import { addressOf } from './media_places.ts';
import type { MediaSource } from './messages.ts';
import { throughProxy } from './socket.ts';

/** A file returned in the result itself has to fit a frame. */
const MAX_INLINE = 15 * 1024 * 1024;
/** A part handed over by the worker, or to it. */
const PART = 256 * 1024;
/** From this size on, what a file leaves behind in memory is worth tidying up while it passes. */
const LARGE = 4 * 1024 * 1024;
/** How long the sender's phone may take to upload a file again. */
const RETRY_MS = 30_000;

interface Fetched {
  size: number;
  sha256: string;
  data?: Uint8Array;
  path?: string;
}

/** The file that goes with an act, read from the worker as it is needed; undefined when there is none. */
export function blobOf(link: Link, act: number, content: Content): Readable | undefined {
  const size = (content.blob as { size?: number } | undefined)?.size;
  if (size === undefined) return undefined;
  async function* parts(total: number): AsyncGenerator<Uint8Array> {
    for (let offset = 0; offset < total; ) {
      const part = await link.blobGet(act, offset, Math.min(PART, total - offset));
      if (part.length === 0) throw new ActionError('E_MEDIA_CORRUPT', 'the file ended too early');
      offset += part.length;
      yield part;
    }
  }
  return Readable.from(parts(size), { objectMode: false, highWaterMark: PART });
}

export function isLarge(content: Content | undefined): boolean {
  return ((content?.blob as { size?: number } | undefined)?.size ?? 0) >= LARGE;
}

function sourceOf(content: Content): MediaSource {
  try {
    return decode(content.source as Uint8Array) as MediaSource;
  } catch {
    throw new ActionError('E_MEDIA_NOT_FOUND', 'not a source of this engine');
  }
}

/**
 * `content.source` is an event's `media.source`; the file goes to the worker in parts with `content.blob`, to
 * `content.path` when given, else into the result. With `content.retry`, what WhatsApp has no longer is asked of the
 * phone that sent it.
 */
export async function fetchMedia(content: Content, act: number, socket: WASocket, link: Link): Promise<Fetched> {
  const source = sourceOf(content);
  try {
    return await download(source, content, act, link, socket);
  } catch (error) {
    const refused = refusal(error);
    if (refused.code !== 'E_MEDIA_EXPIRED' || !content.retry) throw refused;
    const renewed = await uploadedAgain(source, content.retry as Content, socket);
    try {
      return await download(renewed, content, act, link, socket);
    } catch (again) {
      throw refusal(again);
    }
  }
}

function download(source: MediaSource, content: Content, act: number, link: Link, socket: WASocket): Promise<Fetched> {
  const work = (): Promise<Fetched> => downloaded(source, content, act, link, socket);
  return content.blob ? tidily(work) : work();
}

async function downloaded(
  source: MediaSource,
  content: Content,
  act: number,
  link: Link,
  socket: WASocket,
): Promise<Fetched> {
  const stream = await opened(source, socket);
  const hash = createHash('sha256');
  let size = 0;
  const passing = async function* (chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      hash.update(chunk);
      size += chunk.length;
      yield chunk;
    }
  };
  const chunks: Buffer[] = [];
  const path = typeof content.path === 'string' ? content.path : undefined;
  try {
    if (content.blob) await pipeline(stream, passing, toWorker(link, act));
    else if (path !== undefined) await pipeline(stream, passing, createWriteStream(path, { mode: 0o600 }));
    else await pipeline(stream, passing, intoMemory(chunks));
    const digest = hash.digest();
    if (source.sha256 && !digest.equals(Buffer.from(source.sha256))) throw new ActionError('E_MEDIA_CORRUPT');
    const about = { size, sha256: digest.toString('hex') };
    if (content.blob) return about;
    return path === undefined ? { ...about, data: Buffer.concat(chunks) } : { ...about, path };
  } catch (error) {
    if (path !== undefined) await rm(path, { force: true });
    throw error;
  }
}

async function opened(source: MediaSource, socket: WASocket): Promise<Readable> {
  const url = await addressOf(socket, source.path, source.url);
  if (source.key.length === 0) return openChannelFile(socket, url, source.sha256);
  const message = { mediaKey: source.key, directPath: null, url };
  return downloadContentFromMessage(message, source.type, { options: throughProxy(socket) as RequestInit });
}

function toWorker(link: Link, act: number): Writable {
  return new Writable({
    highWaterMark: PART,
    write(chunk: Buffer, _encoding, done) {
      link.blobPut(act, chunk).then(() => done(), done);
    },
  });
}

function intoMemory(chunks: Buffer[]): Writable {
  let size = 0;
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      size += chunk.length;
      chunks.push(chunk);
      done(size > MAX_INLINE ? new ActionError('E_MEDIA_TOO_LARGE') : null);
    },
  });
}

/** Asks the phone that sent a file to upload it again, as WhatsApp Web does; where the file lies then. */
async function uploadedAgain(source: MediaSource, retry: Content, socket: WASocket): Promise<MediaSource> {
  const remoteJid = jidOf(retry.chat as Address);
  if (!remoteJid) throw new ActionError('E_MEDIA_EXPIRED');
  const participant = jidOf(retry.participant as Address | undefined);
  const about = { mediaKey: source.key, directPath: source.path ?? null, url: source.url ?? null };
  const message = {
    key: {
      id: String(retry.message_id),
      remoteJid,
      fromMe: retry.from_self === true,
      ...(participant ? { participant } : {}),
    },
    message: { [`${source.type}Message`]: about } as proto.IMessage,
  } as WAMessage;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new ActionError('E_MEDIA_EXPIRED', 'the phone did not answer')), RETRY_MS);
  });
  try {
    await Promise.race([socket.updateMediaMessage(message), late]);
  } catch (error) {
    if (error instanceof ActionError) throw error;
    throw new ActionError('E_MEDIA_EXPIRED', errorText(error));
  } finally {
    clearTimeout(timer);
  }
  return { ...source, path: about.directPath ?? undefined, url: about.url ?? undefined };
}

export function refusal(error: unknown): ActionError {
  if (error instanceof ActionError) return error;
  const status = (error as { output?: { statusCode?: number } }).output?.statusCode;
  const detail = errorText(error);
  if (status === 404 || status === 410) return new ActionError('E_MEDIA_EXPIRED', detail);
  const { code = '' } = error as { code?: string };
  if (code.startsWith('ERR_OSSL')) return new ActionError('E_MEDIA_DECRYPT_FAILED', detail);
  if (code.startsWith('Z_')) return new ActionError('E_MEDIA_CORRUPT', detail);
  return new ActionError('E_MEDIA_DOWNLOAD_FAILED', detail);
}
