import '../../sandbox/quiet.ts';
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { Agent } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type AuthenticationCreds,
  type BaileysEventMap,
  BufferJSON,
  Curve,
  initAuthCreds,
  makeWASocket,
  type proto,
  type SignalDataSet,
  type UserFacingSocketConfig,
  WA_CERT_DETAILS,
  type WAMessage,
  type WAMessageUpdate,
} from 'baileys';
// @ts-expect-error its typings leave this export out
import { curve } from 'libsignal';
import type { Ready } from '../../sandbox/server.ts';

// Baileys ignores what libsignal's verification returns; with this, a wrong signature is refused.
Curve.verify = (publicKey, message, signature) => {
  const key = publicKey.length === 33 ? Buffer.from(publicKey) : Buffer.concat([Buffer.from([5]), publicKey]);
  return curve.verifySignature(key, message, signature) as boolean;
};

// Baileys leaves timers of up to half a minute behind when a socket ends; they must not hold the test process.
const startTimer = globalThis.setTimeout;
globalThis.setTimeout = Object.assign((...[work, delay, ...rest]: Parameters<typeof startTimer>) => {
  const timer = startTimer(work, delay, ...rest);
  return (delay ?? 0) >= 5_000 ? timer.unref() : timer;
}, startTimer) as typeof startTimer;

const MAIN = new URL('../../sandbox/main.ts', import.meta.url).pathname;

export async function until<T>(
  what: string,
  probe: () => T | Promise<T>,
  timeoutMs = 45_000,
): Promise<NonNullable<Awaited<T>>> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const value = await probe();
    if (value) return value as NonNullable<Awaited<T>>;
    if (Date.now() > deadline) assert.fail(`waited in vain until ${what}`);
    await sleep(15);
  }
}

// biome-ignore lint/suspicious/noExplicitAny: answers of the control interface, whose shape the assertions check
type Json = Record<string, any>;

/** A sandbox process with a data directory of its own. */
export class SandboxProcess {
  readonly dataDir = mkdtempSync(join(tmpdir(), 'sandbox-'));
  readonly #flags: string[];
  #child: ChildProcess | undefined;
  ready!: Ready & { pid: number };
  output = '';

  constructor(flags: string[] = []) {
    this.#flags = flags;
  }

  async start(ports: string[] = []): Promise<this> {
    const readyFile = join(this.dataDir, 'ready.json');
    rmSync(readyFile, { force: true });
    const child = spawn(
      process.execPath,
      [
        ...(process.env.SANDBOX_NODE_FLAGS?.split(' ') ?? []),
        MAIN,
        '--data-dir',
        this.dataDir,
        '--ready-file',
        readyFile,
        '--exit-with-stdin',
        ...this.#flags,
        ...ports,
      ],
      {
        stdio: ['pipe', 'pipe', 'pipe'],
      },
    );
    this.#child = child;
    const keep = (data: Buffer): void => {
      this.output += data.toString();
    };
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
    this.ready = await until(`the sandbox is ready: ${this.output}`, () => {
      if (child.exitCode !== null) assert.fail(`the sandbox ended: ${this.output}`);
      try {
        return JSON.parse(readFileSync(readyFile, 'utf8')) as Ready & { pid: number };
      } catch {
        return undefined;
      }
    });
    this.trust();
    return this;
  }

  trust(): void {
    WA_CERT_DETAILS.PUBLIC_KEY = Buffer.from(this.ready.root_key, 'hex');
  }

  /** Ends the process the hard way and starts it again on the same ports. */
  async killAndRestart(): Promise<void> {
    const port = (url: string): string => new URL(url).port;
    const ports = [
      '--ws-port',
      port(this.ready.ws_url),
      '--http-port',
      port(this.ready.http_url),
      '--media-port',
      port(this.ready.media_url),
    ];
    await this.stop('SIGKILL');
    await this.start(ports);
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
    return child.exitCode;
  }

  async dispose(): Promise<void> {
    await this.stop();
    rmSync(this.dataDir, { recursive: true, force: true });
  }

  async call(method: string, path: string, body?: Json, expected = 200): Promise<Json> {
    const response = await fetch(this.ready.http_url + path, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
    const answer = (await response.json()) as Json;
    assert.equal(response.status, expected, JSON.stringify(answer));
    return answer;
  }

  async entries(filter: Record<string, string>): Promise<Json[]> {
    return (await this.call('GET', `/api/journal?${new URLSearchParams(filter)}`)).entries as Json[];
  }

  async entry(filter: Record<string, string>, matches: (entry: Json) => boolean = () => true): Promise<Json> {
    return await until(`the journal holds ${JSON.stringify(filter)}`, async () =>
      (await this.entries(filter)).find(matches),
    );
  }
}

/** Baileys with its credentials in memory, reconnecting as a gateway does. */
export class Gateway {
  readonly sandbox: SandboxProcess;
  creds: AuthenticationCreds = initAuthCreds();
  readonly keys = new Map<string, string>();
  readonly messages: WAMessage[] = [];
  readonly upserts: { type: string; message: WAMessage }[] = [];
  readonly histories: BaileysEventMap['messaging-history.set'][] = [];
  readonly updates: WAMessageUpdate[] = [];
  readonly closes: number[] = [];
  readonly acks: Record<string, string>[] = [];
  readonly sent = new Map<string, proto.IMessage>();
  qr: string | undefined;
  lastError = '';
  isOpen = false;
  /** Held while the test wants no reconnection. */
  reconnect = true;
  socket!: ReturnType<typeof makeWASocket>;
  readonly #config: Partial<UserFacingSocketConfig>;

