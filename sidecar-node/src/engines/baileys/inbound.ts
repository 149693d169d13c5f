/** Baileys' events, as they are made, into the event kinds of PROTOCOL.md. */
import {
  type BaileysEventMap,
  type BinaryNode,
  normalizeMessageContent,
  proto,
  type WAMessage,
  type WAMessageKey,
  WAMessageStubType,
} from 'baileys';
import { redact } from '../../logs.ts';
import type { Settings } from '../../protocol.ts';
import type { BoundedCache, SentMessages } from './caches.ts';
import { settingOf } from './chats.ts';
import { Histories, type HistorySink } from './history.ts';
import { type Chat, chat, type Person, type Place, person, placeOf } from './identity.ts';
import { associationOf, type Labels, labelOf } from './labels.ts';
import { contentFields, describe } from './messages.ts';
import { postOf } from './posts.ts';
import { votesOf } from './votes.ts';

export interface InboundSink extends Pick<HistorySink, 'otherJid' | 'read'> {
  /** A durable event. */
  event(kind: string, data: Record<string, unknown>): void;
  /** One that may be lost. */
  passing(kind: string, data: Record<string, unknown>): void;
  /** What is known of the account's labels. */
  readonly labels: Labels;
  /** The jid with the number of a LID's person, when it is known. */
  numberOf(lid: string): Promise<string | null>;
  /** Our own jids. */
  me(): { id?: string | undefined; lid?: string | undefined };
}

const { REVOKE, MESSAGE_EDIT, EPHEMERAL_SETTING } = proto.Message.ProtocolMessage.Type;
const STATUS: Record<number, string> = { 3: 'delivered', 4: 'read', 5: 'played' };

type Stub = BaileysEventMap['group-participants.update'];

export class Inbound {
  #sink: InboundSink;
  #sent: SentMessages;
  #authors: BoundedCache;
  readonly histories: Histories;
  /** The stanzas being handled, by message id: what Baileys drops of them is needed here. */
  #stanzas = new Map<string, Record<string, string>>();
  #tasks = new Set<Promise<void>>();

  /** `authors` learns who wrote each group message: replies, reactions and read marks must name them. */
  constructor(sink: InboundSink, sent: SentMessages, authors: BoundedCache, settings: Settings) {
    this.#sink = sink;
    this.#sent = sent;
    this.#authors = authors;
    const past = (message: WAMessage): boolean => this.#past(message);
    this.histories = new Histories({ ...sink, past }, settings);
  }

