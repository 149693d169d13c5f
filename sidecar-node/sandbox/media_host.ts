import { createCipheriv, createDecipheriv, createHash, createHmac, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { proto } from 'baileys/WAProto/index.js';
import type { MediaContent, MediaKind } from './content.ts';
import { hkdf } from './curve.ts';
import { logError } from './log.ts';
import { Refusal } from './refusal.ts';
import type { Sandbox } from './sandbox.ts';
import { tlsIdentity } from './tls_certificate.ts';

const RETRY = proto.MediaRetryNotification;
const MAC_LENGTH = 10;
/** Of channels' files, under which they are put and found. */
const CHANNEL_UPLOAD = /^\/newsletter\/newsletter-(image|video|audio|document)\//;
const CHANNEL_PATH = '/m1/v/t24';
const MAX_UPLOAD = 256 * 1024 * 1024;
const BLOB_NAME = /^[A-Za-z0-9_-]{43}=?$/;
const INFO: Record<MediaKind, string> = {
  image: 'WhatsApp Image Keys',
  video: 'WhatsApp Video Keys',
  audio: 'WhatsApp Audio Keys',
  document: 'WhatsApp Document Keys',
  sticker: 'WhatsApp Image Keys',
};
const PATHS: Record<MediaKind, string> = {
  image: '/mms/image',
  video: '/mms/video',
  audio: '/mms/audio',
  document: '/mms/document',
  sticker: '/mms/image',
};

export interface OpenedFile {
  readonly sha256: string;
  readonly size: number;
}

/** A channel's, which is not encrypted. */
export interface PlainFile {
  readonly url: string;
  readonly directPath: string;
  readonly fileSha256: Buffer;
  readonly fileLength: number;
}

export interface SealedFile extends PlainFile {
  readonly mediaKey: Buffer;
  /** Seconds. */
  readonly mediaKeyTimestamp: number;
  readonly fileEncSha256: Buffer;
}

/** The host that files are uploaded to and downloaded from, encrypted but for channels', over TLS with a CA of the sandbox's own. */
export class MediaHost {
  readonly #sandbox: Sandbox;
  readonly #lost = new Map<string, { name: string; directPath: string; mediaKey: Buffer; kept: boolean }>();
  #server: Server | undefined;
  #port = 0;

  constructor(sandbox: Sandbox) {
    this.#sandbox = sandbox;
  }

  /** Host and port, as `media_conn` names it. */
  get host(): string {
    return `${this.#sandbox.options.name}:${this.#port}`;
  }

  get caPath(): string {
    return join(this.#sandbox.options.dataDir, 'media_ca.pem');
  }

  get #folder(): string {
    return join(this.#sandbox.options.dataDir, 'media');
  }

  async start(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const { key, certificate, ca } = tlsIdentity(this.#sandbox.store, this.#sandbox.options.name);
    await writeFile(this.caPath, ca);
    this.#server = createServer({ key, cert: certificate }, (request, response) => {
      this.#answer(request, response).catch((error: unknown) => {
        logError('media', error);
        if (!response.headersSent) response.writeHead(500);
        response.end();
      });
    });
    const server = this.#server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#sandbox.options.mediaPort, this.#sandbox.options.bind, resolve);
    });
    this.#port = (server.address() as AddressInfo).port;
  }

  stop(): void {
    this.#server?.close();
    this.#server?.closeAllConnections();
  }

  /** Downloads and decrypts a file as a phone does, and says what it is. */
  async open(media: MediaContent): Promise<OpenedFile> {
    const plain = await this.read(media);
    return { sha256: createHash('sha256').update(plain).digest('hex'), size: plain.length };
  }

  /** A phone shows a journal's message: what its file turned out to be goes with the entry. */
  show(seq: number, media: MediaContent): void {
    const note = (found: object) => this.#sandbox.journal.annotate(seq, { media: found });
    this.open(media).then(
      (file) => note({ ...file, mime_type: media.mimeType }),
      (error: unknown) => {
        logError('media', error);
        note({ error: error instanceof Error ? error.message : 'failed' });
      },
    );
  }

  /** The decrypted bytes. Rejects when the file is gone (ENOENT) or not authentic. */
  async read(media: Omit<MediaContent, 'mimeType'>): Promise<Buffer> {
    const name = nameIn(new URL(media.directPath, 'https://media').pathname);
    if (!BLOB_NAME.test(name)) throw new Error('the media path names no file of this host');
    if (!media.mediaKey?.length) return await readFile(this.#channelFile(name));
    const blob = await readFile(join(this.#folder, name));
    const { iv, cipherKey, macKey } = mediaKeys(Buffer.from(media.mediaKey), media.kind);
    const body = blob.subarray(0, blob.length - MAC_LENGTH);
    const mac = createHmac('sha256', macKey).update(iv).update(body).digest().subarray(0, MAC_LENGTH);
    if (!mac.equals(blob.subarray(blob.length - MAC_LENGTH))) throw new Error('the media file is not authentic');
    const decipher = createDecipheriv('aes-256-cbc', cipherKey, iv);
    return Buffer.concat([decipher.update(body), decipher.final()]);
  }

  /** Encrypts and stores a file that a contact sends. */
  async seal(plain: Buffer, kind: MediaKind): Promise<SealedFile> {
    const mediaKey = randomBytes(32);
    const { iv, cipherKey, macKey } = mediaKeys(mediaKey, kind);
    const cipher = createCipheriv('aes-256-cbc', cipherKey, iv);
    const body = Buffer.concat([cipher.update(plain), cipher.final()]);
    const blob = Buffer.concat([
      body,
      createHmac('sha256', macKey).update(iv).update(body).digest().subarray(0, MAC_LENGTH),
    ]);
    const fileEncSha256 = createHash('sha256').update(blob).digest();
    const name = fileEncSha256.toString('base64url');
    await this.#keep(join(this.#folder, name), blob);
    const directPath = `${PATHS[kind]}/${name}`;
    return {
      url: `https://${this.host}${directPath}`,
      directPath,
      mediaKey,
      mediaKeyTimestamp: Math.floor(Date.now() / 1000),
      fileEncSha256,
      fileLength: plain.length,
      fileSha256: createHash('sha256').update(plain).digest(),
    };
  }

  /** Stores a file that a channel's owner posts. */
  async publish(plain: Buffer): Promise<PlainFile> {
    const fileSha256 = createHash('sha256').update(plain).digest();
    const name = fileSha256.toString('base64url');
    await this.#keep(this.#channelFile(name), plain);
    const directPath = `${CHANNEL_PATH}/${name}`;
    return { url: `https://${this.host}${directPath}`, directPath, fileSha256, fileLength: plain.length };
  }

  /** What a post has to name of its file; undefined for one that was not put where channels' files are. */
  async handleOf(directPath: string): Promise<string | undefined> {
    const name = nameIn(directPath);
    if (!directPath.startsWith(`${CHANNEL_PATH}/`) || !BLOB_NAME.test(name)) return undefined;
    const there = await stat(this.#channelFile(name)).catch(() => undefined);
    return there && handle(name);
  }

  #channelFile(name: string): string {
    return join(this.#folder, `channel.${name}`);
  }

  /** A file is gone from here, though its message names it; the sender's phone still has it, or (`kept` false) not. */
  async lose(id: string, { directPath, mediaKey }: SealedFile, kept: boolean): Promise<void> {
    const name = directPath.slice(directPath.lastIndexOf('/') + 1);
    await rename(join(this.#folder, name), join(this.#folder, `lost.${name}`));
    this.#lost.set(id, { name, directPath, mediaKey, kept });
  }

  /**
   * The phone is asked for a lost file and uploads it again: what it answers, encrypted as a phone does; undefined for a
   * message that lost none.
   */
  async uploadAgain(id: string): Promise<{ ciphertext: Buffer; iv: Buffer } | undefined> {
    const lost = this.#lost.get(id);
    if (!lost) return undefined;
    const { name, directPath, mediaKey, kept } = lost;
    if (kept) await rename(join(this.#folder, `lost.${name}`), join(this.#folder, name)).catch(() => undefined);
    const told = RETRY.encode({
      stanzaId: id,
      result: kept ? RETRY.ResultType.SUCCESS : RETRY.ResultType.NOT_FOUND,
      ...(kept ? { directPath: `${directPath}?again=1` } : {}),
    }).finish();
    const iv = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', hkdf(mediaKey, 32, 'WhatsApp Media Retry Notification'), iv);
    cipher.setAAD(Buffer.from(id));
    return { iv, ciphertext: Buffer.concat([cipher.update(told), cipher.final(), cipher.getAuthTag()]) };
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'https://media');
    const picture = this.#sandbox.profiles.pictureAt(url.pathname);
    if (picture) return void response.writeHead(200, { 'content-type': 'image/jpeg' }).end(picture);
    const name = nameIn(url.pathname);
    const puts = request.method === 'POST' || request.method === 'PUT';
    const ofChannel = puts ? CHANNEL_UPLOAD.test(url.pathname) : url.pathname.startsWith(`${CHANNEL_PATH}/`);
    if (!(ofChannel || url.pathname.startsWith('/mms/')) || !BLOB_NAME.test(name))
      return void response.writeHead(404).end();
    const path = ofChannel ? this.#channelFile(name) : join(this.#folder, name);
    if (!puts) return await this.#download(request, response, path);
    const place = ofChannel ? CHANNEL_PATH : url.pathname.slice(0, url.pathname.lastIndexOf('/'));
    const directPath = `${place}/${name}`;
    const told = { url: `https://${this.host}${directPath}`, direct_path: directPath };
    await this.#upload(request, response, path, ofChannel ? { ...told, handle: handle(name) } : told);
  }

  async #upload(request: IncomingMessage, response: ServerResponse, path: string, told: object): Promise<void> {
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of request as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > MAX_UPLOAD) return void response.writeHead(413).end();
      chunks.push(chunk);
    }
    const blob = Buffer.concat(chunks);
    if (!path.endsWith(createHash('sha256').update(blob).digest('base64url')))
      return void response.writeHead(400).end();
    await this.#keep(path, blob);
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(told));
  }

  async #download(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
    const size = (await stat(path).catch(() => undefined))?.size;
    if (size === undefined) return void response.writeHead(404).end();
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const start = range ? Number(range[1]) : 0;
    const end = range?.[2] ? Math.min(Number(range[2]), size - 1) : size - 1;
    if (start > end) return void response.writeHead(416).end();
    response.writeHead(range ? 206 : 200, {
      'content-type': 'application/octet-stream',
      'content-length': end - start + 1,
      ...(range ? { 'content-range': `bytes ${start}-${end}/${size}` } : {}),
    });
    createReadStream(path, { start, end }).pipe(response);
  }

  async #keep(path: string, blob: Buffer): Promise<void> {
    const temporary = `${path}.${randomBytes(4).toString('hex')}`;
    await writeFile(temporary, blob, { mode: 0o600 });
    await rename(temporary, path);
  }
}

function nameIn(path: string): string {
  return decodeURIComponent(path.slice(path.lastIndexOf('/') + 1)).replace(/=+$/, '');
}

function handle(name: string): string {
  return createHash('sha256').update(`handle ${name}`).digest('base64');
}

function mediaKeys(mediaKey: Buffer, kind: MediaKind): { iv: Buffer; cipherKey: Buffer; macKey: Buffer } {
  if (mediaKey.length !== 32) throw new Refusal('A media key has 32 bytes.');
  const keys = hkdf(mediaKey, 112, INFO[kind]);
  return { iv: keys.subarray(0, 16), cipherKey: keys.subarray(16, 48), macKey: keys.subarray(48, 80) };
}
