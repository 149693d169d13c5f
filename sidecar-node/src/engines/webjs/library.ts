/** The part of whatsapp-web.js that is used here, with its types: its own declarations want those of a browser. */
import type { ChildProcess } from 'node:child_process';
import type { EventEmitter } from 'node:events';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

export interface Page {
  evaluate<T, A extends unknown[]>(work: (...given: A) => T, ...given: A): Promise<Awaited<T>>;
  exposeFunction(name: string, work: (...given: never[]) => void): Promise<void>;
  /** `error`: its process crashed. */
  on(event: 'framenavigated' | 'error', listener: () => void): unknown;
  isClosed(): boolean;
  url(): string;
}

export interface Browser {
  process(): ChildProcess | null;
  close(): Promise<void>;
  on(event: 'disconnected', listener: () => void): unknown;
}

/** A message key as it passes from the page. */
export interface Key {
  id: string;
  fromMe: boolean;
  remote: string;
  participant?: Jid;
  _serialized: string;
}

/** An address: the library gives it as text or as the page's object. */
export type Jid = string | { _serialized: string };

/** WhatsApp Web's own fields of a message. */
export interface Model extends Record<string, unknown> {
  id: Key;
  type: string;
  t: number;
  ack?: number;
  from: Jid;
  to: Jid;
  author?: Jid;
}

export interface Message {
  id: Key;
  ack: number;
  rawData: Model;
  edit(content: string, options?: Record<string, unknown>): Promise<Message | null>;
  delete(everyone: boolean): Promise<void>;
  star(): Promise<void>;
  unstar(): Promise<void>;
  pin(seconds: number): Promise<boolean>;
  unpin(): Promise<boolean>;
  vote(options: string[]): Promise<void>;
}

export interface Reaction {
  id: Key;
  msgId: Key;
  reaction: string;
  senderId: string;
  timestamp: number;
}

export interface Notification {
  id: Key;
  type: string;
  chatId: string;
  author?: string;
  timestamp: number;
  body: string;
  recipientIds: Jid[];
}

export interface Call {
  id: string;
  from?: Jid;
  isVideo: boolean;
}

export interface Channel {
  mute(): Promise<boolean>;
  unmute(): Promise<boolean>;
}

export interface MadeChannel {
  nid: { _serialized: string };
  inviteLink: string;
  /** In seconds. */
  createdAtTs: number;
}

export interface Client extends EventEmitter {
  options: { puppeteer: { userDataDir?: string } };
  info: { wid: { user: string }; pushname?: string };
  pupPage: Page | null;
  pupBrowser: Browser | null;
  initialize(): Promise<void>;
  destroy(): Promise<void>;
  logout(): Promise<void>;
  sendMessage(chat: string, content: unknown, options: Record<string, unknown>): Promise<Message | null | undefined>;
  sendReaction(key: string, emoji: string): Promise<void>;
  sendSeen(chat: string): Promise<boolean>;
  getMessageById(key: string): Promise<Message | null>;
  getNumberId(number: string): Promise<{ _serialized: string } | null>;
  getContactLidAndPhone(jids: string[]): Promise<{ lid?: string; pn?: string }[]>;
  sendPresenceAvailable(): Promise<void>;
  sendPresenceUnavailable(): Promise<void>;
  archiveChat(chat: string): Promise<boolean>;
  unarchiveChat(chat: string): Promise<boolean>;
  /** False when as many as may be are pinned. */
  pinChat(chat: string): Promise<boolean>;
  unpinChat(chat: string): Promise<boolean>;
  muteChat(chat: string, until?: Date): Promise<unknown>;
  unmuteChat(chat: string): Promise<unknown>;
  setStatus(about: string): Promise<void>;
  setDisplayName(name: string): Promise<boolean>;
  setProfilePicture(picture: unknown): Promise<boolean>;
  deleteProfilePicture(): Promise<boolean | undefined>;
  getProfilePicUrl(jid: string): Promise<string | undefined>;
  getChatById(id: string): Promise<Channel | undefined>;
  /** Text: what went wrong. */
  createChannel(name: string, options: { description: string | null }): Promise<MadeChannel | string>;
  subscribeToChannel(id: string): Promise<boolean>;
  unsubscribeFromChannel(id: string): Promise<boolean>;
  deleteChannel(id: string): Promise<boolean>;
  revokeStatusMessage(key: string): Promise<void>;
}

export interface Library {
  version: string;
  Client: new (options: Record<string, unknown>) => Client;
  LocalAuth: new (options: { dataPath: string; clientId?: string }) => unknown;
  MessageMedia: new (mimeType: string, base64: string, filename?: string | null, size?: number) => unknown;
  Location: new (latitude: number, longitude: number, about: { name?: string; address?: string }) => unknown;
  Poll: new (name: string, options: string[], more: { allowMultipleAnswers: boolean }) => unknown;
  ScheduledEvent: new (name: string, start: Date, about: Record<string, unknown>) => unknown;
}

/** Loads it; the first time costs a fifth of a second. */
export const loadLibrary = (): Library => require('whatsapp-web.js') as Library;

export const serialized = (jid: Jid | undefined): string => (typeof jid === 'object' ? jid._serialized : (jid ?? ''));
