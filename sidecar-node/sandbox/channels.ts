import { randomBytes, randomInt } from 'node:crypto';
import { proto } from 'baileys/WAProto/index.js';
import type { Companion } from './companions.ts';
import { describe, phoneMessageId, stanzaType } from './content.ts';
import { Refusal } from './refusal.ts';
import type { Sandbox } from './sandbox.ts';
import { bytesOf, child, type Node, node, seconds } from './wire.ts';

export interface Channel {
  /** With its server: `…@newsletter`. */
  readonly id: string;
  readonly owner: string;
  readonly created: number;
  name: string;
  description: string;
  invite: string;
  /** Number → whether it has muted the channel. */
  followers: Record<string, boolean>;
  /** The server counts a channel's posts. */
  posts: number;
}

/** A post on its way; `content` is empty for one that is taken back. */
interface Post {
  readonly id: string;
  readonly by: string;
  readonly content: Uint8Array;
  readonly edit?: string | undefined;
  /** The device that posted it, which hears of it by the ack. */
  readonly device?: Companion;
  readonly position?: number;
}

const SCHEMA = 'CREATE TABLE IF NOT EXISTS channel (id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;';
/** An admin takes a post back, or changes it. */
const TAKEN_BACK = '8';
const CORRECTED = '3';
const NOT_THERE = 404;
const FORBIDDEN = 403;
const MALFORMED = 400;
/** A post's file is not where channels' files are, or not the one that the post names. */
const NOT_ITS_FILE = 479;

/** Channels: nothing of them is encrypted, so the server hands posts on as they are. */
export class Channels {
  readonly #sandbox: Sandbox;
  readonly #byId = new Map<string, Channel>();

  constructor(sandbox: Sandbox) {
    this.#sandbox = sandbox;
    sandbox.store.exec(SCHEMA);
    for (const { body } of sandbox.store.all<{ body: string }>('SELECT body FROM channel')) {
      const channel = JSON.parse(body) as Channel;
      this.#byId.set(channel.id, channel);
    }
  }

  find(id = ''): Channel | undefined {
    return this.#byId.get(id);
  }

  /** Raises Refusal. */
  get(id: string): Channel {
    const channel = this.find(id);
    if (!channel) throw new Refusal('There is no such channel.', NOT_THERE);
    return channel;
  }

