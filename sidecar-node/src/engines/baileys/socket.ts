/** Makes one Baileys socket with its injected parts, its gate and its taps in place. */
import type { Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import makeWASocket, {
  type AuthenticationCreds,
  type BaileysEventMap,
  type BinaryNode,
  type UserFacingSocketConfig,
  type WASocket,
} from 'baileys';
import type { WebSocket } from 'ws';
import { baileysLogger } from '../../logs.ts';
import type { Config, Settings } from '../../protocol.ts';
import type { Link } from '../port.ts';
import type { Acks } from './acks.ts';
import { BoundedCache, Groups, type SentMessages } from './caches.ts';
import type { OutputGate } from './gate.ts';
import { wantedHistory } from './history.ts';
import type { KeyStore } from './keys.ts';
import { type ProxyAgent, proxyAgent } from './proxies.ts';

const MINUTE = 60_000;
const FAREWELL_MS = 250;
const LINGER_MS = 2_000;
/** Longer than any of Baileys' own query timeouts. */
const HANDLING_MS = 120_000;
/** Stanzas of one kind handled before other sessions get their turn. */
const YIELD_EVERY = 8;
/** Stanzas that WhatsApp delivers again until they are acknowledged. */
const ACKNOWLEDGED = ['message', 'receipt', 'notification', 'call'];

export type Tap = <E extends keyof BaileysEventMap>(event: E, data: BaileysEventMap[E]) => void;

export interface Parts {
  config: Config;
  settings: Settings;
  link: Link;
  creds: AuthenticationCreds;
  keys: KeyStore;
  sent: SentMessages;
  gate: OutputGate;
  acks: Acks;
  proxy: ProxyAgent | undefined;
  /** Every event of Baileys, in order and unfolded, at the moment it is made. */
  tap: Tap;
  /** A stanza from WhatsApp that must be acknowledged; `run` is Baileys' handling of it, to the end: `begun` is called when its turn has come. */
  handle(node: BinaryNode, run: (begun: () => void) => Promise<void>): Promise<void>;
  /** Baileys' handling of such a stanza will never end. */
  stuck(tag: string): void;
  /** Ownership lapsed: the session ends here. */
  lapsed(): void;
}

/** An `iq` that hands something to the server which must be durable here first. */
function needsDurable(node: BinaryNode): 'pre-key' | 'creds' | undefined {
  const child = Array.isArray(node.content) ? node.content[0]?.tag : undefined;
  if (child === 'pair-device-sign') return 'creds';
  return node.attrs.xmlns === 'encrypt' && node.attrs.type === 'set' ? 'pre-key' : undefined;
}

/** Writes of one turn of the loop (the acks of a batch, mostly) leave together. */
function makeCork(raw: () => WebSocket | undefined): () => void {
  let corked = false;
  return () => {
    const stream = (raw() as unknown as { _socket?: Socket } | undefined)?._socket;
    if (corked || !stream) return;
    corked = true;
    stream.cork();
    setImmediate(() => {
      corked = false;
      stream.uncork();
    });
  };
}

/** Decides when a stanza made by Baileys really leaves. Resolves at once for a held one: Baileys awaits its sends. */
function outgoing({ gate, link, acks, lapsed }: Parts, cork: () => void) {
  return async (node: BinaryNode, transmit: (node: BinaryNode) => Promise<void>): Promise<void> => {
    if (!link.owned()) {
      // At once: Baileys drops the message whose receipt cannot leave, and its keys must not become durable without it.
      lapsed();
      throw new Error('ownership lapsed');
    }
    if (node.tag === 'iq') {
      const kind = needsDurable(node);
      if (kind) await gate.durable(kind);
      cork();
      return transmit(node);
    }
    let direct: Promise<void> | undefined;
    const send = (): void => {
      if (!link.owned()) return;
      if (node.tag === 'message') acks.departed(node.attrs.id ?? '');
      cork();
      direct = transmit(node);
      direct.catch(() => {});
    };
    if (gate.pass(node, send)) return;
    return direct;
  };
}

function socketConfig(parts: Parts, raw: () => WebSocket | undefined, groups: Groups): UserFacingSocketConfig {
  const { config, settings, creds, keys, sent, link, proxy } = parts;
  // Of its own, so that the link's agent tells how the link fared.
  const files = settings.proxy ? proxyAgent(settings.proxy, true) : undefined;
  const wanted = {
    ...(config.whatsapp_url ? { waWebSocketUrl: config.whatsapp_url } : {}),
    ...(settings.browser ? { browser: settings.browser } : {}),
    ...(proxy ? { agent: proxy, fetchAgent: files, options: { dispatcher: files } } : {}),
    auth: { creds, keys },
    logger: baileysLogger((level, event, fields) => link.log(level, event, fields)),
    markOnlineOnConnect: settings.mark_online ?? false,
    syncFullHistory: settings.history ?? false,
    shouldSyncHistoryMessage: wantedHistory(settings),
    emitOwnEvents: false,
    generateHighQualityLinkPreview: false,
    getMessage: async ({ id }: { id?: string | null }) => (id ? sent.get(id) : undefined),
    transactionOpts: { maxCommitRetries: 1, delayBetweenTriesMs: 0 },
    msgRetryCounterCache: new BoundedCache(512, 60 * MINUTE),
    // Changes are notified while connected, and each refresh costs a new key bundle and session for every device.
    userDevicesCache: new BoundedCache(1024, 60 * MINUTE),
    cachedGroupMetadata: (jid: string) => groups.metadata(jid),
    callOfferCache: new BoundedCache(32, 5 * MINUTE),
    placeholderResendCache: new BoundedCache(128, 60 * MINUTE),
    outgoing: outgoing(parts, makeCork(raw)),
  };
  return wanted as unknown as UserFacingSocketConfig;
}

/** What Baileys' event buffer would fold or delay; nobody inside Baileys listens to these. */
const BUFFERED = new Set<keyof BaileysEventMap>([
  'messaging-history.set',
  'chats.upsert',
  'chats.update',
  'chats.delete',
  'contacts.upsert',
  'contacts.update',
  'messages.upsert',
  'messages.update',
  'messages.delete',
  'messages.reaction',
  'message-receipt.update',
  'groups.update',
]);

function tapEvents(socket: WASocket, tap: Tap): void {
  const emit = socket.ev.emit.bind(socket.ev);
  socket.ev.emit = (event, data) => {
    const done = BUFFERED.has(event) ? true : emit(event, data);
    tap(event, data);
    return done;
  };
}

/** A stanza's attributes as Baileys handles them well. */
function plainAttrs({ offline: _, ...attrs }: Record<string, string>): Record<string, string> {
  // Without `offline`: Baileys' own queue for such stanzas tells nobody when it is done, so they go the online way.
  const { sender_pn: ownPn, sender_lid: ownLid, ...rest } = attrs;
  if (!attrs.recipient || (ownPn ?? ownLid) === undefined) return attrs;
  // On what our other devices say, these are our own; Baileys would store them as the other address of the chat.
  const { recipient_pn: pn, recipient_lid: lid } = rest;
  return { ...(pn ? { peer_recipient_pn: pn } : {}), ...(lid ? { peer_recipient_lid: lid } : {}), ...rest };
}

/**
 * Knows the end of Baileys' handling (its own listeners' promises) and keeps the order: one stanza of a kind after
 * another. Left alone, a contact's second message overtakes the first, whose new address is being stored.
 */
function wrapHandlers(socket: WASocket, { handle, stuck }: Parts): void {
  for (const tag of ACKNOWLEDGED) {
    const event = `CB:${tag}`;
    let tail: Promise<void> = Promise.resolve();
    let handled = 0;
    const listeners = socket.ws.listeners(event) as ((node: BinaryNode) => Promise<void>)[];
    socket.ws.removeAllListeners(event);
    socket.ws.on(event, (node: BinaryNode) => {
      const plain = { ...node, attrs: plainAttrs(node.attrs) };
      const run = async (): Promise<void> => {
        if (++handled % YIELD_EVERY === 0) await nextTurn();
        const timer = setTimeout(() => stuck(tag), HANDLING_MS).unref();
        for (const listener of listeners) if (socket.ws.isOpen) await listener(plain);
        clearTimeout(timer);
      };
      void handle(node, (begun) => {
        const turn = (): Promise<void> => {
          begun();
          return run();
        };
        tail = tail.then(turn, turn);
        return tail;
      });
    });
  }
}

/** Baileys awaits the server's farewell before it reports an end, for up to half a minute: it gets a moment. */
function hastenClose(socket: WASocket): void {
  const raw = rawSocket(socket);
  if (!raw) return;
  const close = raw.close.bind(raw);
  raw.close = () => {
    close();
    setTimeout(() => raw.terminate(), FAREWELL_MS).unref();
  };
}

/** The `ws` inside Baileys' client. */
export function rawSocket(socket: WASocket): WebSocket | undefined {
  return (socket.ws as unknown as { socket?: WebSocket | null }).socket ?? undefined;
}

/** What `fetch` is to be given, for files of a session with a proxy. */
export function throughProxy(socket: WASocket): { dispatcher?: unknown } {
  const { config } = socket.ws as unknown as { config: { fetchAgent?: unknown } };
  return config.fetchAgent ? { dispatcher: config.fetchAgent } : {};
}

/**
 * Lets go of a closed socket. Baileys leaves its queries waiting for a minute; and what was under way still fills its
 * address caches after they were emptied, each entry with a timer of three days that keeps the whole socket.
 */
export function release(socket: WASocket): void {
  if (socket.ws.listenerCount('error') > 0) socket.ws.emit('error', new Error('Connection Closed'));
  setTimeout(() => socket.signalRepository.close?.(), LINGER_MS).unref();
}

/**
 * Baileys keeps each sent message for five minutes, with a timer that keeps the keys it was encrypted with too: 25 KB a
 * text. `getMessage` answers the same retries from what is stored.
 */
function keepNoSent(socket: WASocket): void {
  if (socket.messageRetryManager) socket.messageRetryManager.addRecentMessage = () => {};
}

export function makeSocket(parts: Parts): WASocket {
  const groups = new Groups((jid) => socket.groupMetadata(jid));
  const socket: WASocket = makeWASocket(socketConfig(parts, () => rawSocket(socket), groups));
  tapEvents(socket, (event, data) => {
    groups.take(event, data);
    parts.tap(event, data);
  });
  wrapHandlers(socket, parts);
  hastenClose(socket);
  keepNoSent(socket);
  return socket;
}
