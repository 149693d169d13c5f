import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { logError } from '../log.ts';
import { Refusal } from '../refusal.ts';
import type { Sandbox } from '../sandbox.ts';
import type { PageConnection } from './page_connection.ts';
import { mediaKindOf } from './translate.ts';

/** The address of WhatsApp Web: the page is answered under it by the browser's driver, and asks from there. */
const ORIGIN = 'https://web.whatsapp.com';
const MAX_FILE = 256 * 1024 * 1024;
const PARTS = [
  'models.js',
  'store.js',
  'state.js',
  'places.js',
  'inbox.js',
  'link.js',
  'groups.js',
  'past.js',
  'marks.js',
  'labels.js',
  'people.js',
  'channels.js',
  'statuses.js',
  'actions.js',
  'votes.js',
  'media.js',
  'modules.js',
];

/** The browser pages that play WhatsApp Web: where they come from, their files, and those that wait to be linked. */
export class Pages {
  readonly #sandbox: Sandbox;
  readonly #waiting = new Set<PageConnection>();

  constructor(sandbox: Sandbox) {
    this.#sandbox = sandbox;
  }

  /** A page that is not linked yet shows refs (true), or no longer does. */
  waits(page: PageConnection, waits: boolean): void {
    if (waits) this.#waiting.add(page);
    else this.#waiting.delete(page);
    this.#sandbox.events.emit('change');
  }

  offering(ref: string): PageConnection | undefined {
    return [...this.#waiting].find((page) => page.offers(ref));
  }

  /** The page that asks to be linked to this phone by a code. */
  asking(number: string): PageConnection | undefined {
    return [...this.#waiting].reverse().find((page) => page.linkCodeFor === number);
  }

  pending(): Record<string, unknown>[] {
    return [...this.#waiting].map((page) => page.pending());
  }

  /** `GET /web` is the page; `/web/media` takes and gives its files. False: not ours. */
  answer(request: IncomingMessage, response: ServerResponse): boolean {
    const url = new URL(request.url ?? '/', 'http://localhost');
    if (url.pathname === '/web' && request.method === 'GET') {
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' });
      response.end(this.#page(request.headers.host ?? ''));
      return true;
    }
    if (url.pathname !== '/web/media') return false;
    this.#media(request, response, url.searchParams).catch((error: unknown) => {
      const gone = (error as { code?: string }).code === 'ENOENT';
      if (!gone && !(error instanceof Refusal)) logError('page media', error);
      response.writeHead(gone ? 404 : error instanceof Refusal ? error.status : 500).end();
    });
    return true;
  }

  #page(host: string): string {
    // Modules for whoever edits them, one script for the browser: the page has no address to load others from.
    const part = (name: string): string =>
      readFileSync(new URL(`client/${name}`, import.meta.url), 'utf8')
        .replace(/^import [^;]*;\n/gm, '')
        .replace(/^export /gm, '');
    const { pageChoosesIds: choosesIds } = this.#sandbox.options;
    const about = JSON.stringify({ socket: `ws://${host}/ws/web`, media: `http://${host}/web/media`, choosesIds });
    const script = [`window.SANDBOX = ${about};`, ...PARTS.map(part)].join('\n');
    return `<!doctype html><meta charset="utf-8"><title>WhatsApp</title><div id="app"></div><script type="module">${script}</script>`;
  }

  async #media(request: IncomingMessage, response: ServerResponse, query: URLSearchParams): Promise<void> {
    response.setHeader('access-control-allow-origin', ORIGIN);
    response.setHeader('access-control-allow-headers', 'content-type');
    const kind = mediaKindOf(query.get('type') ?? '');
    if (request.method === 'OPTIONS' || !kind) {
      response.writeHead(kind ? 204 : 400).end();
    } else if (request.method === 'POST' && query.has('plain')) {
      const { directPath, fileSha256, url } = await this.#sandbox.media.publish(await bodyOf(request));
      const handle = await this.#sandbox.media.handleOf(directPath);
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ url, directPath, filehash: fileSha256.toString('base64'), handle }));
    } else if (request.method === 'POST') {
      const file = await this.#sandbox.media.seal(await bodyOf(request), kind);
      response.writeHead(200, { 'content-type': 'application/json' });
      const { directPath, mediaKey, fileSha256, fileEncSha256, url } = file;
      const [key, hash, encrypted] = [mediaKey, fileSha256, fileEncSha256].map((bytes) => bytes.toString('base64'));
      response.end(JSON.stringify({ url, directPath, mediaKey: key, filehash: hash, encFilehash: encrypted }));
    } else {
      const mediaKey = Buffer.from(query.get('key') ?? '', 'base64');
      const plain = await this.#sandbox.media.read({ kind, directPath: query.get('path') ?? '', mediaKey });
      response.writeHead(200, { 'content-type': 'application/octet-stream' });
      response.end(plain);
    }
  }
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_FILE) throw new Refusal('The file is too large.', 413);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
