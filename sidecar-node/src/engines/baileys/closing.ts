/** Why a Baileys socket ended, in the protocol's words. */
import { redact } from '../../logs.ts';
import type { Closed, CloseReason } from '../../protocol.ts';

const REASONS: Record<number, CloseReason> = {
  401: 'logged_out',
  403: 'banned',
  408: 'timed_out',
  411: 'multidevice_mismatch',
  428: 'connection_lost',
  440: 'replaced',
  500: 'bad_session',
  503: 'unavailable',
  515: 'restart_required',
};

const CERTIFICATE = /^(noise (intermediate )?certificate|invalid noise .*certificate|certification match)/;

/** Reads Baileys' `lastDisconnect.error` (a Boom, mostly). `proxyFailure`: why nothing got through the session's proxy. */
export function closedBy(
  error: (Error & { output?: { statusCode?: number } }) | undefined,
  proxyFailure?: string,
): Closed {
  if (proxyFailure) return { reason: 'proxy_failed', code: null, detail: proxyFailure };
  const message = error?.message ?? '';
  const code = error?.output?.statusCode ?? null;
  const detail = redact(message);
  if (CERTIFICATE.test(message)) return { reason: 'certificate_refused', code: null, detail };
  if (message.startsWith('QR refs')) return { reason: 'pairing_timeout', code: null, detail };
  if (message.startsWith('WebSocket Error') || code === null) return { reason: 'connection_lost', code, detail };
  return { reason: REASONS[code] ?? 'connection_lost', code, detail };
}
