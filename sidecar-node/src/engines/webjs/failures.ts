/** What goes wrong in the page, under codes of the catalogue. */
import { errorText } from '../../logs.ts';
import { ActionError, type Result } from '../../protocol.ts';

/** The browser went while it was asked: what it did of it nobody knows. */
export const isGone = (error: unknown): boolean =>
  /Target closed|Session closed|detached|Protocol error|Connection closed|context was destroyed/i.test(String(error));

/** An error of the page as a refusal. `departed`: it may have sent all the same. */
export function failed(error: unknown, departed: boolean): ActionError {
  if (error instanceof ActionError) return error;
  const words = String((error as Error).message ?? error);
  if (departed) return new ActionError('E_CONNECTION_LOST', '', true);
  if (words.includes('no account at this number') || words.includes('No LID for user'))
    return new ActionError('E_NOT_ON_WHATSAPP');
  if (words.includes('not a member of this group')) return new ActionError('E_GROUP_NOT_FOUND');
  if (words.includes('upload failed')) return new ActionError('E_MEDIA_UPLOAD_FAILED');
  if (words.includes('WhatsApp refused it')) return new ActionError('E_WHATSAPP_REJECTED');
  return new ActionError('E_ENGINE_ERROR', errorText(error));
}

export function refused(error: unknown): Result {
  const { code, message, uncertain } = failed(error, isGone(error));
  return { ok: false, code, detail: message, uncertain };
}
