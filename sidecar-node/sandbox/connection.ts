import { proto } from 'baileys/WAProto/index.js';
import type { WebSocket } from 'ws';
import { noteCall } from './calls.ts';
import { type Companion, companionJid, companionLid } from './companions.ts';
import { type DeviceConnection, nextConnectionId } from './device_connection.ts';
import { historyFor } from './history.ts';
import { log, logError } from './log.ts';
import { frameOf, NoiseResponder, PROLOGUE, type Transport } from './noise.ts';
import { answerQuery } from './queries.ts';
import type { QueuedStanza } from './queue.ts';
import type { Sandbox } from './sandbox.ts';
import { child, children, decodeNode, encodeNode, type Node, node, SERVER_JID, seconds } from './wire.ts';

/** Above this many unsent bytes, delivery waits for the socket instead of filling memory. */
const HIGH_WATER = 512 * 1024;
const BATCH = 64;
const CLOSE_TIMEOUT_MS = 2_000;

/** One client's WebSocket: handshake, login or registration, then stanzas both ways. */
export class Connection implements DeviceConnection {
  readonly id = nextConnectionId();
  readonly since = Date.now();
  companion: Companion | undefined;
  /** What a device that is not linked yet told about itself. */
  registration: proto.ClientPayload.IDevicePairingRegistrationData | undefined;
  noiseKey: Buffer | undefined;
  closed = false;
  readonly #sandbox: Sandbox;
  readonly #socket: WebSocket;
  #handshake: NoiseResponder | undefined;
  #transport: Transport | undefined;
  #inbox: Buffer = Buffer.alloc(0);
  #prologueSeen = false;
  #helloAnswered = false;
  #cursor = 0;
  #delivering = false;
  /** Something was queued while a delivery was about to end. */
  #deliverAgain = false;
  /** Set once the client asked for its stanzas; those up to here were queued while it was away. */
  #offlineUntil: number | undefined;
  #offlineSent = 0;
  #offlineDone = false;
  /** Rows that were delivered, by what will acknowledge them: many members' receipts for one group message look alike. */
  readonly #inFlight = new Map<string, number[]>();
  readonly #retried = new Set<string>();
  #messages: Promise<void> = Promise.resolve();
  #nextTag = 1;
  #lastDelayed = 0;
  #outbox: Buffer[] = [];
  #outboxBytes = 0;

