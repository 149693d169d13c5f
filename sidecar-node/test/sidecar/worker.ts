/** A worker for tests: speaks PROTOCOL.md with a real sidecar process and keeps its rows in memory. */
import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import type { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { type Frame, FrameReader, FrameWriter } from '../../src/frames.ts';

export const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

export interface Stored {
  creds: Uint8Array | undefined;
  rows: Map<string, Uint8Array>;
}

export class Worker extends EventEmitter {
  readonly child: ChildProcess;
  readonly frames: Frame[] = [];
  readonly stored = new Map<string, Stored>();
  /** False: units are kept in `uncommitted` until `commit`. */
  autoCommit = true;
  uncommitted: Frame[] = [];
  output = '';
  /** The database is away: every read fails. */
  failReads = false;
  #stream: Duplex;
  #writer: FrameWriter;
  #ref = 0;
  #lease: NodeJS.Timeout | undefined;
  /** Of what is waited for. */
  #deadlines = new Set<NodeJS.Timeout>();
  readonly exited: Promise<number | null>;

  /** `owner`, a test's context, kills it at the end. `program` is Node's command line. */
  constructor(owner?: { after(work: () => void): void }, program: string[] = [MAIN]) {
    super();
    owner?.after(() => this.kill());
    this.setMaxListeners(0);
    this.child = spawn(process.execPath, program, { stdio: ['ignore', 'pipe', 'pipe', 'pipe'] });
    this.#stream = this.child.stdio[3] as Duplex;
    this.#writer = new FrameWriter(this.#stream);
    const reader = new FrameReader();
    this.#stream.on('data', (chunk: Buffer) => {
      for (const frame of reader.push(chunk)) this.#receive(frame);
    });
    this.#stream.on('error', () => {});
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.on('data', (chunk: Buffer) => {
        this.output += chunk.toString();
      });
    this.exited = once(this.child, 'exit').then(([code]) => code as number | null);
  }

  get stream(): Duplex {
    return this.#stream;
  }

  send(frame: Frame): void {
    this.#writer.send(frame);
  }

  async hello(config: Frame = {}, lease = true): Promise<Frame> {
    if (lease) {
      this.#lease = setInterval(() => this.send({ type: 'lease', valid_ms: 5000 }), 1000);
      this.#lease.unref();
    }
    this.send({ type: 'hello', protocol: 1, worker: 'test', config: { log_level: 'warn', ...config } });
    return this.next((frame) => frame.type === 'hello');
  }

  stopLease(): void {
    clearInterval(this.#lease);
  }

  open(session: string, incarnation: number, more: Frame = {}): void {
    const creds = this.stored.get(session)?.creds ?? null;
    this.send({
      type: 'open',
      session,
      incarnation,
      engine: 'baileys',
      creds,
      pairing: { method: 'qr' },
      settings: {},
      ...more,
    });
  }

  async act(session: string, incarnation: number, action: string, more: Frame = {}): Promise<Frame> {
    const ref = ++this.#ref;
    this.send({ type: 'act', session, incarnation, ref, action, ...more });
    return this.next((frame) => frame.type === 'result' && frame.ref === ref);
  }

  /** The first frame, past or future from `from` on, that matches. */
  async next(match: (frame: Frame) => boolean, from = 0, ms = 60_000): Promise<Frame> {
    const past = this.frames.slice(from).find(match);
    if (past) return past;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.off('frame', look);
        this.#deadlines.delete(timer);
        const tail = this.frames
          .slice(-8)
          .map(
            (frame) =>
              `${String(frame.type)}:${String(frame.state ?? frame.kind ?? frame.event ?? '')}:${JSON.stringify(frame.fields ?? frame.reason ?? frame.code ?? '')}`,
          );
        reject(new Error(`no such frame; last: ${tail.join(', ')} ${this.output}`));
      }, ms);
      this.#deadlines.add(timer);
      const look = (frame: Frame): void => {
        if (!match(frame)) return;
        clearTimeout(timer);
        this.#deadlines.delete(timer);
        this.off('frame', look);
        resolve(frame);
      };
      this.on('frame', look);
    });
  }

  state(session: string, state: string, from = 0): Promise<Frame> {
    return this.next((frame) => frame.type === 'state' && frame.session === session && frame.state === state, from);
  }

  event(
    kind: string,
    match: (data: Record<string, unknown>) => boolean = () => true,
    from = 0,
    ms = 60_000,
  ): Promise<Frame> {
    return this.next(
      (frame) => frame.type === 'event' && frame.kind === kind && match(frame.data as Record<string, unknown>),
      from,
      ms,
    );
  }

  /** Commits what waits, in order, up to `count` units. */
  commit(count = Infinity): void {
    for (const frame of this.uncommitted.splice(0, count)) this.#commit(frame);
  }

  /** What was still waited for holds up no test's end. */
  kill(): void {
    this.stopLease();
    for (const timer of this.#deadlines) timer.unref();
    this.child.kill('SIGKILL');
  }

  #receive(frame: Frame): void {
    this.frames.push(frame);
    if (frame.type === 'keys_get') this.#answer(frame);
    if (frame.type === 'event' || frame.type === 'keys_set') {
      if (frame.unit === 0) {
        /* may be lost */
      } else if (this.autoCommit && this.uncommitted.length === 0) this.#commit(frame);
      else this.uncommitted.push(frame);
    }
    this.emit('frame', frame);
  }

  #of(session: string): Stored {
    const found = this.stored.get(session) ?? { creds: undefined, rows: new Map<string, Uint8Array>() };
    this.stored.set(session, found);
    return found;
  }

  #commit(frame: Frame): void {
    const { session, incarnation, unit } = frame;
    if (frame.type === 'keys_set') {
      const stored = this.#of(session as string);
      if (frame.creds) stored.creds = Buffer.from(frame.creds as Uint8Array);
      for (const [kind, id, bin] of frame.rows as [string, string, Uint8Array | null][]) {
        if (bin) stored.rows.set(`${kind}/${id}`, Buffer.from(bin));
        else stored.rows.delete(`${kind}/${id}`);
      }
    }
    this.send({ type: 'committed', session, incarnation, unit });
  }

  #answer(frame: Frame): void {
    if (this.failReads) {
      const { session, incarnation, ref } = frame;
      return this.send({ type: 'keys', session, incarnation, ref, code: 'E_STORAGE_UNAVAILABLE' });
    }
    const { rows } = this.#of(frame.session as string);
    const found = (frame.ids as string[]).flatMap((id) => {
      const bin = rows.get(`${String(frame.kind)}/${id}`);
      return bin ? [[id, bin]] : [];
    });
    this.send({ type: 'keys', session: frame.session, incarnation: frame.incarnation, ref: frame.ref, rows: found });
  }
}
