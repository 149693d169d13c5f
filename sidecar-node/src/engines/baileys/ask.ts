/** What the handlers of questions share. */
import type { WASocket } from 'baileys';
import type { ActFrame, Content } from '../../protocol.ts';
import type { Histories } from './history.ts';
import type { Labels } from './labels.ts';

/** What a handler gets. */
export interface Ask {
  socket: WASocket;
  content: Content;
  frame: ActFrame;
  histories: Histories;
  labels: Labels;
  /** The jid that `to` names. Throws E_INVALID_RECIPIENT. */
  jid(): string;
}
/** Resolves to `result.data`. */
export type Handler = (ask: Ask) => Promise<unknown>;

/** WhatsApp's own code of a refusal; undefined when it said nothing. */
export function refusalOf(error: unknown): number | undefined {
  const { data } = error as { data?: unknown };
  return typeof data === 'number' ? data : undefined;
}
