/** The library's events, in the order in which they came, as the event kinds of PROTOCOL.md. */
import { createHash } from 'node:crypto';
import { errorText } from '../../logs.ts';
import { type Place, placeOf } from '../baileys/identity.ts';
import type { Link } from '../port.ts';
import type { PageGroup } from './groups_in_page.ts';
import type { Part } from './history.ts';
import { chat, isGroup, type Person, person } from './identity.ts';
import type { Mark } from './in_page.ts';
import type { LabelChange } from './labels.ts';
import {
  type Call,
  type Client,
  type Key,
  type Message,
  type Model,
  type Notification,
  type Reaction,
  serialized,
} from './library.ts';
import { type Described, describe, removalIsTold } from './messages.ts';
import type { People } from './people.ts';
import type { Vote } from './votes.ts';
import type { Watermark } from './watermark.ts';

const STATUSES: Record<number, string> = { 2: 'delivered', 3: 'read', 4: 'played' };
/** By how much a voter's clock may be late. */
const CLOCKS_DIFFER_MS = 600_000;
const CHANGES: Record<string, string> = {
  add: 'add',
  invite: 'add',
  linked_group_join: 'add',
  remove: 'remove',
  leave: 'remove',
  promote: 'promote',
  demote: 'demote',
  subject: 'subject',
  description: 'description',
  create: 'create',
  picture: 'picture',
  membership_approval_request: 'join_request',
};

/** What a change in a group came to, as the page has it then. */
const NOW: Readonly<Record<string, (group: PageGroup) => Record<string, unknown>>> = {
  description: ({ description }) => ({ description: description ?? '' }),
  announce: ({ announce }) => ({ settings: { announce } }),
  restrict: ({ locked }) => ({ settings: { locked } }),
};

export interface InboundParts {
  link: Link;
  people: People;
  watermark: Watermark;
  me(): { pn: string; lid: string | undefined };
  /** Whether this id is, or may be, of a message that we send ourselves. */
  isOurs(id: string): boolean;
  /** A message's acknowledgement; true when something waited for it. */
  acked(id: string, ack: number): boolean;
  /** Resolves when another unit may be told: the worker reads, and the credit is not used up. */
  room(): Promise<void>;
  /** A group as it is now; null: not known soon. */
  group(jid: string): Promise<PageGroup | null>;
  failed(error: unknown): void;
}

export class Inbound {
  #parts: InboundParts;
  #tail: Promise<void> = Promise.resolve();

  constructor(parts: InboundParts) {
    this.#parts = parts;
  }

  listen(client: Client): void {
    client.on('message_create', ({ rawData }: Message) => this.#turn(() => this.message(rawData, false)));
    client.on('message_ack', (message: Message, ack: number) => this.ack(message.rawData, ack));
    client.on('message_edit', ({ rawData }: Message) => this.#turn(() => this.#edited(rawData)));
    client.on('message_revoke_everyone', ({ rawData }: Message) => this.#turn(() => this.#revoked(rawData)));
    client.on('message_revoke_me', ({ rawData }: Message) => this.#turn(() => this.#removed(rawData)));
    client.on('message_reaction', (reaction: Reaction) => this.#turn(() => this.#reacted(reaction)));
    client.on('message_ciphertext_failed', ({ rawData }: Message) => this.#turn(() => this.#undecryptable(rawData)));
    client.on('call', (call: Call) => this.#turn(() => this.#called(call)));
    for (const event of [
      'group_join',
      'group_leave',
      'group_admin_changed',
      'group_update',
      'group_membership_request',
    ])
      client.on(event, (notice: Notification) => this.#turn(() => this.#group(notice)));
  }

  /**
   * What came while nobody listened: told as it would have been, before whatever the page shows from now on. `page`
   * gives the messages behind the first so many, `most` at a time.
   */
  catchUp(page: (skip: number) => Promise<Model[]>, most: number): void {
    this.#turn(async () => {
      for (let skip = 0; ; skip += most) {
        const models = await page(skip);
        for (const model of models) await this.#missed(model);
        if (models.length < most) return;
      }
    });
  }

  /** What somebody chooses in a poll now. */
  voted(vote: Vote): void {
    this.#turn(() => this.#voted(vote));
  }

  /** The votes that were made while nobody listened, in polls that were told. */
  catchUpVotes(since: (at: number, polls: string[]) => Promise<Vote[]>): void {
    const { watermark, link } = this.#parts;
    const from = watermark.since * 1000 - CLOCKS_DIFFER_MS;
    this.#turn(async () => {
      const votes = await since(from, watermark.polls).catch((error: unknown) => {
        quietly(link, 'votes_not_read')(error);
        return [];
      });
      for (const vote of votes) {
        await this.#parts.room();
        await this.#voted(vote);
      }
    });
  }

  /** What became of a label. */
  labelled({ chat: jid, change, label_id, name, color }: LabelChange): void {
    this.#turn(async () => {
      const { link, people } = this.#parts;
      const about = jid
        ? { chat: chat(jid, await people.other(jid)), message_id: null }
        : { name: name ?? null, color: color ?? null };
      link.event('label', { label_id, change, ...about });
    });
  }

  /** How the account sees a chat or message now. */
  marked({ chat: jid, change, on, until, message }: Mark): void {
    this.#turn(async () => {
      const where = { chat: chat(jid, await this.#parts.people.other(jid)) };
      const { link } = this.#parts;
      if (message)
        link.event('mark', { ...where, message_id: message.id, mark: change, on, from_self: message.fromMe });
      else link.event('chat_setting', { ...where, change, on, ...(until ? { until } : {}) });
    });
  }

  async #missed(model: Model): Promise<void> {
    await this.#parts.room();
    await this.message(model, true);
    if (model.id.fromMe && (model.ack ?? 0) > 0) this.ack(model, model.ack ?? 0);
  }

  #turn(work: () => Promise<void>): void {
    this.#tail = this.#tail.then(() => this.#parts.room()).then(work);
    this.#tail = this.#tail.catch((error: unknown) => this.#parts.failed(error));
  }

