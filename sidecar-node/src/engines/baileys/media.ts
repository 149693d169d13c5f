/** Fetches a received file: downloads, decrypts, checks. */
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { decode } from '@msgpack/msgpack';
import { downloadContentFromMessage } from 'baileys';
import { errorText } from '../../logs.ts';
import { ActionError, type Content } from '../../protocol.ts';
import type { MediaSource } from './messages.ts';

/** A file returned in the result itself has to fit a frame. */
const MAX_INLINE = 15 * 1024 * 1024;

interface Fetched {
  size: number;
  sha256: string;
  data?: Uint8Array;
  path?: string;
}

function sourceOf(content: Content): MediaSource {
  try {
    return decode(content.source as Uint8Array) as MediaSource;
  } catch {
    throw new ActionError('E_MEDIA_NOT_FOUND', 'not a source of this engine');
  }
}

/** `content.source` is an event's `media.source`; the file goes to `content.path` when given, else into the result. */
export async function fetchMedia(content: Content): Promise<Fetched> {
  const source = sourceOf(content);
  const path = typeof content.path === 'string' ? content.path : undefined;
  const hash = createHash('sha256');
  const chunks: Buffer[] = [];
  let size = 0;
  const file = path === undefined ? undefined : createWriteStream(path, { mode: 0o600 });
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      size += chunk.length;
      if (!file && size > MAX_INLINE) return done(new ActionError('E_MEDIA_TOO_LARGE'));
      if (!file) chunks.push(chunk);
      else if (!file.write(chunk)) return void file.once('drain', done);
      done();
    },
    final(done) {
      file ? file.end(done) : done();
    },
  });
  file?.on('error', (error) => sink.destroy(error));
  try {
    const message = { mediaKey: source.key, directPath: source.path ?? null, url: source.url ?? null };
    await pipeline(await downloadContentFromMessage(message, source.type), sink);
    const digest = hash.digest();
    if (source.sha256 && !digest.equals(Buffer.from(source.sha256))) throw new ActionError('E_MEDIA_CORRUPT');
    return {
      size,
      sha256: digest.toString('hex'),
      ...(path === undefined ? { data: Buffer.concat(chunks) } : { path }),
    };
  } catch (error) {
    file?.destroy();
    if (path !== undefined) await rm(path, { force: true });
    throw refusal(error);
  }
}

function refusal(error: unknown): ActionError {
  if (error instanceof ActionError) return error;
  const status = (error as { output?: { statusCode?: number } }).output?.statusCode;
  const detail = errorText(error);
  if (status === 404 || status === 410) return new ActionError('E_MEDIA_EXPIRED', detail);
  if ((error as { code?: string }).code?.startsWith('ERR_OSSL'))
    return new ActionError('E_MEDIA_DECRYPT_FAILED', detail);
  return new ActionError('E_MEDIA_DOWNLOAD_FAILED', detail);
}
