/**
 * Labels of a business account: listed, put on chats and taken off. Whatsapp-web.js makes none, and knows none of messages.
 * What names the page runs inside it: each function is sent as its text and may use nothing but its arguments.
 */
import { ActionError } from '../../protocol.ts';
import type { Handler } from './ask.ts';

export interface Label {
  label_id: string;
  name: string;
  /** One of WhatsApp's twenty; null when the page does not tell. */
  color: number | null;
}

/** What the account's devices did with a label, or with a chat's. */
export interface LabelChange extends Partial<Label> {
  label_id: string;
  change: 'put' | 'delete' | 'add' | 'remove';
  /** The jid of the chat that has it now, or has it no longer. */
  chat?: string;
}

interface Wid {
  _serialized: string;
}

interface PageLabel {
  id: string | number;
  name?: string;
  colorIndex?: unknown;
}

interface PageChat {
  id: Wid;
  labels?: (string | number)[];
}

interface Window {
  require(name: 'WAWebCollections'): {
    Label?: {
      get(id: string): PageLabel | undefined;
      getModelsArray(): PageLabel[];
      on(events: string, listener: (label: PageLabel) => void): void;
      addOrRemoveLabels(actions: { id: string | number; type: 'add' | 'remove' }[], chats: PageChat[]): Promise<void>;
    };
    Chat: { getModelsArray(): PageChat[]; on(events: string, listener: (chat: PageChat) => void): void };
  };
  require(name: 'WAWebConnModel'): { Conn: { platform: string } };
  WWebJS: { getChat(id: string, how: { getAsModel: false }): Promise<PageChat> };
  pwwLabelled(change: LabelChange): void;
}

/** Tells how labels and the chats that have them change from now on, by whichever device. */
export function watchLabels(): void {
  const page = globalThis as unknown as Window;
  const { Label, Chat } = page.require('WAWebCollections');
  if (!Label) return;
  const read = ({ id, name, colorIndex }: PageLabel) => {
    return { label_id: String(id), name: name ?? '', color: Number.isInteger(colorIndex) ? Number(colorIndex) : null };
  };
  // A label's model changes with its count, too.
  const told = new Map(Label.getModelsArray().map((label) => [String(label.id), JSON.stringify(read(label))]));
  Label.on('add change', (label) => {
    const now = read(label);
    if (told.get(now.label_id) === JSON.stringify(now)) return;
    told.set(now.label_id, JSON.stringify(now));
    page.pwwLabelled({ ...now, change: 'put' });
  });
  Label.on('remove', ({ id }) => {
    told.delete(String(id));
    page.pwwLabelled({ label_id: String(id), change: 'delete' });
  });
  const of = ({ labels }: PageChat): string[] => (labels ?? []).map(String);
  const had = new Map(Chat.getModelsArray().map((chat) => [chat.id._serialized, of(chat)]));
  Chat.on('change:labels', (chat) => {
    const jid = chat.id._serialized;
    const [before, now] = [had.get(jid) ?? [], of(chat)];
    had.set(jid, now);
    for (const id of now) if (!before.includes(id)) page.pwwLabelled({ label_id: id, change: 'add', chat: jid });
    for (const id of before) if (!now.includes(id)) page.pwwLabelled({ label_id: id, change: 'remove', chat: jid });
  });
}

function labelsNow(): Label[] {
  const { Label } = (globalThis as unknown as Window).require('WAWebCollections');
  return (Label?.getModelsArray() ?? []).map(({ id, name, colorIndex }) => {
    return { label_id: String(id), name: name ?? '', color: Number.isInteger(colorIndex) ? Number(colorIndex) : null };
  });
}

/** As the library's `addOrRemoveLabels`, which sets all labels of a chat; false for a label that is not there. */
async function attach(id: string, jid: string, on: boolean): Promise<boolean> {
  const page = globalThis as unknown as Window;
  const { Label } = page.require('WAWebCollections');
  if (!['smba', 'smbi'].includes(page.require('WAWebConnModel').Conn.platform))
    throw new Error('WhatsApp refused it: the account is no WhatsApp Business');
  const label = Label?.getModelsArray().find((each) => String(each.id) === id);
  if (!Label || !label) return false;
  const chat = await page.WWebJS.getChat(jid, { getAsModel: false });
  if ((chat.labels ?? []).map(String).includes(id) !== on)
    await Label.addOrRemoveLabels([{ id: label.id, type: on ? 'add' : 'remove' }], [chat]);
  return true;
}

const attaching =
  (on: boolean): Handler =>
  async ({ page, content, chat }) => {
    if (content.message_id) throw new ActionError('E_UNSUPPORTED_TYPE', 'message_labels');
    if (!(await page.evaluate(attach, String(content.label_id ?? ''), await chat(), on)))
      throw new ActionError('E_LABEL_NOT_FOUND');
  };

export const LABELS: Readonly<Record<string, Handler>> = {
  'label.list': ({ page }) => page.evaluate(labelsNow),
  'label.add': attaching(true),
  'label.remove': attaching(false),
};
