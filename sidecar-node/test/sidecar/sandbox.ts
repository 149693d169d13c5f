/** The local WhatsApp, as a process for tests. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Worker } from './worker.ts';

const MAIN = fileURLToPath(new URL('../../sandbox/main.ts', import.meta.url));

interface Ready {
  ws_url: string;
  root_key: string;
  media_ca: string;
  http_url: string;
}
export type JournalEntry = Record<string, unknown>;

export class Sandbox {
  readonly ready: Ready;
  readonly #child: ChildProcess;
  readonly #dir: string;

  private constructor(child: ChildProcess, dir: string, ready: Ready) {
    this.#child = child;
    this.#dir = dir;
    this.ready = ready;
  }

  static async start(...more: string[]): Promise<Sandbox> {
    const dir = mkdtempSync(join(tmpdir(), 'sidecar-test-'));
    const file = join(dir, 'ready.json');
    const child = spawn(
      process.execPath,
      [MAIN, '--data-dir', join(dir, 'data'), '--ready-file', file, '--exit-with-stdin', ...more],
      { stdio: ['pipe', 'ignore', 'ignore'] },
    );
    const ready = await until(() => {
      try {
        return JSON.parse(readFileSync(file, 'utf8')) as Ready;
      } catch {
        return undefined;
      }
    });
    return new Sandbox(child, dir, ready);
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  stop(): void {
    this.#child.kill('SIGTERM');
    rmSync(this.#dir, { recursive: true, force: true });
  }

  /** What a sidecar needs to trust this WhatsApp. */
  get config(): Record<string, unknown> {
    return {
      whatsapp_url: this.ready.ws_url,
      whatsapp_root_key: this.ready.root_key,
      whatsapp_ca: readFileSync(this.ready.media_ca, 'utf8'),
    };
  }

  async post(path: string, body: unknown): Promise<Record<string, unknown>> {
    const response = await fetch(`${this.ready.http_url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const answer = (await response.json()) as Record<string, unknown>;
    if (!response.ok) throw new Error(`${path}: ${response.status} ${JSON.stringify(answer)}`);
    return answer;
  }

  async get(path: string): Promise<Record<string, unknown>> {
    return (await fetch(`${this.ready.http_url}${path}`)).json() as Promise<Record<string, unknown>>;
  }

  async journal(): Promise<JournalEntry[]> {
    const answer = await this.get('/api/journal?after=0&limit=10000');
    return (Array.isArray(answer) ? answer : answer.entries) as JournalEntry[];
  }

  /** Waits until the journal has such an entry. */
  entry(match: (entry: JournalEntry) => boolean): Promise<JournalEntry> {
    return until(async () => (await this.journal()).find(match));
  }

  /** Pairs a new session by QR and resolves when it is open, as incarnation 2. */
  async pair(worker: Worker, session: string, number: string, settings: Record<string, unknown> = {}): Promise<void> {
    worker.open(session, 1, { settings });
    const qr = await worker.state(session, 'qr');
    await this.post(`/api/phones/${encodeURIComponent(number)}/scan`, { qr: qr.code });
    await worker.state(session, 'closed');
    worker.open(session, 2, { settings });
    await worker.state(session, 'open');
  }
}

export async function until<T>(probe: () => T | undefined | Promise<T | undefined>, ms = 60_000): Promise<T> {
  const end = Date.now() + ms;
  for (;;) {
    const found = await probe();
    if (found !== undefined && found !== false) return found;
    if (Date.now() > end) throw new Error('it never came');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
