/** One WhatsApp account on Baileys, from `open` to `closed`. It never reconnects: the worker decides. */

import { setTimeout as delay } from 'node:timers/promises';
import {
  type AuthenticationCreds,
  type BaileysEventMap,
  type BinaryNode,
  type ConnectionState,
  initAuthCreds,
  jidDecode,
  type WASocket,
} from 'baileys';
import { errorText } from '../../logs.ts';
import type { ActFrame, Closed, Config, How, OpenFrame, Pairing, Row, Settings } from '../../protocol.ts';
import { Answers } from '../answers.ts';
import type { EngineSession, Link, SessionStats } from '../port.ts';
import { Acks } from './acks.ts';
import { Actions } from './actions.ts';
import { Asks } from './asks.ts';
import { Audiences } from './audiences.ts';
import { BoundedCache, SentMessages } from './caches.ts';
import { closedBy } from './closing.ts';
import { OutputGate } from './gate.ts';
import { otherJid, readHistory } from './history.ts';
import { Inbound } from './inbound.ts';
import { decodeCreds, encodeCreds, KeyStore } from './keys.ts';
import { Labels } from './labels.ts';
import { type ProxyAgent, proxyAgent } from './proxies.ts';
import { makeSocket, rawSocket, release } from './socket.ts';

/** How long a stop waits for units to be committed and held frames to leave, in milliseconds. */
const DRAIN_MS = 500;
const LOGOUT_MS = 3_000;
const AUTHORS_MS = 24 * 60 * 60_000;
const FIRST_QR_MS = 60_000;
const NEXT_QR_MS = 20_000;
/** Six QR references pass before WhatsApp ends the pairing. */
const CODE_MS = 160_000;

export class BaileysSession implements EngineSession {
  #link: Link;
  #creds: AuthenticationCreds;
  #pairing: Pairing | null;
  #gate: OutputGate;
  #keys: KeyStore;
  #acks = new Acks();
  #inbound: Inbound;
  #actions: Actions;
  #asks: Asks;
  #proxy: ProxyAgent | undefined;
  #socket: WASocket;
  #answers: Answers;
  #attempt = 0;
  #codeAsked = false;
  #lastFrameAt = Date.now();
  #pausedBy = { gate: false, worker: false };
  #closing: Closed | undefined;
  #closed = false;