  async message(model: Model, offline: boolean): Promise<void> {
    const { link, watermark } = this.#parts;
    const described = describe(model);
    if (!described) return;
    const { type, body, media } = described;
    if (type === 'poll') watermark.asked(model.id._serialized);
    if (watermark.knows(model.id._serialized) || (model.id.fromMe && this.#parts.isOurs(model.id.id))) return;
    const place = placeOf(model.id.remote);
    if (place) {
      const { chat: _, ...head } = await this.#head(model.id, model);
      link.event('post', { ...head, ...place, type, [type]: body, ...(media ? { media } : {}), offline });
      return watermark.told(model.id._serialized, model.t);
    }
    link.event('message', { ...(await this.#content(model, described)), offline, history: false });
    watermark.told(model.id._serialized, model.t);
  }

  /** Of a message: whose and where it is, and what it says. */
  async #content(model: Model, { type, body, media }: Described): Promise<Record<string, unknown>> {
    return {
      ...(await this.#head(model.id, model)),
      type,
      [type]: body,
      ...(await this.#context(model)),
      ...(media ? { media } : {}),
    };
  }

  /** Tells messages of a chat's past, in this order, and then how far they go. */
  past(jid: string, models: Model[], part: Part): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#turn(async () => {
        const told = this.#past(jid, models, part);
        told.then(resolve, reject);
        await told;
      });
    });
  }

  async #past(jid: string, models: Model[], part: Part): Promise<void> {
    const { link, people, room } = this.#parts;
    for (const model of models) {
      const described = describe(model);
      if (described)
        link.event('message', { ...(await this.#content(model, described)), offline: false, history: true });
      await room();
    }
    const about = { id: part.request_id, kind: 'on_demand', part: null, progress: null, at: Date.now(), chats: 1 };
    link.event('history', { ...about, chat: chat(jid, await people.other(jid)), ...part });
  }

  ack(model: Model, ack: number): void {
    const { id } = model;
    if (!id.fromMe) return;
    const waited = this.#parts.acked(id.id, ack);
    // That a post is refused its own act tells.
    const status = ack < 0 ? (waited || placeOf(id.remote) ? undefined : 'failed') : STATUSES[ack];
    if (status) this.#turn(() => this.#status(model, status));
  }

  async #status({ id }: Model, status: string): Promise<void> {
    const where = chat(id.remote, await this.#parts.people.other(id.remote));
    this.#parts.link.event('status', { message_ids: [id.id], chat: where, from_self: true, status, at: Date.now() });
  }

  /** Whose and where a message is. */
  async #head(key: Key, model: Partial<Model> = {}): Promise<Record<string, unknown>> {
    return {
      id: key.id,
      chat: chat(key.remote, await this.#parts.people.other(key.remote)),
      from: await this.#author(key, model),
      from_self: key.fromMe,
      sent_at: Number(model.t ?? 0) * 1000 || Date.now(),
    };
  }

  async #author(key: Key, model: Partial<Model>): Promise<Person> {
    if (key.fromMe) return this.#me();
    const jid = isGroup(key.remote) || placeOf(key.remote) ? serialized(model.author ?? key.participant) : key.remote;
    return person(jid, await this.#parts.people.other(jid), model.notifyName as string | undefined);
  }

  #me(): Person {
    const { pn, lid } = this.#parts.me();
    return person(pn, lid);
  }

  async #person(jid: string): Promise<Person> {
    return person(jid, await this.#parts.people.other(jid));
  }

  async #context(model: Model): Promise<Record<string, unknown>> {
    const { quotedStanzaID, quotedParticipant, isForwarded, mentionedJidList } = model;
    const from = quotedParticipant ? await this.#person(serialized(quotedParticipant as string)) : undefined;
    const context = {
      ...(quotedStanzaID ? { message_id: quotedStanzaID, ...(from ? { from } : {}) } : {}),
      ...(isForwarded ? { forwarded: true } : {}),
    };
    const mentions = [];
    for (const jid of (mentionedJidList ?? []) as string[]) mentions.push(await this.#person(serialized(jid)));
    return {
      ...(Object.keys(context).length > 0 ? { context } : {}),
      ...(mentions.length > 0 ? { mentions } : {}),
    };
  }

  async #edited(model: Model): Promise<void> {
    if (model.id.fromMe) return;
    const described = describe(model) ?? { type: 'unsupported', body: { kind: 'edit' } };
    const edit = (model.latestEditMsgKey as { id?: string } | undefined)?.id ?? `${model.id.id}-edit`;
    const at = Number(model.latestEditSenderTimestampMs ?? 0) || Date.now();
    const { type, body } = described;
    const place = placeOf(model.id.remote);
    if (place) return await this.#corrected(model, place, { at, type, [type]: body });
    const head = { ...(await this.#head(model.id, model)), id: edit, sent_at: at };
    this.#parts.link.event('edit', { ...head, message_id: model.id.id, type, [type]: body });
  }

  async #removed(model: Model): Promise<void> {
    if (!removalIsTold(model)) return;
    const { id, remote, fromMe } = model.id;
    const where = chat(remote, await this.#parts.people.other(remote));
    this.#parts.link.event('mark', { chat: where, message_id: id, mark: 'delete_for_me', on: true, from_self: fromMe });
  }

  async #revoked(model: Model): Promise<void> {
    if (model.id.fromMe) return;
    const at = Number(model.revokeTimestamp ?? 0) * 1000 || Date.now();
    const place = placeOf(model.id.remote);
    if (place) return await this.#withdrawn(model, place, at);
    const id = String(model.revokeMsgId ?? `${model.id.id}-revoke`);
    const head = { ...(await this.#head(model.id, model)), id, sent_at: at };
    this.#parts.link.event('delete', { ...head, message_id: model.id.id });
  }

  /** Another text for a channel's post comes under the post's own id: what it says, and when, tells it from the next. */
  async #corrected(model: Model, place: Place, { at, ...words }: { at: number; type: string }): Promise<void> {
    const { chat: _, ...head } = await this.#head(model.id, model);
    const version = createHash('sha256')
      .update(JSON.stringify([at, words]))
      .digest('hex')
      .slice(0, 12);
    const about = { ...place, ...words, message_id: model.id.id, offline: false };
    this.#parts.link.event('post', { ...head, id: `${model.id.id}.edited.${version}`, sent_at: at, ...about });
  }

  /** A channel's post is taken back under its own id. */
  async #withdrawn(model: Model, place: Place, at: number): Promise<void> {
    const { chat: _, ...head } = await this.#head(model.id, model);
    const id = place.channel ? `${model.id.id}.deleted` : String(model.revokeMsgId ?? `${model.id.id}.deleted`);
    const about = { ...place, type: 'deleted', message_id: model.id.id, offline: false };
    this.#parts.link.event('post', { ...head, id, sent_at: at, ...about });
  }

  async #reacted({ id, msgId, reaction, senderId, timestamp }: Reaction): Promise<void> {
    const remote = serialized(id.remote);
    if (id.fromMe || placeOf(remote)) return;
    this.#parts.link.event('reaction', {
      ...(await this.#head({ ...id, remote }, { t: timestamp, author: senderId })),
      message_id: msgId.id,
      emoji: reaction ?? '',
    });
  }