  constructor(sandbox: Sandbox, socket: WebSocket) {
    this.#sandbox = sandbox;
    this.#socket = socket;
    this.#handshake = new NoiseResponder(sandbox.identity.staticKey, sandbox.identity.certificate);
    sandbox.connections.add(this);
    socket.on('message', (data) => this.#guard(() => this.#receive(data as Buffer)));
    socket.on('close', () => this.#ended());
    socket.on('error', () => socket.terminate());
  }

  get account(): string {
    return this.companion?.number ?? '';
  }

  tag(): string {
    return `${this.id}.${this.#nextTag++}`;
  }

  send(stanza: Node): void {
    this.#sendEncoded(encodeNode(stanza));
  }

  notify(type: string, attrs: Record<string, string>, content: Node[]): void {
    this.send(node('notification', { from: SERVER_JID, type, id: this.tag(), t: seconds(), ...attrs }, content));
  }

  /** Ends the stream as the server does: the error, then the end of the stream. */
  streamError(code: string | undefined, reason?: Node): void {
    this.send(node('stream:error', { code }, reason ? [reason] : undefined));
    this.end();
  }

  fail(reason: number): void {
    this.send(node('failure', { reason: String(reason), location: 'sandbox' }));
    this.end();
  }

  end(): void {
    // Frames held back by a 'slow' fault leave first.
    setTimeout(
      () => {
        this.#flush();
        this.#socket.close();
        // A client that does not answer the close must not stay half connected.
        setTimeout(() => this.#socket.terminate(), CLOSE_TIMEOUT_MS).unref();
      },
      Math.max(0, this.#lastDelayed - Date.now()),
    );
  }

  /** Ends the connection as a broken network does: what was about to leave is lost. */
  destroy(): void {
    this.#outbox = [];
    this.#socket.terminate();
  }

  freeze(milliseconds: number): void {
    this.#socket.pause();
    setTimeout(() => this.#socket.resume(), milliseconds).unref();
  }

  /** A client's message, receipt or ack settles what was delivered to it. True if it was waiting. */
  settle(kind: QueuedStanza['kind'], type: string, id: string): boolean {
    const key = `${kind}/${type}/${id}`;
    const rows = this.#inFlight.get(key);
    const seq = rows?.shift();
    if (seq === undefined) return false;
    if (rows?.length === 0) this.#inFlight.delete(key);
    return this.#sandbox.queue.remove(seq);
  }

  /** Baileys follows a retry receipt with a nack of the same id, which must not settle the message sent again. */
  expectNack(id: string): void {
    this.#inFlight.delete(`message//${id}`);
    this.#retried.add(id);
  }

  takeNack(id: string): boolean {
    return this.#retried.delete(id);
  }

  /** The client is ready for its stanzas. */
  startDelivery(): void {
    const { companion } = this;
    if (!companion || this.#offlineUntil !== undefined) return;
    this.#offlineUntil = this.#sandbox.queue.last();
    const { messages, receipts } = this.#sandbox.queue.counts(companion);
    if (messages + receipts > 0) {
      const preview = {
        count: String(messages + receipts),
        message: String(messages),
        receipt: String(receipts),
        notification: '0',
        appdata: '0',
      };
      this.send(node('ib', { from: SERVER_JID }, [node('offline_preview', preview)]));
    }
    this.deliver();
  }

  deliver(): void {
    if (this.#offlineUntil === undefined || this.closed) return;
    this.#deliverAgain = this.#delivering;
    if (this.#delivering) return;
    this.#delivering = true;
    this.#deliverAll()
      .catch((error: unknown) => logError('delivery', error))
      .finally(() => {
        this.#delivering = false;
        if (this.#deliverAgain) this.deliver();
      });
  }

  async #deliverAll(): Promise<void> {
    const { companion } = this;
    if (!companion) return;
    while (!this.closed) {
      const batch = this.#sandbox.queue.after(companion, this.#cursor, BATCH);
      if (batch.length === 0) break;
      for (const queued of batch) this.#deliverOne(companion, queued);
      while (this.#socket.bufferedAmount + this.#outboxBytes > HIGH_WATER && !this.closed)
        await new Promise((resolve) => setTimeout(resolve, 5));
    }
    if (this.#offlineDone || this.closed) return;
    this.#offlineDone = true;
    this.send(node('ib', { from: SERVER_JID }, [node('offline', { count: String(this.#offlineSent) })]));
    await this.#sandbox.phones.shareStateKey(companion);
    if (companion.isNew) {
      companion.isNew = false;
      this.#sandbox.companions.save(companion);
      if (!this.#sandbox.options.history) return;
      for (const part of historyFor(this.#sandbox, companion)) await this.#sandbox.phones.sendPeer(companion, part);
    }
  }

  #deliverOne(companion: Companion, queued: QueuedStanza): void {
    this.#cursor = queued.seq;
    const key = `${queued.kind}/${queued.type}/${queued.id}`;
    const rows = this.#inFlight.get(key);
    if (rows) rows.push(queued.seq);
    else this.#inFlight.set(key, [queued.seq]);
    let encoded = queued.stanza;
    if (!this.#offlineDone && queued.seq <= (this.#offlineUntil ?? 0)) {
      const stanza = decodeNode(Buffer.from(encoded));
      stanza.attrs.offline = String(this.#offlineSent++);
      encoded = encodeNode(stanza);
    }
    this.#sendEncoded(encoded);
    if (
      queued.kind === 'message' &&
      queued.type !== 'peer' &&
      this.#sandbox.faults.take('duplicate_delivery', companion.number)
    )
      this.#sendEncoded(encoded);
  }

  #sendEncoded(encoded: Uint8Array): void {
    if (this.closed || !this.#transport) return;
    const frame = this.#transport.encryptFrame(encoded);
    const slow = this.#sandbox.faults.peek('slow', this.account);
    const now = Date.now();
    if (!slow && this.#lastDelayed <= now) {
      this.#write(frame);
      return;
    }
    // Noise counts frames: a delayed one must not be overtaken.
    this.#lastDelayed = Math.max(this.#lastDelayed, now + (slow?.delayMs ?? 0));
    setTimeout(() => this.#write(frame), this.#lastDelayed - now);
  }

  /** Frames of one turn leave in one WebSocket message: an ack and its receipts cost one write instead of three. */
  #write(frame: Buffer): void {
    this.#outbox.push(frame);
    this.#outboxBytes += frame.length;
    if (this.#outbox.length === 1) setImmediate(() => this.#flush());
  }

  #flush(): void {
    const frames = this.#outbox;
    this.#outbox = [];
    this.#outboxBytes = 0;
    const [only] = frames;
    if (only && !this.closed) this.#socket.send(frames.length === 1 ? only : Buffer.concat(frames));
  }

  #receive(data: Buffer): void {
    this.#inbox = this.#inbox.length === 0 ? data : Buffer.concat([this.#inbox, data]);
    if (!this.#prologueSeen && !this.#readPrologue()) return;
    while (this.#inbox.length >= 3) {
      const length = this.#inbox.readUIntBE(0, 3);
      if (this.#inbox.length < length + 3) return;
      const frame = this.#inbox.subarray(3, length + 3);
      this.#inbox = this.#inbox.subarray(length + 3);
      if (this.#transport) this.#dispatch(decodeNode(this.#transport.decrypt(frame)));
      else this.#shakeHands(frame);
    }
  }

  /** The prologue, perhaps behind routing information: 'ED', 0, 1, a 3-byte length, that many bytes. */
  #readPrologue(): boolean {
    let offset = 0;
    if (this.#inbox.subarray(0, 2).equals(Buffer.from('ED'))) {
      if (this.#inbox.length < 7) return false;
      offset = 7 + this.#inbox.readUIntBE(4, 3);
    }
    if (this.#inbox.length < offset + PROLOGUE.length) return false;
    if (!this.#inbox.subarray(offset, offset + PROLOGUE.length).equals(PROLOGUE))
      throw new Error('the connection does not begin as WhatsApp does');
    this.#inbox = this.#inbox.subarray(offset + PROLOGUE.length);
    this.#prologueSeen = true;
    return true;
  }

  #shakeHands(frame: Buffer): void {
    const handshake = this.#handshake;
    if (!handshake) return;
    if (!this.#helloAnswered) {
      this.#helloAnswered = true;
      this.#socket.send(frameOf(handshake.answer(frame)));
      return;
    }
    const { staticKey, payload, transport } = handshake.finish(frame);
    this.#handshake = undefined;
    this.#transport = transport;
    this.noiseKey = staticKey;
    const client = proto.ClientPayload.decode(payload);
    if (client.devicePairingData) {
      this.registration = client.devicePairingData;
      this.#sandbox.pairing.offer(this);
    } else {
      this.#logIn(String(client.username ?? ''), client.device ?? 0);
    }
  }

  #logIn(number: string, device: number): void {
    const { faults, companions, journal } = this.#sandbox;
    if (faults.take('refuse_connect', number)) return this.destroy();
    const banned = faults.take('banned', number);
    if (banned) return this.fail(banned.code);
    const unavailable = faults.take('unavailable', number);
    if (unavailable) return this.fail(unavailable.code);
    const companion = companions.find(number, device);
    if (!companion || !this.noiseKey?.equals(companion.noiseKey)) return this.fail(401);
    this.companion = companion;
    const previous = this.#sandbox.goOnline(companion, this);
    previous?.streamError(undefined, node('conflict', { type: 'replaced' }));
    journal.append({ kind: 'login', account: number, device });
    this.send(
      node('success', {
        t: seconds(),
        props: '1',
        companion_enc_static: '',
        abprops: '1',
        group_abprops: '1',
        location: 'sandbox',
        lid: companionLid(companion),
      }),
    );
  }

  #dispatch(stanza: Node): void {
    const { companion } = this;
    if (stanza.tag === 'iq') {
      if (stanza.attrs.type === 'result' || stanza.attrs.type === 'error') this.#sandbox.pairing.answered(this, stanza);
      else answerQuery(this.#sandbox, this, stanza);
    } else if (companion) {
      this.#dispatchFrom(companion, stanza);
    } else if (stanza.tag !== 'ib' && stanza.tag !== 'presence') {
      // Those two a device sends right after linking, before it reconnects; there is nobody to tell.
      this.#sandbox.countUnhandled(`${stanza.tag} before login`);
    }
  }

  #dispatchFrom(companion: Companion, stanza: Node): void {
    const { relay, journal } = this.#sandbox;
    switch (stanza.tag) {
      case 'message': {
        const position = journal.position(companion.number);
        // One after the other: Signal's order within a chat is the order on the wire.
        this.#messages = this.#messages
          .then(() => relay.message(this, companion, stanza, position))
          .catch((error: unknown) => logError('message', error));
        break;
      }
      case 'receipt':
        this.#guard(() => relay.receipt(this, companion, stanza));
        break;
      case 'ack':
        relay.ack(this, companion, stanza);
        break;
      case 'presence':
      case 'chatstate':
        relay.presence(companion, stanza);
        break;
      case 'call':
      case 'notification':
        if (stanza.tag === 'call') noteCall(this.#sandbox, companion.number, stanza);
        this.send(node('ack', { class: stanza.tag, id: stanza.attrs.id, from: stanza.attrs.to ?? SERVER_JID }));
        break;
      default:
        if (child(stanza, 'unified_session') || child(stanza, 'offline_batch')) break;
        this.#sandbox.countUnhandled(`${stanza.tag} ${children(stanza)[0]?.tag ?? ''}`.trim());
    }
  }

  /** A client that breaks the protocol loses its connection, nobody else's. */
  #guard(work: () => void | Promise<void>): void {
    try {
      void Promise.resolve(work()).catch((error: unknown) => logError('connection', error));
    } catch (error) {
      logError('connection', error);
      this.destroy();
    }
  }

  #ended(): void {
    if (this.closed) return;
    this.closed = true;
    this.#sandbox.connections.delete(this);
    this.#sandbox.pairing.withdraw(this);
    if (this.companion) {
      this.#sandbox.goOffline(this.companion, this);
      this.#sandbox.journal.append({ kind: 'logout', account: this.companion.number, device: this.companion.device });
      log('disconnected', { connection: this.id, device: companionJid(this.companion).replace(/^\d+/, '…') });
    }
  }
}