  /**
   * A stanza's handling begins; the function returned ends it, once its events are all out. The next one may have begun
   * by then, and a channel's post has the id of what corrects it.
   */
  begin(node: BinaryNode): () => Promise<void> {
    const id = node.tag === 'message' ? node.attrs.id : undefined;
    if (id) this.#stanzas.set(id, node.attrs);
    return async () => {
      if (this.#tasks.size > 0) await Promise.all(this.#tasks);
      if (id) await this.histories.ended(id);
      if (id && this.#stanzas.get(id) === node.attrs) this.#stanzas.delete(id);
    };
  }

  take<E extends keyof BaileysEventMap>(event: E, data: BaileysEventMap[E]): void {
    const take = this.#takers[event] as ((data: BaileysEventMap[E]) => void) | undefined;
    take?.(data);
  }

  #takers: { [E in keyof BaileysEventMap]?: (data: BaileysEventMap[E]) => void } = {
    'messages.upsert': ({ messages }) => {
      for (const message of messages) if (!this.histories.noticed(message)) this.#message(message);
    },
    'messaging-history.set': (past) => this.#later(this.histories.tell(past)),
    'messages.update': (updates) => this.#statuses(updates),
    'messages.delete': (gone) => {
      if ('keys' in gone) for (const key of gone.keys) this.#mark(key, 'delete_for_me', true);
    },
    'chats.update': (updates) => {
      for (const each of updates) this.#setting(each);
    },
    'message-receipt.update': (updates) => this.#groupReceipts(updates),
    'presence.update': (update) => this.#presence(update),
    'contacts.upsert': (contacts) => {
      for (const each of contacts) this.#contact(each);
    },
    'contacts.update': (changed) => {
      for (const { id, imgUrl } of changed)
        if (imgUrl && id?.endsWith('@g.us')) this.#group(id, 'picture', {}, undefined, undefined);
    },
    'lid-mapping.update': ({ lid, pn }) => {
      const both = person(lid, pn);
      this.#sink.event('contact', { person: both, name: null, pn: both.pn, lid: both.lid });
    },
    'group-participants.update': (update) => this.#participants(update),
    'groups.upsert': (groups) => {
      for (const each of groups) this.#group(each.id, 'create', { subject: each.subject }, each.author, each.authorPn);
    },
    'group.join-request': (request) => this.#joinRequest(request),
    'groups.update': (groups) => {
      for (const each of groups) this.#groupUpdate(each);
    },
    'labels.edit': (edit) => {
      this.#sink.event('label', labelOf(edit));
      this.#later(this.#sink.labels.learn(edit));
    },
    'labels.association': (change) =>
      this.#later(this.#ofChat(change.association.chatId, 'label', associationOf(change))),
    call: (calls) => {
      for (const each of calls) this.#call(each);
    },
  };

  #message(message: WAMessage): void {
    const { key } = message;
    if (!key.id || !key.remoteJid) return;
    if (key.participant && !key.fromMe) this.#authors.set(key.id, key.participant);
    const place = placeOf(key.remoteJid);
    // Nothing in a channel is encrypted: what has no content there is no message.
    if (place?.channel || (place && !isUndecryptable(message))) return this.#post(message, place);
    if (isUndecryptable(message)) {
      const reason = redact(String(message.messageStubParameters?.[0] ?? ''));
      return this.#sink.event('undecryptable', { ...this.#head(message), reason });
    }
    if (message.messageStubType && !message.message) return;
    const content = normalizeMessageContent(message.message);
    if (content?.protocolMessage) return this.#protocol(message, content.protocolMessage);
    if (content?.reactionMessage) return this.#reaction(message, content.reactionMessage);
    if (content?.pinInChatMessage) return this.#pin(message, content);
    if (content?.pollUpdateMessage) return this.#later(this.#pollVote(message, content.pollUpdateMessage));
    const described =
      describe(message.message) ?? (key.isViewOnce ? { type: 'unsupported', body: { kind: 'view_once' } } : undefined);
    if (!described) return;
    const offline = this.#isOffline(message);
    this.#sink.event('message', { ...this.#head(message), ...contentFields(described), offline, history: false });
  }

  /** A status, or a channel's post: said to nobody in particular. */
  #post(message: WAMessage, place: Place): void {
    const post = postOf(message, place, this.#stanzas.get(message.key.id ?? '') ?? {}, this.#sink.me());
    if (post) this.#sink.event('post', post);
  }

