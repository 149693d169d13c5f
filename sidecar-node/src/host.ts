/** Sessions by id: incarnations, unit numbers, the lease watchdog. Knows frames and engines, nothing of WhatsApp. */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Engine, EngineSession, Link } from './engines/port.ts';
import type { Frame } from './frames.ts';
import { errorText } from './logs.ts';
import {
  type ActFrame,
  ActionError,
  type Closed,
  closedFields,
  type How,
  type OpenFrame,
  type Result,
  type Row,
} from './protocol.ts';

type Send = (frame: Frame) => void;
type BlobReply = { resolve(data: Uint8Array): void; reject(error: Error): void };
type KeysReply = { resolve(rows: [string, Uint8Array][]): void; reject(error: Error): void };

/** Time to get the first lease frame after `hello`, in milliseconds. */
const FIRST_LEASE_MS = 10_000;
/** Log frames one session may send in a window. */
const LOGS_A_WINDOW = 20;
const LOG_WINDOW_MS = 10_000;

/** The session whose code is running, for errors that surface outside every try. */
export const scope = new AsyncLocalStorage<HostedSession>();

export class HostedSession implements Link {
  readonly session: string;
  readonly incarnation: number;
  readonly credit: number;
  engine: EngineSession | undefined;
  isClosed = false;
  #host: Host;
  #unit = 0;
  #ref = 0;
  #logged = 0;
  #logWindow = 0;
  #reads = new Map<number, KeysReply>();
  #blobs = new Map<number, BlobReply>();

  constructor(host: Host, frame: OpenFrame, credit: number) {
    this.#host = host;
    this.session = frame.session;
    this.incarnation = frame.incarnation;
    this.credit = credit;
  }

