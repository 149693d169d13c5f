/** Questions and administration: acts that are no messages. They wait for WhatsApp beside what is sent. */
import type { WASocket } from 'baileys';
import { errorText } from '../../logs.ts';
import { type ActFrame, ActionError, type Result } from '../../protocol.ts';
import { type Ask, type Handler, refusalOf } from './ask.ts';
import { CHANNELS } from './channels.ts';
import { CHATS } from './chats.ts';
import { GROUPS } from './groups.ts';
import { HISTORY } from './history.ts';
import { requireJid } from './identity.ts';
import { LABELS } from './labels.ts';
import { PROFILE } from './profile.ts';
import { QUESTIONS } from './questions.ts';

/** At once, in one session; the worker allows fewer. */
const MAX_ASKED = 64;

const HANDLERS: Readonly<Record<string, Handler>> = {
  ...QUESTIONS,
  ...GROUPS,
  ...PROFILE,
  ...CHATS,
  ...CHANNELS,
  ...HISTORY,
  ...LABELS,
};

/** Acts that are answered here. */
export const ASKS: readonly string[] = Object.keys(HANDLERS);

/** What a session keeps for them. */
type Known = Pick<Ask, 'histories' | 'labels'>;

export class Asks {
  #socket: WASocket;
  #known: Known;
  #under = 0;

  constructor(socket: WASocket, known: Known) {
    this.#socket = socket;
    this.#known = known;
  }

  /** Undefined for an act of another kind; never rejects. */
  run(frame: ActFrame): Promise<Result> | undefined {
    const handler = HANDLERS[frame.action];
    return handler && this.#run(handler, frame);
  }

  async #run(handler: Handler, frame: ActFrame): Promise<Result> {
    if (this.#under >= MAX_ASKED) return refused(new ActionError('E_QUEUE_FULL'));
    if (!this.#socket.ws.isOpen) return refused(new ActionError('E_CONNECTION_LOST'));
    this.#under++;
    try {
      const [socket, content] = [this.#socket, frame.content ?? {}];
      const ask = { ...this.#known, socket, content, frame, jid: () => requireJid(frame.to) };
      return { ok: true, at: Date.now(), data: (await handler(ask)) ?? {} };
    } catch (error) {
      return refused(explained(error, frame.action));
    } finally {
      this.#under--;
    }
  }
}

const ABOUT_GROUPS: Readonly<Record<number, string>> = {
  401: 'E_NOT_GROUP_ADMIN',
  403: 'E_NOT_GROUP_ADMIN',
  404: 'E_GROUP_NOT_FOUND',
};
const ABOUT_ALL: Readonly<Record<number, string>> = {
  404: 'E_CONTACT_NOT_FOUND',
  409: 'E_CONFLICT',
  429: 'E_WHATSAPP_RATE_LIMITED',
};

/** An error of Baileys under a code of the catalogue. Without WhatsApp's word what was asked may have been done. */
function explained(error: unknown, action: string): ActionError {
  if (error instanceof ActionError) return error;
  const refusal = refusalOf(error);
  if (refusal !== undefined) {
    const code = (action.startsWith('group.') ? aboutGroup(action, refusal) : undefined) ?? ABOUT_ALL[refusal];
    return new ActionError(code ?? 'E_WHATSAPP_REJECTED', detailOf(error, refusal));
  }
  const status = (error as { output?: { statusCode?: number } }).output?.statusCode;
  if (status === 408) return new ActionError('E_TIMEOUT', '', true);
  if (status === 428) return new ActionError('E_CONNECTION_LOST', '', true);
  return new ActionError('E_ENGINE_ERROR', errorText(error), true);
}

/** Who is not in a group may not read it; what else is refused, only admins may do. */
function aboutGroup(action: string, refusal: number): string | undefined {
  return action === 'group.get' && refusal in ABOUT_GROUPS ? 'E_GROUP_NOT_FOUND' : ABOUT_GROUPS[refusal];
}

/** WhatsApp's number, and what was done before it of an act in parts. */
function detailOf(error: unknown, refusal: number): string {
  const done = error instanceof Error ? /^after [a-z_, ]+/.exec(error.message)?.[0] : undefined;
  return done ? `${refusal} ${done}` : String(refusal);
}

function refused({ code, message, uncertain }: ActionError): Result {
  return { ok: false, code, detail: message, uncertain };
}
