import { randomBytes } from 'node:crypto';
import { proto } from 'baileys/WAProto/index.js';
import type { WebSocket } from 'ws';
import { type Companion, companionJid, PAGE } from '../companions.ts';
import { phoneMessageId } from '../content.ts';
import { type DeviceConnection, nextConnectionId } from '../device_connection.ts';
import { logError } from '../log.ts';
import { answerOlder } from '../peer_requests.ts';
import type { QueuedStanza } from '../queue.ts';
import { Refusal } from '../refusal.ts';
import type { Sandbox } from '../sandbox.ts';
import { sharedOf } from '../statuses.ts';
import { bytesOf, child, children, decodeNode, lidJid, type Node, pnJid } from '../wire.ts';
import { postOf, toldOf } from './channel_posts.ts';
import { pastOf } from './page_history.ts';
import { answer, type Said, serverJid } from './page_questions.ts';
import { fromPage, type PageMessage, toPage } from './translate.ts';

const REFS = 6;
const BATCH = 64;
/** WhatsApp's word for a change in a group, and the page's. */
const CHANGES: Readonly<Record<string, string>> = {
  announcement: 'announce',
  not_announcement: 'announce',
  locked: 'restrict',
  unlocked: 'restrict',
  created_membership_requests: 'membership_approval_request',
};

/**
 * One page's socket: linking, login, messages both ways, as JSON. The page plays WhatsApp Web towards whatsapp-web.js;
 * here it is a linked device like any other, with the same queue, faults and journal, and nothing encrypted.
 */
export class PageConnection implements DeviceConnection {
  readonly id = nextConnectionId();
  readonly since = Date.now();
  companion: Companion | undefined;
  closed = false;
  /** The phone that it asks to be linked to by a code. */
  linkCodeFor: string | undefined;
  readonly #sandbox: Sandbox;
  readonly #socket: WebSocket;
  readonly #refs = Array.from({ length: REFS }, () => `2@${randomBytes(48).toString('base64').replace(/[,#]/g, '')}`);
  #keys = { noise: '', identity: '' };
  #linkCode = '';
  #timer: NodeJS.Timeout | undefined;
  #cursor = 0;
  #offlineUntil: number | undefined;
  #offlineDone = false;
  /** What a `slow` fault holds back, and until when. */
  #delayed = 0;
  #slowUntil = 0;
  #messages: Promise<void> = Promise.resolve();

  constructor(sandbox: Sandbox, socket: WebSocket) {
    this.#sandbox = sandbox;
    this.#socket = socket;
    sandbox.connections.add(this);
    socket.on('message', (data) => this.#receive(String(data)));
    socket.on('close', () => this.#ended());
    socket.on('error', () => socket.terminate());
  }

  // What the sandbox asks of any connection.

  send(stanza: Node): void {
    if (stanza.tag !== 'call' && stanza.tag !== 'presence' && stanza.tag !== 'chatstate') return;
    const [what] = children(stanza);
    this.#tell(stanza.tag, {
      from: stanza.attrs.from,
      what: what?.tag ?? stanza.attrs.type,
      about: what?.attrs ?? {},
      parts: children(what).map(({ tag }) => tag),
    });
  }

  notify(type: string, attrs: Record<string, string>, content: Node[]): void {
    if (type !== 'w:gp2' && type !== 'picture') return;
    const changes = content.map((change) => ({
      change: type === 'picture' ? type : (CHANGES[change.tag] ?? change.tag),
      attrs: change.attrs,
      participants: children(change).map(({ attrs: of }) => of.jid),
    }));
    this.#tell('group', { group: attrs.from, by: attrs.participant ?? content[0]?.attrs.author, changes });
  }

  streamError(code: string | undefined, reason?: Node): void {
    this.#tell('stream_error', { code, reason: reason?.attrs.type });
    this.#socket.close();
  }

  fail(reason: number): void {
    this.#tell('failure', { code: reason });
    this.#socket.close();
  }

