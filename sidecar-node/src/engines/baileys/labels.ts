/**
 * Labels of a business account, which its devices share as encrypted state: made, changed and deleted; put on chats and
 * messages. The state is told once, so what is known of each label is kept beside the session's keys.
 */
import {
  type BaileysEventMap,
  type ChatModification,
  chatModificationToAppPatch,
  type WAPatchCreate,
  type WASocket,
} from 'baileys';
import { ActionError, type Content } from '../../protocol.ts';
import type { Ask, Handler } from './ask.ts';
import { changeState, hasKey } from './chats.ts';
import type { KeyStore } from './keys.ts';

const COLLECTION = 'regular';
const KIND = 'label';
const BOOK = 'book';
/** WhatsApp's own labels (new customer, new order …) come first. */
const PREDEFINED = 5;

interface Known {
  name: string;
  color: number;
  predefined?: number;
  deleted?: boolean;
}

/** `synced`: the account's labels were read once, from the first on. */
interface Book {
  synced: boolean;
  labels: Record<string, Known>;
}

export interface Label {
  label_id: string;
  name: string;
  color: number;
}

type Edit = BaileysEventMap['labels.edit'];
type Association = BaileysEventMap['labels.association'];

const told = (label_id: string, { name, color }: Known): Label => ({ label_id, name, color });

export class Labels {
  #keys: KeyStore;
  #tail: Promise<void> = Promise.resolve();
  #turn: Promise<unknown> = Promise.resolve();

  constructor(keys: KeyStore) {
    this.#keys = keys;
  }

  /** Learns what a device of the account did; its row travels behind the event that tells it. */
  learn({ id, name, color, deleted, predefinedId }: Edit): Promise<void> {
    const predefined = Number(predefinedId) || undefined;
    return this.#change((book) => {
      const before = book.labels[id];
      book.labels[id] = {
        name: name || before?.name || '',
        color: color ?? before?.color ?? 0,
        ...(predefined === undefined ? {} : { predefined }),
        ...(deleted ? { deleted } : {}),
      };
    });
  }

  /** One change of ours at a time: two new labels must not get one id. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.catch(() => {}).then(work);
    this.#turn = turn;
    return turn;
  }

  /** One after the other: each begins with what the one before it left. */
  #change(change: (book: Book) => void): Promise<void> {
    this.#tail = this.#tail
      .catch(() => {})
      .then(async () => {
        const book = await this.#read();
        change(book);
        await this.#keys.set({ [KIND]: { [BOOK]: book } } as never);
      });
    return this.#tail;
  }

  async #read(): Promise<Book> {
    const found = (await this.#keys.get(KIND as never, [BOOK])) as Record<string, Book | undefined>;
    return structuredClone(found[BOOK]) ?? { synced: false, labels: {} };
  }

  /** All that were ever known, as they are now: what other devices did lately is fetched first. */
  async current(socket: WASocket): Promise<Record<string, Known>> {
    await hasKey(socket);
    const { synced } = await this.#read();
    // From the first on, and again if a crash came between the state and its events.
    if (!synced) await socket.authState.keys.set({ 'app-state-sync-version': { [COLLECTION]: null } });
    await socket.resyncAppState([COLLECTION], false);
    await this.#change((book) => {
      book.synced = true;
    });
    return (await this.#read()).labels;
  }
}

/** What an event `label` tells of an edit. */
export function labelOf({ id, name, color, deleted }: Edit): Record<string, unknown> {
  return { label_id: id, change: deleted ? 'delete' : 'put', name: name || null, color: color ?? null };
}

/** What it tells of a label that was put on something, or taken off; the chat stands beside it. */
export function associationOf({ type, association }: Association): Record<string, unknown> {
  const message = 'messageId' in association ? association.messageId : null;
  return { label_id: association.labelId, change: type, message_id: message };
}

/** Baileys' words for a change, as the state's. */
const patch = (modification: object, jid = '') => chatModificationToAppPatch(modification as ChatModification, jid);

function known(labels: Record<string, Known>, content: Content): [id: string, label: Known] {
  const id = String(content.label_id ?? '');
  const found = Object.hasOwn(labels, id) ? labels[id] : undefined;
  if (!found || found.deleted) throw new ActionError('E_LABEL_NOT_FOUND');
  return [id, found];
}

const edit = (id: string, { name, color, predefined }: Known, deleted: boolean) =>
  patch({ addLabel: { id, name, color, deleted, ...(predefined ? { predefinedId: predefined } : {}) } });

const list: Handler = async ({ socket, labels }) => {
  const all = Object.entries(await labels.current(socket));
  return all.filter(([, label]) => !label.deleted).map(([id, label]) => told(id, label));
};

/** A change of the state, made of the labels as they are; with what is to be answered. */
const changing =
  (make: (labels: Record<string, Known>, ask: Ask) => { change: WAPatchCreate; answer?: Label }): Handler =>
  (ask) =>
    ask.labels.inTurn(async () => {
      const { change, answer } = make(await ask.labels.current(ask.socket), ask);
      await changeState(ask.socket, change);
      return answer;
    });

const put = changing((labels, { content }) => {
  const [id, before] = content.label_id ? known(labels, content) : [nextId(labels), { name: '', color: 0 }];
  const after = {
    ...before,
    ...(content.name ? { name: String(content.name) } : {}),
    ...(typeof content.color === 'number' ? { color: content.color } : {}),
  };
  return { change: edit(id, after, false), answer: told(id, after) };
});

const nextId = (labels: Record<string, Known>): string =>
  String(Math.max(PREDEFINED, ...Object.keys(labels).map((id) => Number(id) || 0)) + 1);

const remove = changing((labels, { content }) => ({ change: edit(...known(labels, content), true) }));

const attaching = (on: boolean): Handler =>
  changing((labels, { content, jid }) => {
    const [labelId] = known(labels, content);
    const what = `${on ? 'add' : 'remove'}${content.message_id ? 'Message' : 'Chat'}Label`;
    const about = { labelId, ...(content.message_id ? { messageId: String(content.message_id) } : {}) };
    return { change: patch({ [what]: about }, jid()) };
  });

export const LABELS: Readonly<Record<string, Handler>> = {
  'label.list': list,
  'label.put': put,
  'label.delete': remove,
  'label.add': attaching(true),
  'label.remove': attaching(false),
};