  async #undecryptable(model: Model): Promise<void> {
    this.#parts.link.event('undecryptable', {
      ...(await this.#head(model.id, model)),
      reason: String(model.subtype ?? ''),
    });
  }

  async #voted({ id, key, fromMe, chat: jid, voter, poll, options, at }: Vote): Promise<void> {
    const { link, people, watermark, isOurs } = this.#parts;
    if (watermark.knows(key) || (fromMe && isOurs(id)) || placeOf(jid)) return;
    link.event('poll_vote', {
      id,
      chat: chat(jid, await people.other(jid)),
      from: fromMe ? this.#me() : await this.#person(voter),
      from_self: fromMe,
      message_id: poll,
      options,
      sent_at: Number(at) || Date.now(),
    });
    watermark.told(key, 0);
  }

  async #called({ id, from, isVideo }: Call): Promise<void> {
    const jid = serialized(from);
    if (!jid) return;
    const other = await this.#parts.people.other(jid);
    this.#parts.link.event('call', {
      id,
      chat: chat(jid, other),
      from: person(jid, other),
      state: 'offer',
      video: isVideo,
    });
  }

  async #group({ type, chatId, author, recipientIds, body }: Notification): Promise<void> {
    const change = CHANGES[type] ?? 'settings';
    const participants = [];
    const isRequest = change === 'join_request';
    const now = NOW[type] && (await this.#parts.group(chatId));
    for (const jid of isRequest && author ? [author] : (recipientIds ?? []))
      participants.push(await this.#person(serialized(jid)));
    this.#parts.link.event('group', {
      group: chat(chatId).group,
      change,
      by: author ? await this.#person(author) : null,
      ...(participants.length > 0 ? { participants } : {}),
      ...(change === 'subject' ? { subject: body } : {}),
      ...(isRequest ? { state: 'created' } : {}),
      ...(now ? NOW[type]?.(now) : {}),
    });
  }
}

export const quietly = (link: Link, event: string) => (error: unknown) =>
  link.log('warn', event, { error: errorText(error) });