  constructor(frame: OpenFrame, link: Link, config: Config) {
    const settings: Settings = frame.settings ?? {};
    this.#link = link;
    this.#answers = new Answers(link);
    this.#pairing = frame.pairing ?? null;
    this.#creds = frame.creds ? decodeCreds(frame.creds) : initAuthCreds();
    this.#gate = new OutputGate({
      credit: link.credit,
      emitKeys: (rows, creds) => this.#emitKeys(rows, creds),
      pause: (paused) => this.#pause('gate', paused),
    });
    this.#keys = new KeyStore(link, this.#gate, (error) =>
      this.destroy({ reason: 'engine_error', detail: errorText(error) }),
    );
    const sent = new SentMessages(this.#keys);
    const authors = new BoundedCache(512, AUTHORS_MS);
    const labels = new Labels(this.#keys);
    this.#inbound = new Inbound(
      {
        event: (kind, data) => this.#gate.emitted(link.event(kind, data)),
        passing: (kind, data) => link.passing(kind, data),
        numberOf: (lid) => this.#socket.signalRepository.lidMapping.getPNForLID(lid),
        me: () => ({ id: this.#creds.me?.id, lid: this.#creds.me?.lid }),
        otherJid: (jid) => otherJid(this.#socket, jid),
        read: (notification) => readHistory(this.#socket, notification),
        labels,
      },
      sent,
      authors,
      settings,
    );
    const secure = !config.whatsapp_url?.startsWith('ws:');
    this.#proxy = settings.proxy ? proxyAgent(settings.proxy, secure) : undefined;
    this.#socket = makeSocket({
      config,
      settings,
      link,
      sent,
      creds: this.#creds,
      keys: this.#keys,
      gate: this.#gate,
      acks: this.#acks,
      proxy: this.#proxy,
      tap: (event, data) => this.#tap(event, data),
      handle: (node, run) => this.#handle(node, run),
      lapsed: () => this.destroy({ reason: 'lease_lapsed' }),
      stuck: (tag) => this.destroy({ reason: 'engine_error', detail: `handling of a ${tag} never ended` }),
    });
    const remembered = { authors, audiences: new Audiences(this.#keys) };
    this.#actions = new Actions(this.#socket, sent, this.#acks, remembered, link);
    this.#asks = new Asks(this.#socket, { histories: this.#inbound.histories, labels });
    this.#listen();
    link.state('connecting');
  }

  #listen(): void {
    const { ws } = this.#socket;
    ws.on('CB:ack,class:message', ({ attrs }: BinaryNode) => {
      // A nack that no send waits for any more is told as a status.
      if (!this.#acks.received(attrs) && attrs.error && attrs.id && !this.#inbound.histories.refused(attrs))
        this.#inbound.status(attrs.from, [attrs.id], 'failed', Date.now());
    });
    ws.on('frame', () => {
      this.#lastFrameAt = Date.now();
    });
    // A socket that is still connecting ignores a pause.
    ws.on('open', () => this.#applyPause());
  }

  #emitKeys(rows: Row[], creds: boolean): number {
    // Until the phone has signed this device there is nothing worth keeping: a half-paired record could not log in.
    const record = creds && this.#creds.account ? encodeCreds(this.#creds) : undefined;
    const unit = this.#link.keysSet(record, rows);
    this.#keys.emitted(unit, rows);
    return unit;
  }

  #tap<E extends keyof BaileysEventMap>(event: E, data: BaileysEventMap[E]): void {
    if (this.#closed) return;
    try {
      if (event === 'creds.update') {
        if (this.#creds.account) this.#gate.write([], true);
      } else if (event === 'connection.update') this.#connection(data as Partial<ConnectionState>);
      else this.#inbound.take(event, data);
    } catch (error) {
      // An event that cannot be told must not be acknowledged either: the stanza comes again after a reopen.
      this.destroy({ reason: 'engine_error', detail: errorText(error) });
    }
  }

  async #handle(node: BinaryNode, run: (begun: () => void) => Promise<void>): Promise<void> {
    const stanza = this.#gate.arrive();
    let end: (() => Promise<void>) | undefined;
    try {
      await run(() => {
        end = this.#inbound.begin(node);
      });
    } catch (error) {
      this.#link.log('error', 'handling_failed', { stanza: node.tag, error: errorText(error) });
    } finally {
      await end?.();
      this.#gate.handled(stanza);
    }
  }

  #connection(update: Partial<ConnectionState>): void {
    if (update.qr) this.#pair(update.qr);
    if (update.connection === 'open') this.#opened();
    if (update.connection === 'close')
      this.#finish(this.#closing ?? closedBy(update.lastDisconnect?.error, this.#proxy?.failure));
  }

  #pair(qr: string): void {
    if (this.#pairing?.method === 'code') return this.#askCode(this.#pairing);
    this.#attempt++;
    const life = this.#attempt === 1 ? FIRST_QR_MS : NEXT_QR_MS;
    this.#link.state('qr', { code: qr, expires_at: Date.now() + life, attempt: this.#attempt });
  }

  #askCode({ phone_number: number = '', code }: Pairing): void {
    if (this.#codeAsked) return;
    this.#codeAsked = true;
    this.#socket.requestPairingCode(number.replace(/\D/g, ''), code).then(
      (made) => this.#link.state('pairing_code', { code: made, expires_at: Date.now() + CODE_MS }),
      (error: unknown) => this.destroy({ reason: 'engine_error', detail: errorText(error) }),
    );
  }

  #opened(): void {
    const { me } = this.#creds;
    this.#gate.flush();
    const number = jidDecode(me?.id)?.user;
    this.#link.state('open', {
      me: {
        pn: number ? `+${number}` : null,
        lid: jidDecode(me?.lid)?.user ?? null,
        ...(me?.name ? { name: me.name } : {}),
      },
    });
  }

  act(frame: ActFrame): void {
    this.#answers.give(frame.ref, this.#asks.run(frame) ?? this.#actions.run(frame));
  }

  committed(unit: number): void {
    this.#keys.committed(unit);
    this.#gate.committed(unit);
  }

  #pause(by: 'gate' | 'worker', paused: boolean): void {
    this.#pausedBy[by] = paused;
    this.#applyPause();
  }

  #applyPause(): void {
    const socket = rawSocket(this.#socket);
    if (this.#pausedBy.gate || this.#pausedBy.worker) socket?.pause();
    else if (socket?.isPaused) socket.resume();
  }

  press(blocked: boolean): void {
    this.#pause('worker', blocked);
  }

  close(how: How): void {
    if (this.#closing) return;
    this.#closing = { reason: how === 'logout' ? 'logged_out' : 'stopped' };
    this.#actions.stop();
    this.#windDown(how)
      .catch(() => {})
      .finally(() => this.destroy(this.#closing as Closed));
  }

  async #windDown(how: How): Promise<void> {
    if (how === 'logout') await this.#unlink();
    if (how !== 'stop') return;
    const limit = new AbortController();
    await Promise.race([this.#gate.whenIdle(), delay(DRAIN_MS, undefined, { signal: limit.signal })]);
    limit.abort();
  }

  async #unlink(): Promise<void> {
    const jid = this.#creds.me?.id;
    if (!jid || !this.#socket.ws.isOpen) return;
    const attrs = { to: 's.whatsapp.net', type: 'set', xmlns: 'md' };
    const content = [{ tag: 'remove-companion-device', attrs: { jid, reason: 'user_initiated' } }];
    await this.#socket.query({ tag: 'iq', attrs, content }, LOGOUT_MS);
  }

  destroy(closed: Closed): void {
    if (this.#closed) return;
    this.#closing = closed;
    this.#finish(closed);
    this.#drop();
  }

  /** The one way out: what is due leaves as units, then `closed`; the rest is dropped. */
  #finish(closed: Closed): void {
    if (this.#closed) return;
    this.#closed = true;
    if (closed.reason !== 'lease_lapsed') this.#gate.flush();
    this.#gate.close();
    this.#actions.stop();
    this.#acks.close();
    // What waited for an ack is answered first, by microtasks.
    setImmediate(() => {
      this.#answers.end();
      this.#link.closed(closed);
      release(this.#socket);
    });
  }

  #drop(): void {
    // `end` waits for the server's farewell; without this the descriptor would live for half a minute.
    rawSocket(this.#socket)?.terminate();
    this.#socket.end(undefined).catch(() => {});
  }

  stats(): SessionStats {
    return {
      held_frames: this.#gate.heldFrames,
      uncommitted: this.#gate.uncommitted,
      last_frame_at: this.#lastFrameAt,
    };
  }
}
