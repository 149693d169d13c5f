/** Older messages of a chat, when they are asked for: those that the page has, else those that the phone still has. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { errorText } from '../../logs.ts';
import { ActionError, type Content } from '../../protocol.ts';
import type { Link } from '../port.ts';
import type { Handler } from './ask.ts';
import { failed, isGone } from './failures.ts';
import type { Model, Page } from './library.ts';
import { SILENT } from './messages.ts';
import { askForOlder, messagesBefore, type Older, type Point } from './past_in_page.ts';

const KIND = 'webjs';
const ID = 'history';
const MAX_WAIT_MS = 15_000;
const MAX_COUNT = 50;
/** An answer that comes later lies in the page, and is told when it is asked for again. */
const LATE_MS = 600_000;
/** Between two looks whether the phone has answered: it says nothing that could be listened for. */
const LOOK_MS = [100, 5_000] as const;
/** Requests under way; the oldest is forgotten for one more. */
const MOST = 32;

/** A request, kept in the worker's store until all of its answer is told: a session that opens again goes on with it. */
interface Wanted {
  request: string;
  chat: string;
  before: Point;
  count: number;
}

/** What is told of an answer. */
export interface Part extends Record<string, unknown> {
  request_id: string;
  messages: number;
  oldest: Point | null;
  more: boolean | null;
}

export interface HistoryParts {
  link: Link;
  page(): Page;
  /** Tells messages of a chat's past, and then how far they go. */
  tell(chat: string, models: Model[], part: Part): Promise<void>;
}

export class Histories {
  #parts: HistoryParts;
  #wanted = new Map<string, Wanted>();
  #end = new AbortController();

  constructor(parts: HistoryParts) {
    this.#parts = parts;
  }

  /** Goes on with what an earlier session was asked for. */
  async resume(): Promise<void> {
    const [row] = await this.#parts.link.keysGet(KIND, [ID]);
    if (!row) return;
    for (const wanted of JSON.parse(Buffer.from(row[1]).toString()) as Wanted[]) {
      this.#wanted.set(wanted.request, wanted);
      this.#begin(wanted)
        .then(({ answer }) => answer)
        .catch((error: unknown) => this.#parts.link.log('info', 'history_failed', { error: errorText(error) }));
    }
  }

  stop(): void {
    this.#end.abort();
  }

  /** Rejects with E_PHONE_SILENT; the phone's answer is told all the same when it comes. */
  async fetch(chat: string, content: Content): Promise<Part> {
    const before = (content.before ?? {}) as Partial<Point>;
    const wanted = {
      request: randomUUID(),
      chat,
      before: {
        message_id: String(before.message_id ?? ''),
        from_self: before.from_self === true,
        at: Number(before.at ?? Date.now()),
      },
      count: Math.min(Number(content.count ?? MAX_COUNT), MAX_COUNT),
    };
    this.#note(wanted);
    const { answer, isWaited } = await this.#begin(wanted);
    if (!isWaited) return await answer;
    const patience = new AbortController();
    const waitMs = Math.min(Number(content.wait_ms ?? MAX_WAIT_MS), MAX_WAIT_MS);
    const late = delay(waitMs, undefined, { signal: patience.signal }).then(() => silent(wanted));
    for (const each of [answer, late]) each.catch(() => {});
    try {
      return await Promise.race([answer, late]);
    } finally {
      patience.abort();
    }
  }

  /** Tells what the page has, or asks the phone. In an object, so that no await flattens the answer. */
  async #begin(wanted: Wanted): Promise<{ answer: Promise<Part>; isWaited: boolean }> {
    const found = await this.#minding(wanted, this.#read(wanted));
    if (isAnswer(found)) return { answer: this.#tell(wanted, found), isWaited: false };
    await this.#minding(wanted, this.#parts.page().evaluate(askForOlder, wanted.chat));
    return { answer: this.#minding(wanted, this.#watch(wanted)), isWaited: true };
  }

  /** What fails while the session lives is not gone on with in the next one. */
  async #minding<T>(wanted: Wanted, work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      const { code } = failed(error, isGone(error));
      if (!this.#end.signal.aborted && code !== 'E_CONNECTION_LOST') this.#forget(wanted);
      throw error;
    }
  }

  #read({ chat, before, count }: Wanted): Promise<Older> {
    return this.#parts.page().evaluate(messagesBefore, chat, before, count, [...SILENT]);
  }

  async #watch(wanted: Wanted): Promise<Part> {
    const until = Date.now() + LATE_MS;
    const [first, longest] = LOOK_MS;
    let seen = 0;
    for (let pause: number = first; Date.now() < until; pause = Math.min(pause * 1.5, longest)) {
      await delay(pause, undefined, { signal: this.#end.signal, ref: false });
      if (!this.#wanted.has(wanted.request)) break;
      const found = await this.#read(wanted);
      const { length } = found.messages;
      // What the page has so far may be the beginning of what it writes.
      const isWhole = found.more === false || length >= wanted.count || length === seen;
      if (isAnswer(found) && isWhole) return await this.#tell(wanted, found);
      seen = length;
    }
    this.#forget(wanted);
    return silent(wanted);
  }

  async #tell(wanted: Wanted, { messages, more }: Older): Promise<Part> {
    const [oldest] = messages;
    const part = {
      request_id: wanted.request,
      messages: messages.length,
      oldest: oldest ? { message_id: oldest.id.id, from_self: oldest.id.fromMe, at: oldest.t * 1000 } : null,
      more,
    };
    await this.#parts.tell(wanted.chat, messages, part);
    this.#forget(wanted);
    return part;
  }

  #note(wanted: Wanted): void {
    if (this.#wanted.size >= MOST) this.#wanted.delete(this.#wanted.keys().next().value as string);
    this.#wanted.set(wanted.request, wanted);
    this.#save();
  }

  /** Behind what was told of it. */
  #forget({ request }: Wanted): void {
    if (this.#wanted.delete(request)) this.#save();
  }

  #save(): void {
    const value = Buffer.from(JSON.stringify([...this.#wanted.values()]));
    this.#parts.link.keysSet(undefined, [[KIND, ID, value]]);
  }
}

/** Whether there is something to tell, or nothing to wait for. */
const isAnswer = ({ messages, more }: Older): boolean => messages.length > 0 || more === false;

function silent({ request }: Wanted): never {
  throw new ActionError('E_PHONE_SILENT', request);
}

export const HISTORY: Readonly<Record<string, Handler>> = {
  'history.fetch': async ({ histories, content, chat }) => await histories.fetch(await chat(), content),
};