  freeze(milliseconds: number): void {
    this.#socket.pause();
    setTimeout(() => this.#socket.resume(), milliseconds).unref();
  }

  destroy(): void {
    this.#socket.terminate();
  }

  deliver(): void {
    const { companion } = this;
    if (!companion || this.closed) return;
    for (;;) {
      const batch = this.#sandbox.queue.after(companion, this.#cursor, BATCH);
      for (const queued of batch) this.#deliverOne(queued);
      if (batch.length < BATCH) break;
    }
    if (this.#offlineDone) return;
    this.#offlineDone = true;
    this.#tell('offline_end', {});
  }

  #deliverOne({ seq, kind, stanza }: QueuedStanza): void {
    this.#cursor = seq;
    const decoded = decodeNode(Buffer.from(stanza));
    const { attrs } = decoded;
    const offline = seq <= (this.#offlineUntil ?? 0);
    if (kind === 'receipt') {
      const { from, participant, id, type = 'delivered', t } = attrs;
      return this.#tell('receipt', { seq, id, from, participant, status: type, t: Number(t) });
    }
    if (kind === 'notification')
      return this.#tell('state', { seq, ...(JSON.parse(String(bytesOf(decoded))) as Record<string, unknown>) });
    const plain = bytesOf(child(decoded, 'plain'));
    const { from, participant, id, t, notify, is_sender: own } = attrs;
    const other = attrs.participant_pn ?? attrs.sender_pn ?? attrs.sender_lid;
    const content = plain && proto.Message.decode(plain);
    const past = content && pastOf(content);
    if (past) return this.#tell('past', { seq, id, from, ...past });
    const message = content ? toPage(content) : toldOf(decoded);
    const about = { seq, id, from, participant, other, own: own === 'true', t: Number(t), notify, offline, message };
    this.#tell('message', about);
    if (this.#sandbox.faults.take('duplicate_delivery', this.companion?.number ?? '')) this.#tell('message', about);
  }

  // Linking.

  offers(ref: string): boolean {
    return this.#refs.includes(ref);
  }

  pending(): Record<string, unknown> {
    const { qrFirstMs } = this.#sandbox.options;
    return {
      connection: this.id,
      since: new Date(this.since).toISOString(),
      ref: this.#refs[0],
      expires_at: new Date(this.since + qrFirstMs).toISOString(),
      platform: PAGE,
      ...(this.linkCodeFor ? { link_code_for: this.linkCodeFor } : {}),
    };
  }

  /** The phone's user scanned the page's QR. */
  async link(number: string, noiseKey: string, identityKey: string): Promise<{ jid: string; lid: string }> {
    if (noiseKey !== this.#keys.noise || identityKey !== this.#keys.identity)
      throw new Refusal('The keys in this QR are not those of the page that offers it.');
    return await this.#link(number);
  }

  async linkByCode(number: string, code: string): Promise<{ jid: string; lid: string }> {
    if (code !== this.#linkCode) throw new Refusal('This is not the code that the device shows.', 403);
    return await this.#link(number);
  }

  async #link(number: string): Promise<{ jid: string; lid: string }> {
    const { people, companions, journal, store, appState } = this.#sandbox;
    const person = people.ensure(number);
    const device = person.nextDevice++;
    person.isPhone = true;
    people.save(person);
    const token = randomBytes(32);
    const none = Buffer.alloc(0);
    const companion: Companion = {
      number,
      lid: person.lid,
      device,
      noiseKey: token,
      identityKey: none,
      registrationId: 0,
      keyIndex: device,
      platform: PAGE,
      pairedAt: Date.now(),
      signedPreKey: { id: 0, publicKey: none, signature: none },
      isNew: false,
    };
    companions.add(companion);
    appState.handOver(companion);
    journal.append({ kind: 'pair', account: number, device, type: PAGE });
    await store.committed();
    this.#stopWaiting();
    this.#tell('linked', { device: { number, device, token: token.toString('hex') } });
    return { jid: companionJid(companion), lid: lidJid(person.lid, device) };
  }

  #register(said: Said): void {
    const { qrFirstMs, qrNextMs } = this.#sandbox.options;
    this.#keys = { noise: String(said.noise), identity: String(said.identity) };
    this.#tell('refs', { refs: this.#refs, first_ms: qrFirstMs, next_ms: qrNextMs });
    this.#timer = setTimeout(() => this.#socket.close(), qrFirstMs + (REFS - 1) * qrNextMs);
    this.#sandbox.pages.waits(this, true);
  }

  #stopWaiting(): void {
    clearTimeout(this.#timer);
    this.#sandbox.pages.waits(this, false);
  }

  #logIn(number: string, device: number, token: string): void {
    const { faults, companions, journal, people } = this.#sandbox;
    if (faults.take('refuse_connect', number)) return this.destroy();
    for (const kind of ['banned', 'unavailable'] as const) {
      const fault = faults.take(kind, number);
      if (fault) return this.fail(fault.code);
    }
    const companion = companions.find(number, device);
    if (!companion || companion.platform !== PAGE || companion.noiseKey.toString('hex') !== token)
      return this.fail(401);
    this.companion = companion;
    const previous = this.#sandbox.goOnline(companion, this);
    previous?.streamError(undefined, { tag: 'conflict', attrs: { type: 'replaced' } });
    journal.append({ kind: 'login', account: number, device });
    this.#offlineUntil = this.#sandbox.queue.last();
    const { name, lid } = people.ensure(number);
    const business = this.#sandbox.profiles.of(number).business !== null;
    this.#tell('success', { pn: pnJid(number), lid: lidJid(lid), name, business });
    this.deliver();
  }

  // What the page says.

  #receive(text: string): void {
    let said: Said;
    try {
      said = JSON.parse(text) as Said;
      this.#take(said);
    } catch (error) {
      logError('page', error);
      this.destroy();
    }
  }

  #take(said: Said): void {
    const { companion } = this;
    if (said.type === 'register') return this.#register(said);
    if (said.type === 'login') return this.#logIn(String(said.number), Number(said.device), String(said.token));
    if (said.type === 'link_code') {
      [this.linkCodeFor, this.#linkCode] = [String(said.number), String(said.code)];
      return;
    }
    if (!companion) throw new Error(`a page that is not linked says ${said.type}`);
    if (said.type === 'message') {
      const position = this.#sandbox.journal.position(companion.number);
      this.#messages = this.#messages
        .then(() => this.#message(companion, said, position))
        .catch((error: unknown) => this.#refused(said, error));
    } else if (said.type === 'settle') this.#settle(companion, said);
    else if (said.type === 'seen') this.#seen(companion, said);
    else if (said.type === 'presence') this.#presence(companion, said);
    else if (said.type === 'older') this.#older(companion, said);
    else if (said.type === 'logout') this.#sandbox.unlink(companion);
    else this.#ask(companion, said);
  }

  async #message(companion: Companion, said: Said, position: number): Promise<void> {
    const { relay, people, groups, phones, companions, store } = this.#sandbox;
    const [to, id] = [serverJid(String(said.to)), String(said.id)];
    if (to.endsWith('@newsletter')) return await this.#toChannel(companion, said, position);
    const refused = relay.refusal(companion, to, id, position);
    if (refused) {
      await store.committed();
      return this.#tell('ack', { id, error: refused });
    }
    const message = fromPage(said.message as PageMessage, to);
    const group = sharedOf(this.#sandbox, to);
    const sender = people.ensure(companion.number);
    const members = groups.find(to)?.members.map(({ number }) => people.ensure(number));
    const readers = ((said.audience ?? []) as string[]).map((jid) => people.ofJid(serverJid(jid)));
    const recipients = members ?? (group ? readers : [people.ofJid(to)]);
    for (const person of recipients) {
      if (!person || person.number === companion.number) continue;
      phones.show(person, companion, message, { id, position, to, group });
      // Devices with keys read what the sender's own phone encrypts for them.
      const keyed = companions.of(person.number).some(({ platform }) => platform !== PAGE);
      if (keyed && !group) await phones.sendToKeyed(sender, person.number, message, id);
    }
    await store.committed();
    relay.acknowledge(this, companion.number, () => this.#tell('ack', { id, t: Math.floor(Date.now() / 1000) }));
    this.#sandbox.wake(companion);
  }

  async #toChannel(companion: Companion, said: Said, position: number): Promise<void> {
    const { relay } = this.#sandbox;
    const [to, id] = [String(said.to), String(said.id)];
    const taken = await relay.publish(companion, postOf(to, id, said.message as PageMessage), position);
    const word = 'refused' in taken ? { error: taken.refused } : { server_id: taken.serverId };
    relay.acknowledge(this, companion.number, () =>
      this.#tell('ack', { id, t: Math.floor(Date.now() / 1000), ...word }),
    );
  }

  #refused(said: Said, error: unknown): void {
    logError('page message', error);
    this.#tell('ack', { id: said.id, error: 400 });
  }

  /** The page has it on disk. */
  #settle(companion: Companion, { seq, id, from, kind }: Said): void {
    if (!this.#sandbox.queue.remove(Number(seq)) || kind !== 'message') return;
    const contact = this.#sandbox.people.ofJid(serverJid(String(from)))?.number ?? '';
    const about = { account: companion.number, contact, device: companion.device, id: String(id) };
    this.#sandbox.journal.append({ kind: 'inbound_acked', ...about });
  }

  #seen(companion: Companion, { chat, ids }: Said): void {
    const contact = this.#sandbox.people.ofJid(serverJid(String(chat)))?.number ?? '';
    for (const id of ids as string[]) {
      const about = { account: companion.number, contact, device: companion.device, id };
      this.#sandbox.journal.append({ kind: 'gateway_receipt', ...about, type: 'read' });
    }
  }

  #older(companion: Companion, { chat, oldest, t }: Said): void {
    const asked = {
      chatJid: serverJid(String(chat)),
      oldestMsgId: String(oldest),
      oldestMsgTimestampMs: Number(t) * 1000,
    };
    answerOlder(this.#sandbox, companion, phoneMessageId(), asked).catch((error: unknown) => logError('page', error));
  }

  #presence(companion: Companion, { to, state }: Said): void {
    const contact = to ? (this.#sandbox.people.ofJid(serverJid(String(to)))?.number ?? '') : '';
    const about = { account: companion.number, contact, device: companion.device };
    this.#sandbox.journal.append({ kind: 'presence', ...about, type: String(state) });
  }

  #ask(companion: Companion, said: Said): void {
    this.#tell('answer', { ref: said.ref, data: answer(this.#sandbox, companion, said) });
  }

  #tell(type: string, fields: Record<string, unknown>): void {
    if (this.closed) return;
    const text = JSON.stringify({ type, ...fields });
    const slow = this.#sandbox.faults.peek('slow', this.companion?.number ?? '');
    if (!slow && this.#delayed === 0) return this.#socket.send(text);
    // Nothing overtakes what is held back.
    const now = Date.now();
    this.#slowUntil = Math.max(this.#slowUntil, now + (slow?.delayMs ?? 0));
    this.#delayed++;
    setTimeout(() => {
      this.#delayed--;
      if (!this.closed) this.#socket.send(text);
    }, this.#slowUntil - now).unref();
  }

  #ended(): void {
    if (this.closed) return;
    this.closed = true;
    this.#sandbox.connections.delete(this);
    this.#stopWaiting();
    if (!this.companion) return;
    this.#sandbox.goOffline(this.companion, this);
    this.#sandbox.journal.append({ kind: 'logout', account: this.companion.number, device: this.companion.device });
  }
}
