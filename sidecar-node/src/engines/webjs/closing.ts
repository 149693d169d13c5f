/** Why a page ended, in the protocol's words. */
import type { Closed } from '../../protocol.ts';

const REASONS: Record<string, Closed> = {
  LOGOUT: { reason: 'logged_out', code: 401 },
  UNPAIRED: { reason: 'logged_out', code: 401 },
  UNPAIRED_IDLE: { reason: 'logged_out', code: 401 },
  CONFLICT: { reason: 'replaced', code: 440 },
  TOS_BLOCK: { reason: 'banned', code: 403 },
  SMB_TOS_BLOCK: { reason: 'banned', code: 403 },
  PROXYBLOCK: { reason: 'unavailable', detail: 'WhatsApp refuses the proxy' },
  DEPRECATED_VERSION: { reason: 'engine_error', detail: 'WhatsApp Web wants a newer version' },
};

/** States in which a page goes on by itself. */
export const PASSING = new Set(['CONNECTED', 'OPENING', 'PAIRING', 'TIMEOUT', 'UNLAUNCHED']);

/** Of the library's `disconnected`, which tells a state of the page or LOGOUT. */
export function closedBy(state: string): Closed {
  return REASONS[state] ?? { reason: 'connection_lost', detail: state.replace(/[^A-Z_]/g, '').slice(0, 40) };
}