  #send(type: string, fields: Frame): void {
    if (!this.isClosed) this.#host.send({ type, session: this.session, incarnation: this.incarnation, ...fields });
  }

  state(state: string, fields: Record<string, unknown> = {}): void {
    this.#send('state', { state, ...fields });
  }

  closed(closed: Closed): void {
    if (this.isClosed) return;
    this.#send('state', { state: 'closed', ...closedFields(closed) });
    this.isClosed = true;
    for (const read of this.#reads.values()) read.reject(new Error('session closed'));
    this.#reads.clear();
    for (const blob of this.#blobs.values()) blob.reject(new ActionError('E_CONNECTION_LOST'));
    this.#blobs.clear();
    this.#host.forget(this);
  }

  event(kind: string, data: Record<string, unknown>): number {
    this.#send('event', { unit: ++this.#unit, kind, data });
    return this.#unit;
  }

  passing(kind: string, data: Record<string, unknown>): void {
    this.#send('event', { unit: 0, kind, data });
  }

  keysSet(creds: Uint8Array | undefined, rows: Row[]): number {
    this.#send('keys_set', { unit: ++this.#unit, creds, rows });
    return this.#unit;
  }

  keysGet(kind: string, ids: string[]): Promise<[string, Uint8Array][]> {
    if (this.isClosed) return Promise.reject(new Error('session closed'));
    const ref = ++this.#ref;
    return new Promise((resolve, reject) => {
      this.#reads.set(ref, { resolve, reject });
      this.#send('keys_get', { ref, kind, ids });
    });
  }

  keysReply(frame: Frame): void {
    const read = this.#reads.get(frame.ref as number);
    if (!read) return;
    this.#reads.delete(frame.ref as number);
    if (frame.code) read.reject(new Error(`key store: ${String(frame.code)}`));
    else read.resolve((frame.rows ?? []) as [string, Uint8Array][]);
  }

  blobGet(act: number, offset: number, length: number): Promise<Uint8Array> {
    return this.#blob('blob_get', { act, offset, length });
  }

  async blobPut(act: number, data: Uint8Array): Promise<void> {
    await this.#blob('blob_put', { act, data });
  }

  #blob(type: string, fields: Frame): Promise<Uint8Array> {
    if (this.isClosed) return Promise.reject(new ActionError('E_CONNECTION_LOST'));
    const ref = ++this.#ref;
    return new Promise((resolve, reject) => {
      this.#blobs.set(ref, { resolve, reject });
      this.#send(type, { ref, ...fields });
    });
  }

  blobReply(frame: Frame): void {
    const blob = this.#blobs.get(frame.ref as number);
    if (!blob) return;
    this.#blobs.delete(frame.ref as number);
    if (frame.code) blob.reject(new ActionError(String(frame.code)));
    else blob.resolve((frame.data ?? new Uint8Array(0)) as Uint8Array);
  }

  result(ref: number, result: Result): void {
    this.#send('result', { ref, ...result });
  }

  log(level: string, event: string, fields: Record<string, unknown> = {}): void {
    const now = performance.now();
    if (now > this.#logWindow) {
      this.#logWindow = now + LOG_WINDOW_MS;
      this.#logged = 0;
    }
    // A flood of bad stanzas must not become a flood of logs.
    if (++this.#logged <= LOGS_A_WINDOW) this.#host.log(level, event, fields, this.session);
  }

  owned(): boolean {
    return this.#host.owned();
  }
}

export class Host {
  readonly send: Send;
  readonly log: (level: string, event: string, fields: Record<string, unknown>, session?: string) => void;
  #engines: Record<string, Engine>;
  #credit: number;
  #sessions = new Map<string, HostedSession>();
  #leaseUntil = performance.now() + FIRST_LEASE_MS;
  #leaseTimer: NodeJS.Timeout | undefined;
  #blocked = false;
  #onIdle: (() => void) | undefined;

  constructor(send: Send, log: Host['log'], engines: Record<string, Engine>, credit: number) {
    this.send = send;
    this.log = log;
    this.#engines = engines;
    this.#credit = credit;
    this.#arm();
  }

  owned(): boolean {
    return performance.now() < this.#leaseUntil;
  }

  lease(validMs: number): void {
    this.#leaseUntil = performance.now() + Math.max(0, validMs);
    this.#arm();
  }

  #arm(): void {
    clearTimeout(this.#leaseTimer);
    this.#leaseTimer = setTimeout(
      () => {
        if (this.owned()) this.#arm();
        else this.destroyAll({ reason: 'lease_lapsed' });
      },
      Math.max(1, this.#leaseUntil - performance.now()),
    );
    this.#leaseTimer.unref();
  }

  open(frame: OpenFrame): void {
    const previous = this.#sessions.get(frame.session);
    if (previous) {
      if (previous.incarnation >= frame.incarnation && !previous.isClosed) {
        this.log('warn', 'open_ignored', { incarnation: frame.incarnation }, frame.session);
        return;
      }
      previous.engine?.destroy({ reason: 'stopped' });
    }
    const session = new HostedSession(this, frame, this.#credit);
    this.#sessions.set(frame.session, session);
    const engine = this.#engines[frame.engine];
    if (!engine) return session.closed({ reason: 'engine_error', detail: 'unknown engine' });
    if (!this.owned()) return session.closed({ reason: 'lease_lapsed' });
    this.#run(session, () => {
      session.engine = engine.open(frame, session);
      if (this.#blocked) session.engine.press(true);
    });
  }

  /** The live session that `frame` speaks of, unless it is of another incarnation. */
  #find(frame: Frame): HostedSession | undefined {
    const session = this.#sessions.get(frame.session as string);
    return session?.incarnation === frame.incarnation ? session : undefined;
  }

  #run(session: HostedSession, work: () => void): void {
    scope.run(session, () => {
      try {
        work();
      } catch (error) {
        this.fail(session, error);
      }
    });
  }

  /** Ends one session for an error of its engine; the others go on. */
  fail(session: HostedSession, error: unknown): void {
    if (session.isClosed) return;
    const detail = errorText(error);
    this.log('error', 'engine_error', { error: detail }, session.session);
    try {
      session.engine?.destroy({ reason: 'engine_error', detail });
    } finally {
      session.closed({ reason: 'engine_error', detail });
    }
  }

  act(frame: Frame): void {
    const session = this.#find(frame);
    if (session?.engine) this.#run(session, () => session.engine?.act(frame as unknown as ActFrame));
    else
      this.send({
        type: 'result',
        session: frame.session,
        incarnation: frame.incarnation,
        ref: frame.ref,
        ok: false,
        code: 'E_SESSION_NOT_READY',
        detail: '',
        uncertain: false,
      });
  }

  close(frame: Frame): void {
    const session = this.#find(frame);
    if (session?.engine) this.#run(session, () => session.engine?.close((frame.how as How) ?? 'stop'));
  }

  committed(frame: Frame): void {
    const session = this.#find(frame);
    if (session?.engine) this.#run(session, () => session.engine?.committed(frame.unit as number));
  }

  keys(frame: Frame): void {
    this.#find(frame)?.keysReply(frame);
  }

  blob(frame: Frame): void {
    this.#find(frame)?.blobReply(frame);
  }

  press(blocked: boolean): void {
    this.#blocked = blocked;
    for (const session of this.#sessions.values()) this.#run(session, () => session.engine?.press(blocked));
  }

  destroyAll(closed: Closed): void {
    for (const session of [...this.#sessions.values()]) {
      this.#run(session, () => session.engine?.destroy(closed));
      session.closed(closed);
    }
  }

  /** Closes every session as `stop` does; resolves when all have reported. */
  async shutdown(): Promise<void> {
    for (const session of [...this.#sessions.values()]) this.#run(session, () => session.engine?.close('stop'));
    if (this.#sessions.size > 0)
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
  }

  forget(session: HostedSession): void {
    if (this.#sessions.get(session.session) === session) this.#sessions.delete(session.session);
    if (this.#sessions.size === 0) this.#onIdle?.();
  }

  stats(): Record<string, unknown> {
    const sessions: Record<string, unknown> = {};
    for (const [id, session] of this.#sessions) if (session.engine) sessions[id] = session.engine.stats();
    return sessions;
  }
}
