/** The frames of PROTOCOL.md, version 1, as the sidecar sees them. */

export const PROTOCOL = 1;

export const EXIT = { protocol: 64, frames: 65, dependency: 66 } as const;

export interface Config {
  whatsapp_url?: string;
  whatsapp_root_key?: string;
  whatsapp_ca?: string;
  log_level?: string;
  credit?: number;
  /** Those that sessions of this worker name; Baileys alone by default. */
  engines?: string[];
  /** webjs: the browser; folder of the profiles; megabytes that one browser may use. */
  chromium?: string;
  profiles?: string;
  browser_memory_mb?: number;
  page_silence_ms?: number;
}

export interface Pairing {
  method: 'qr' | 'code';
  phone_number?: string;
  code?: string;
}

export interface Settings {
  browser?: [string, string, string];
  proxy?: string;
  history?: boolean;
  mark_online?: boolean;
  profile_dir?: string;
}

export interface OpenFrame {
  session: string;
  incarnation: number;
  engine: string;
  creds?: Uint8Array | null;
  pairing?: Pairing | null;
  settings?: Settings | null;
}

export type How = 'stop' | 'logout' | 'handover';

/** A person or chat as commands name it: `pn` is E.164, `lid` and `group` the part before the `@`. */
export interface Address {
  pn?: string | null;
  lid?: string | null;
  group?: string | null;
}

export interface Context {
  message_id: string;
  participant?: Address | string | null;
  from_self?: boolean;
}

export type Content = Record<string, unknown>;

export interface ActFrame {
  session: string;
  incarnation: number;
  ref: number;
  action: string;
  id?: string;
  to?: Address;
  content?: Content;
  context?: Context | null;
  typing_ms?: number;
}

export interface Result {
  ok: boolean;
  message_id?: string;
  at?: number;
  code?: string;
  detail?: string;
  uncertain?: boolean;
  data?: unknown;
}

export type CloseReason =
  | 'stopped'
  | 'logged_out'
  | 'banned'
  | 'timed_out'
  | 'multidevice_mismatch'
  | 'connection_lost'
  | 'replaced'
  | 'bad_session'
  | 'unavailable'
  | 'restart_required'
  | 'pairing_timeout'
  | 'certificate_refused'
  | 'lease_lapsed'
  | 'proxy_failed'
  | 'engine_error';

export interface Closed {
  reason: CloseReason;
  code?: number | null;
  detail?: string;
}

/** One row of the key store: bin, or null to delete. */
export type Row = [kind: string, id: string, value: Uint8Array | null];

/** Reasons after which the worker may open again with the stored credentials. */
const RETRYABLE: ReadonlySet<CloseReason> = new Set([
  'stopped',
  'timed_out',
  'connection_lost',
  'bad_session',
  'unavailable',
  'restart_required',
  'pairing_timeout',
  'lease_lapsed',
  'proxy_failed',
  'engine_error',
]);

export function closedFields(closed: Closed): Record<string, unknown> {
  return {
    reason: closed.reason,
    code: closed.code ?? null,
    detail: closed.detail ?? '',
    retry: RETRYABLE.has(closed.reason),
    retry_at_once: closed.reason === 'restart_required',
  };
}

/** Refuses an action under a code of the catalogue. */
export class ActionError extends Error {
  readonly code: string;
  readonly uncertain: boolean;
  readonly at: number;

  constructor(code: string, detail = '', uncertain = false, at = 0) {
    super(detail);
    this.code = code;
    this.uncertain = uncertain;
    this.at = at;
  }
}
