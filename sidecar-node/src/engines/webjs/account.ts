/** The account that a page has open: what it tells, and what it is asked to do. */
import type { ActFrame, Result } from '../../protocol.ts';
import { Acks } from '../baileys/acks.ts';
import type { Link } from '../port.ts';
import { Actions } from './actions.ts';
import { type AskParts, Asks } from './asks.ts';
import { lookAt } from './groups.ts';
import { Histories } from './history.ts';
import { type Mark, messagesSince, presetIds, watchMarks } from './in_page.ts';
import { Inbound } from './inbound.ts';
import { type LabelChange, watchLabels } from './labels.ts';
import type { Client, Library, Page } from './library.ts';
import { People } from './people.ts';
import type { Units } from './units.ts';
import { type Vote, votesSince, watchVotes } from './votes.ts';
import type { Watermark } from './watermark.ts';

/** Messages asked for at a time, after a time away. */
const CATCH_UP = 250;
const OURS_KEPT = 2_048;

export interface AccountParts {
  library: Library;
  client: Client;
  page: Page;
  link: Link;
  units: Units;
  watermark: Watermark;
  /** The page has said something. */
  seen(): void;
  failed(error: unknown): void;
}

export class Account {
  #parts: AccountParts;
  #me = { pn: '', lid: undefined as string | undefined };
  #acks = new Acks();
  /** Ids of what we sent ourselves. */
  #ours = new Set<string>();
  #people: People;
  #inbound: Inbound;
  #actions: Actions;
  #histories: Histories;
  #asks: Asks;

  constructor(parts: AccountParts) {
    const { library, client, link, units, watermark, seen, failed } = parts;
    this.#parts = parts;
    const people = new People(client);
    const me = (): { pn: string; lid: string | undefined } => this.#me;
    const actions = new Actions({
      library,
      client,
      link,
      acks: this.#acks,
      people,
      me,
      durable: (unit) => units.durable(unit),
      ours: (id) => this.#remember(id),
    });
    this.#inbound = new Inbound({
      link,
      people,
      watermark,
      me,
      isOurs: (id) => this.#ours.has(id) || actions.unnamed,
      acked: (id, ack) => this.#acked(id, ack),
      room: () => {
        seen();
        return units.room();
      },
      group: (jid) => lookAt(parts.page, jid),
      failed,
    });
    this.#actions = actions;
    this.#histories = new Histories({
      link,
      page: () => parts.page,
      tell: (chat, models, part) => this.#inbound.past(chat, models, part),
    });
    const find: AskParts['find'] = (chat, id) => actions.find(chat, id);
    this.#asks = new Asks({ client, people, me, library, find, histories: this.#histories });
    this.#people = people;
  }

  /** Tells what came since the watermark, then whatever comes; from now on it acts. */
  async begin(): Promise<void> {
    const { client, page, link, watermark } = this.#parts;
    const { since } = watermark;
    const pn = `${client.info.wid.user}@c.us`;
    this.#me = { pn, lid: (await this.#people.other(pn)) ?? undefined };
    this.#inbound.catchUp((skip) => page.evaluate(messagesSince, since, skip, CATCH_UP), CATCH_UP);
    const heard = this.#hearVotes();
    heard.catch(() => {});
    // Those that come meanwhile are heard by then, and told behind.
    this.#inbound.catchUpVotes((at, polls) => heard.then(() => page.evaluate(votesSince, at, polls)));
    this.#inbound.listen(client);
    this.#actions.presets = await page.evaluate(presetIds);
    if (!this.#actions.presets) link.log('warn', 'ids_not_preset');
    await page.exposeFunction('pwwMarked', (mark: Mark) => this.#inbound.marked(mark));
    await page.evaluate(watchMarks);
    await page.exposeFunction('pwwLabelled', (change: LabelChange) => this.#inbound.labelled(change));
    await page.evaluate(watchLabels);
    await heard;
    await this.#histories.resume();
  }

  async #hearVotes(): Promise<void> {
    const { page } = this.#parts;
    await page.exposeFunction('pwwVoted', (vote: Vote) => this.#inbound.voted(vote));
    await page.evaluate(watchVotes);
  }

  /** Whose it is, as the worker is told. */
  get me(): Record<string, string | null> {
    const { pn, lid } = this.#me;
    const name = this.#parts.client.info.pushname;
    return { pn: `+${pn.split('@')[0]}`, lid: lid?.split('@')[0] ?? null, ...(name ? { name } : {}) };
  }

  act(frame: ActFrame): Promise<Result> {
    return this.#asks.run(frame) ?? this.#actions.run(frame);
  }

  /** Nothing more is begun. */
  stop(): void {
    this.#actions.stop();
  }

  /** No acknowledgement comes any more. */
  end(): void {
    this.stop();
    this.#histories.stop();
    this.#acks.close();
  }

  #remember(id: string): void {
    this.#ours.add(id);
    if (this.#ours.size > OURS_KEPT) this.#ours.delete(this.#ours.values().next().value as string);
  }

  #acked(id: string, ack: number): boolean {
    this.#parts.seen();
    return ack === 0 ? false : this.#acks.received(ack < 0 ? { id, error: String(ack) } : { id });
  }
}