  /** A message of the past. What only changed others the phone has folded into them. */
  #past(message: WAMessage): boolean {
    const { key } = message;
    if (!key.id || !key.remoteJid || placeOf(key.remoteJid)) return false;
    const content = normalizeMessageContent(message.message);
    if (content?.protocolMessage || content?.reactionMessage || content?.pinInChatMessage) return false;
    const described = content?.pollUpdateMessage ? undefined : describe(message.message);
    if (!described) return false;
    const head = this.#head(message, true);
    this.#sink.event('message', { ...head, ...contentFields(described), offline: false, history: true });
    return true;
  }

  #isOffline({ key }: WAMessage): boolean {
    return this.#stanzas.get(key.id ?? '')?.offline !== undefined;
  }

  #pin(message: WAMessage, { pinInChatMessage: pin, messageContextInfo }: proto.IMessage): void {
    const pinned = pin?.type === proto.Message.PinInChatMessage.Type.PIN_FOR_ALL;
    const seconds =
      messageContextInfo?.messageAddOnDurationInSecs || message.message?.messageContextInfo?.messageAddOnDurationInSecs;
    this.#sink.event('pin', {
      ...this.#head(message),
      message_id: pin?.key?.id ?? '',
      pinned,
      seconds: pinned && seconds ? seconds : null,
    });
  }

  /** Whose and where a message is. */
  #head(message: WAMessage, past = false): Record<string, unknown> {
    const { key } = message;
    const where = this.#chat(key, past);
    return {
      id: key.id,
      chat: where,
      from: this.#author(message, where),
      from_self: Boolean(key.fromMe),
      sent_at: Number(message.messageTimestamp ?? 0) * 1000 || Date.now(),
    };
  }

  #chat(key: WAMessageKey, past: boolean): Chat {
    // Through somebody's list of recipients it comes to each alone.
    const sender = key.remoteJid?.endsWith('@broadcast') ? key.participant : key.remoteJid;
    if (!key.fromMe || past) return chat(sender, key.remoteJidAlt);
    // Of what we said on another device, Baileys tells our own other jid as the chat's.
    const attrs = this.#stanzas.get(key.id ?? '') ?? {};
    const alt = key.remoteJid?.endsWith('lid')
      ? (attrs.peer_recipient_pn ?? attrs.recipient_pn)
      : (attrs.peer_recipient_lid ?? attrs.recipient_lid);
    return chat(key.remoteJid, alt);
  }

  #author({ key, participant, pushName, verifiedBizName }: WAMessage, where: Chat): Person {
    const name = verifiedBizName ?? pushName;
    const me = this.#sink.me();
    if (key.fromMe) return person(me.id, me.lid, name);
    if (where.group || key.remoteJid?.endsWith('@broadcast'))
      return person(key.participant ?? participant, key.participantAlt, name);
    return person(key.remoteJid, key.remoteJidAlt, name);
  }

  #protocol(message: WAMessage, protocol: proto.Message.IProtocolMessage): void {
    if (protocol.type === EPHEMERAL_SETTING) {
      const disappearing = { seconds: protocol.ephemeralExpiration ?? 0 };
      const told = { type: 'disappearing', disappearing, offline: this.#isOffline(message), history: false };
      return this.#sink.event('message', { ...this.#head(message), ...told });
    }
    const target = protocol.key?.id;
    if (!target) return;
    if (protocol.type === REVOKE) this.#sink.event('delete', { ...this.#head(message), message_id: target });
    if (protocol.type !== MESSAGE_EDIT) return;
    const described = describe(protocol.editedMessage) ?? { type: 'unsupported', body: { kind: 'edit' } };
    this.#sink.event('edit', { ...this.#head(message), message_id: target, ...contentFields(described) });
  }

  #reaction(message: WAMessage, reaction: proto.Message.IReactionMessage): void {
    this.#sink.event('reaction', {
      ...this.#head(message),
      message_id: reaction.key?.id ?? '',
      emoji: reaction.text ?? '',
    });
  }

  /** Votes are encrypted with the poll's secret: only those on polls that we sent can be read. */
  async #pollVote(message: WAMessage, update: proto.Message.IPollUpdateMessage): Promise<void> {
    const pollId = update.pollCreationMessageKey?.id ?? '';
    const head = { ...this.#head(message), message_id: pollId };
    const made = await this.#sent.get(pollId);
    const secret = made?.messageContextInfo?.messageSecret;
    const me = this.#sink.me();
    const options = made && secret && update.vote ? votesOf(message.key, update, made, secret, me) : undefined;
    if (options) this.#sink.event('poll_vote', { ...head, options });
    else
      this.#sink.event('message', {
        ...this.#head(message),
        type: 'unsupported',
        unsupported: { kind: 'pollUpdateMessage' },
        offline: false,
        history: false,
      });
  }

  /** Work that a stanza's end must wait for. */
  #later(work: Promise<void>): void {
    const task = work.catch(() => {}).finally(() => this.#tasks.delete(task));
    this.#tasks.add(task);
  }

  #statuses(updates: BaileysEventMap['messages.update']): void {
    const groups = new Map<string, { key: WAMessageKey; status: string; at: number; ids: string[] }>();
    for (const { key, update } of updates) {
      if (typeof update.starred === 'boolean') this.#mark(key, 'star', update.starred);
      const status = STATUS[Number(update.status ?? -1)];
      if (!status || !key.fromMe || !key.id) continue;
      const at = Number(update.messageTimestamp ?? 0) * 1000 || Date.now();
      const name = `${key.remoteJid} ${status} ${at}`;
      const group = groups.get(name) ?? { key, status, at, ids: [] };
      group.ids.push(key.id);
      groups.set(name, group);
    }
    for (const { key, status, at, ids } of groups.values()) this.status(key.remoteJid, ids, status, at);
  }

  status(jid: string | null | undefined, ids: string[], status: string, at: number, by?: Person): void {
    this.#sink.event('status', {
      message_ids: ids,
      chat: chat(jid),
      from_self: true,
      status,
      ...(by ? { by } : {}),
      at,
    });
  }

  #groupReceipts(updates: BaileysEventMap['message-receipt.update']): void {
    for (const { key, receipt } of updates) {
      if (!key.fromMe || !key.id) continue;
      const read = receipt.readTimestamp ?? receipt.playedTimestamp;
      const at = Number(read ?? receipt.receiptTimestamp ?? 0) * 1000 || Date.now();
      this.status(key.remoteJid, [key.id], read ? 'read' : 'delivered', at, person(receipt.userJid));
    }
  }

  /** A chat or message as the account itself sees it; only changes of the shared state carry `conditional`. */
  #setting(update: BaileysEventMap['chats.update'][number]): void {
    if (!('conditional' in update)) return;
    const told = settingOf(update);
    if (told) this.#later(this.#ofChat(update.id, 'chat_setting', told));
  }

  #mark({ remoteJid, id, fromMe }: WAMessageKey, mark: string, on: boolean): void {
    this.#later(this.#ofChat(remoteJid, 'mark', { message_id: id ?? '', mark, on, from_self: Boolean(fromMe) }));
  }

  /** Such an entry names its chat by one jid only. */
  async #ofChat(jid: string | null | undefined, kind: string, told: Record<string, unknown>): Promise<void> {
    const alt = jid?.endsWith('@lid') ? await this.#sink.numberOf(jid).catch(() => null) : null;
    this.#sink.event(kind, { chat: chat(jid, alt), ...told });
  }

  #presence({ id, presences }: BaileysEventMap['presence.update']): void {
    for (const [jid, { lastKnownPresence, lastSeen }] of Object.entries(presences)) {
      const seen = lastSeen ? { last_seen_at: lastSeen * 1000 } : {};
      this.#sink.passing('presence', { chat: chat(id), from: person(jid), state: lastKnownPresence, ...seen });
    }
  }

  #contact(contact: BaileysEventMap['contacts.upsert'][number]): void {
    const who = person(contact.id, contact.lid ?? contact.phoneNumber);
    if (!who.pn && !who.lid) return;
    this.#sink.event('contact', {
      person: who,
      name: contact.name ?? contact.notify ?? null,
      pn: who.pn,
      lid: who.lid,
    });
  }

  #participants({ id, author, authorPn, participants, action }: Stub): void {
    const people = participants.map(({ id: jid, phoneNumber, lid }) => person(jid, phoneNumber ?? lid));
    this.#group(id, action, { participants: people }, author, authorPn);
  }

  #groupUpdate(update: BaileysEventMap['groups.update'][number]): void {
    const { id, author, authorPn } = update;
    // With all of its traits it is what was read of a group, not a change.
    if (!id || update.creation !== undefined) return;
    this.#group(id, ...groupChange(update), author, authorPn);
  }

  /** Somebody asks to be let in, or does no more, or was refused. */
  #joinRequest(request: BaileysEventMap['group.join-request']): void {
    const { id, participant, participantPn, action, author, authorPn } = request;
    const participants = [person(participant, participantPn)];
    this.#group(id, 'join_request', { participants, state: action }, author, authorPn);
  }

  #group(
    id: string,
    change: string,
    more: Record<string, unknown>,
    author: string | undefined,
    authorPn: string | undefined,
  ): void {
    this.#sink.event('group', { group: chat(id).group, change, by: author ? person(author, authorPn) : null, ...more });
  }

  #call({ id, chatId, from, callerPn, status, isVideo }: BaileysEventMap['call'][number]): void {
    this.#sink.event('call', {
      id,
      chat: chat(chatId),
      from: person(from, callerPn),
      state: status,
      video: Boolean(isVideo),
    });
  }
}

const isUndecryptable = ({ messageStubType }: WAMessage): boolean => messageStubType === WAMessageStubType.CIPHERTEXT;

/** What an update of a group's traits says, in the contract's words. */
function groupChange(update: BaileysEventMap['groups.update'][number]): [string, Record<string, unknown>] {
  const { subject, desc, announce, restrict, joinApprovalMode, memberAddMode, inviteCode } = update;
  if (subject !== undefined) return ['subject', { subject }];
  if ('desc' in update) return ['description', { description: desc ?? '' }];
  if (inviteCode !== undefined) return ['invite', {}];
  const settings = {
    ...(announce === undefined ? {} : { announce }),
    ...(restrict === undefined ? {} : { locked: restrict }),
    ...(joinApprovalMode === undefined ? {} : { approval: joinApprovalMode }),
    ...(memberAddMode === undefined ? {} : { member_add: memberAddMode ? 'all' : 'admins' }),
  };
  return ['settings', { settings }];
}