  constructor(sandbox: SandboxProcess, config: Partial<UserFacingSocketConfig> = {}) {
    this.sandbox = sandbox;
    this.#config = config;
  }

  connect(): this {
    this.isOpen = false;
    const socket = makeWASocket({
      waWebSocketUrl: this.sandbox.ready.ws_url,
      auth: {
        creds: this.creds,
        keys: { get: (type, ids) => this.#get(type, ids) as never, set: (data) => this.#set(data) },
      },
      logger: SILENT,
      fetchAgent: new Agent({ ca: readFileSync(this.sandbox.ready.media_ca) }),
      shouldSyncHistoryMessage: () => false,
      getMessage: async ({ id }) => this.sent.get(id ?? ''),
      retryRequestDelayMs: 5,
      markOnlineOnConnect: false,
      ...this.#config,
    });
    this.socket = socket;
    socket.ev.on('creds.update', (update) => Object.assign(this.creds, update));
    socket.ev.on('connection.update', (update) => this.#connectionUpdate(socket, update));
    socket.ev.on('messages.upsert', ({ messages, type }) => {
      for (const message of messages) {
        this.messages.push(message);
        this.upserts.push({ type, message });
      }
    });
    socket.ev.on('messaging-history.set', (history) => this.histories.push(history));
    socket.ev.on('messages.update', (updates) => this.updates.push(...updates));
    socket.ws.on('CB:ack,class:message', (ack: { attrs: Record<string, string> }) => this.acks.push(ack.attrs));
    return this;
  }

  async pair(number: string): Promise<this> {
    this.connect();
    const qr = await until('a QR is shown', () => this.qr);
    await this.sandbox.call('POST', `/api/phones/${number}/scan`, { qr });
    return await this.open();
  }

  async open(): Promise<this> {
    await until('the connection is open', () => this.isOpen);
    return this;
  }

  /** Connects, and gives the close code of an attempt that is not to succeed. */
  async refused(): Promise<number> {
    const before = this.closes.length;
    this.connect();
    await until('the connection is refused', () => this.closes.length > before);
    return this.closes.at(-1) ?? 0;
  }

  async send(to: string, content: Parameters<typeof this.socket.sendMessage>[1], options: Json = {}): Promise<string> {
    const message = await this.socket.sendMessage(to.includes('@') ? to : `${to}@s.whatsapp.net`, content, options);
    const id = message?.key.id ?? '';
    if (message?.message) this.sent.set(id, message.message);
    return id;
  }

  /** The highest status seen for a message: 2 sent, 3 delivered, 4 read, 5 played. */
  status(id: string): number {
    const updates = this.updates.filter(({ key }) => key.id === id).map(({ update }) => update.status ?? 0);
    const own = this.messages.filter(({ key }) => key.id === id && key.fromMe).map(({ status }) => Number(status ?? 0));
    return Math.max(0, ...updates, ...own);
  }

  ack(id: string): Record<string, string> | undefined {
    return this.acks.find((ack) => ack.id === id);
  }

  received(text: string): WAMessage[] {
    return this.messages.filter(
      ({ key, message }) => !key.fromMe && (message?.conversation ?? message?.extendedTextMessage?.text) === text,
    );
  }

  async close(): Promise<void> {
    this.reconnect = false;
    await this.socket.end(undefined);
    this.isOpen = false;
  }

  async reopen(): Promise<this> {
    await this.close();
    this.reconnect = true;
    return await this.connect().open();
  }

  #connectionUpdate(socket: unknown, { qr, connection, lastDisconnect }: BaileysEventMap['connection.update']): void {
    if (socket !== this.socket) return;
    if (qr) this.qr = qr;
    if (connection === 'open') this.isOpen = true;
    if (connection !== 'close') return;
    this.isOpen = false;
    const code = (lastDisconnect?.error as { output?: { statusCode: number } } | undefined)?.output?.statusCode ?? 0;
    if (lastDisconnect?.error) {
      this.closes.push(code);
      this.lastError = lastDisconnect.error.message;
    }
    if (this.reconnect && ![401, 403, 440, 400].includes(code)) setTimeout(() => this.reconnect && this.connect(), 30);
  }

  async #get(type: string, ids: string[]): Promise<Json> {
    const found: Json = {};
    for (const id of ids) {
      const value = this.keys.get(`${type}/${id}`);
      if (value !== undefined) found[id] = JSON.parse(value, BufferJSON.reviver);
    }
    return found;
  }

  async #set(data: SignalDataSet): Promise<void> {
    for (const [type, values] of Object.entries(data)) {
      for (const [id, value] of Object.entries(values as Json)) {
        if (value === null || value === undefined) this.keys.delete(`${type}/${id}`);
        else this.keys.set(`${type}/${id}`, JSON.stringify(value, BufferJSON.replacer));
      }
    }
  }
}

const nothing = (): void => {};
const SILENT: NonNullable<UserFacingSocketConfig['logger']> = {
  level: 'silent',
  child: () => SILENT,
  trace: nothing,
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
};
if (process.env.SANDBOX_TEST_LOG) {
  const show = (object: unknown, text?: string): void =>
    void process.stderr.write(
      `${text} ${JSON.stringify(object, (_, v) => (v instanceof Error ? v.stack : v))?.slice(0, 600)}\n`,
    );
  Object.assign(SILENT, { warn: show, error: show, info: show });
}
