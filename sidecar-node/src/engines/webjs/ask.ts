/** What the handlers of questions share. */
import type { Content } from '../../protocol.ts';
import type { Histories } from './history.ts';
import type { Client, Library, Message, Page } from './library.ts';
import type { People } from './people.ts';

/** What a handler gets. */
export interface Ask {
  client: Client;
  page: Page;
  content: Content;
  library: Library;
  people: People;
  me: { pn: string; lid: string | undefined };
  histories: Histories;
  /** The jid that `to` names. Throws E_INVALID_RECIPIENT. */
  to(): string;
  /** The jid of the chat that `to` names, as the page has it. Rejects with E_INVALID_RECIPIENT. */
  chat(): Promise<string>;
  /** The message that the content names. Rejects with E_MESSAGE_NOT_FOUND. */
  message(): Promise<Message>;
}

/** Resolves to `result.data`. */
export type Handler = (ask: Ask) => Promise<unknown>;