  invitedBy(code: string): Channel | undefined {
    return [...this.#byId.values()].find(({ invite }) => invite === code);
  }

  /** Those that somebody owns or follows. */
  of(number: string): Channel[] {
    return [...this.#byId.values()].filter(({ owner, followers }) => owner === number || number in followers);
  }

  create(owner: string, name: string, description = ''): Channel {
    if (!name) throw new Refusal('A channel has a name.', MALFORMED);
    const channel: Channel = {
      id: `120363${String(randomInt(10 ** 12)).padStart(12, '0')}@newsletter`,
      owner,
      created: Date.now(),
      name,
      description,
      invite: `0029Va${randomBytes(12).toString('hex')}`,
      followers: {},
      posts: 0,
    };
    this.#sandbox.people.ensure(owner);
    this.#byId.set(channel.id, channel);
    this.#save(channel);
    return channel;
  }

  follow(channel: Channel, number: string): void {
    this.#sandbox.people.ensure(number);
    channel.followers[number] ??= false;
    this.#save(channel);
  }

  unfollow(channel: Channel, number: string): void {
    delete channel.followers[number];
    this.#save(channel);
  }

  mute(channel: Channel, number: string, muted: boolean): void {
    if (!(number in channel.followers)) throw new Refusal('Only followers mute a channel.', FORBIDDEN);
    channel.followers[number] = muted;
    this.#save(channel);
  }

  remove(channel: Channel): void {
    this.#byId.delete(channel.id);
    this.#sandbox.store.run('DELETE FROM channel WHERE id = ?', channel.id);
    this.#sandbox.events.emit('change');
  }

  /** The owner's phone posts. */
  say(channel: Channel, by: string, message: proto.IMessage, id = phoneMessageId()): string {
    if (by !== channel.owner) throw new Refusal('Only its owner posts in a channel.', FORBIDDEN);
    const { key, editedMessage } = message.protocolMessage ?? {};
    if (key?.id && editedMessage) {
      const content = proto.Message.encode(editedMessage).finish();
      return this.#publish(channel, { id: key.id, by, content, edit: CORRECTED }).id;
    }
    if (key?.id) return this.#publish(channel, { id: key.id, by, content: new Uint8Array(), edit: TAKEN_BACK }).id;
    return this.#publish(channel, { id, by, content: proto.Message.encode(message).finish() }).id;
  }

  /** A <message> of a linked device to a channel: the number under which the server keeps it, or why not. */
  async post(from: Companion, stanza: Node, position: number): Promise<{ serverId: string } | { refused: number }> {
    const { to, id = '', edit, media_id } = stanza.attrs;
    const channel = this.find(to);
    if (!channel) return { refused: NOT_THERE };
    if (channel.owner !== from.number) return { refused: FORBIDDEN };
    const content = bytesOf(child(stanza, 'plaintext')) ?? new Uint8Array();
    if (content.length === 0 && edit !== TAKEN_BACK) return { refused: MALFORMED };
    const { media } = describe(proto.Message.decode(content));
    if (media && (media.mediaKey?.length || (await this.#sandbox.media.handleOf(media.directPath)) !== media_id))
      return { refused: NOT_ITS_FILE };
    const post = { id, by: from.number, content, edit, device: from, position };
    return { serverId: this.#publish(channel, post).serverId };
  }

  #publish(channel: Channel, post: Post): { id: string; serverId: string } {
    channel.posts++;
    this.#save(channel);
    const serverId = String(100 + channel.posts);
    const told = this.#told(channel, post, serverId);
    for (const number of new Set([channel.owner, ...Object.keys(channel.followers)])) {
      const devices = this.#sandbox.companions.of(number);
      this.#show(channel, number, post, devices.length > 0);
      for (const companion of devices) if (companion !== post.device) this.#hand(companion, post, told(number));
    }
    return { id: post.id, serverId };
  }

  #told(channel: Channel, { id, by, content, edit }: Post, serverId: string): (reader: string) => Node {
    const { type, mediaType: mediatype } = stanzaType(proto.Message.decode(content));
    const attrs = { from: channel.id, id, server_id: serverId, type, edit, t: seconds() };
    const plaintext = node('plaintext', { mediatype }, content);
    return (reader) => node('message', { ...attrs, is_sender: reader === by ? 'true' : undefined }, [plaintext]);
  }

  #hand(companion: Companion, { id }: Post, stanza: Node): void {
    this.#sandbox.queue.add(companion, 'message', id, stanza);
    this.#sandbox.wake(companion);
  }

  /** In the journal: what a follower's phone shows, or what goes to an account's devices. */
  #show(channel: Channel, number: string, { id, by, content, edit, position }: Post, linked: boolean): void {
    if (number === by) return;
    const said = describe(proto.Message.decode(content));
    const changed = edit === CORRECTED ? { type: 'edit', text: said.text } : said;
    const { type, text } = edit === TAKEN_BACK ? { type: 'revoke', text: id } : changed;
    const detail = { group: channel.id };
    const { journal, media } = this.#sandbox;
    const again = !edit && !linked && journal.wasShown(by, number, id);
    const about = linked ? { account: number } : { account: by, contact: number };
    const kind = linked ? 'inbound' : again ? 'repeat' : 'message';
    const seq = journal.append({ kind, ...about, id, type, text, content, detail, ...(position ? { position } : {}) });
    if (said.media && kind === 'message') media.show(seq, said.media);
  }

  #save(channel: Channel): void {
    this.#sandbox.store.run('INSERT OR REPLACE INTO channel VALUES (?, ?)', channel.id, JSON.stringify(channel));
    this.#sandbox.events.emit('change');
  }
}
