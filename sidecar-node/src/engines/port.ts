/**
 * What an engine is to the host, and the host to an engine. `baileys` implements it; `webjs` can join.
 * Nothing here may block, and nothing an engine throws may reach another session.
 */
import type { ActFrame, Closed, Config, How, OpenFrame, Result, Row } from '../protocol.ts';

/** A session's line to the worker. Every call is in stream order; after `closed` all calls are ignored. */
export interface Link {
  readonly session: string;
  readonly credit: number;
  state(state: string, fields?: Record<string, unknown>): void;
  /** Ends the session towards the worker. The engine must already hold no socket, or drop it at once. */
  closed(closed: Closed): void;
  /** Emits a durable event and returns its unit number. */
  event(kind: string, data: Record<string, unknown>): number;
  /** Emits an event that may be lost (unit 0): presence. */
  passing(kind: string, data: Record<string, unknown>): void;
  /** Emits key-store writes and returns their unit number. */
  keysSet(creds: Uint8Array | undefined, rows: Row[]): number;
  /** Reads rows from the worker's database; absent ids are left out. Rejects when the store failed. */
  keysGet(kind: string, ids: string[]): Promise<[string, Uint8Array][]>;
  /** Part of the file that goes with an act; shorter at its end. Rejects with an ActionError. */
  blobGet(act: number, offset: number, length: number): Promise<Uint8Array>;
  /** The next part of the file that an act asked for; resolves when the worker has taken it. */
  blobPut(act: number, data: Uint8Array): Promise<void>;
  result(ref: number, result: Result): void;
  log(level: string, event: string, fields?: Record<string, unknown>): void;
  /** False once the worker's ownership lapsed: nothing may leave for WhatsApp any more. */
  owned(): boolean;
}

export interface SessionStats {
  held_frames: number;
  uncommitted: number;
  last_frame_at: number;
}

export interface EngineSession {
  act(frame: ActFrame): void;
  /** Every unit up to and including `unit` is durable. */
  committed(unit: number): void;
  /** Must end in `link.closed`, whatever happens to the network. */
  close(how: How): void;
  /** Drops the socket at once, without a farewell, and reports `closed`. */
  destroy(closed: Closed): void;
  /** The worker is not reading: stop (true) or go on (false) reading WhatsApp. */
  press(blocked: boolean): void;
  stats(): SessionStats;
}

export interface Engine {
  readonly version: string;
  readonly capabilities: readonly string[];
  /** Returns at once; the connection proceeds in the background and reports through the link. */
  open(frame: OpenFrame, link: Link): EngineSession;
}

export type EngineFactory = (
  config: Config,
  log: (level: string, event: string, fields: Record<string, unknown>) => void,
) => Promise<Engine>;
