import { proto } from 'baileys/WAProto/index.js';
import { unwrap } from './content.ts';
import type { JournalRow } from './journal.ts';
import { Refusal } from './refusal.ts';
import type { Sandbox } from './sandbox.ts';
import { contactView } from './views.ts';

const PROTOCOL = proto.Message.ProtocolMessage.Type;
const CHATS_SHOWN = 200;
/** Of the newest entries that a chat is drawn from. */
const ENTRIES_READ = 1000;
const MESSAGES_SHOWN = 200;
const SEEN: ReadonlySet<string> = new Set(['read', 'played']);

/** A message as the contact's phone shows it. */
interface Bubble {
  readonly id: string;
  readonly at: string;
  /** The contact wrote it. */
  readonly own: boolean;
  /** `undecrypted`: the phone waits for it. */
  readonly type: string;
  text: string;
  readonly quoted: string | null;
  /** How far an own message came: sent, delivered (to the account's device) or read. */
  status: 'sent' | 'delivered' | 'read' | null;
  /** By who reacts: the contact or the account. */
  readonly reactions: { contact: string; account: string };
  edited: boolean;
  deleted: boolean;
  readonly media: unknown;
}

/** `GET /api/phones/<n>/chats`: with whom an account has a chat, the latest first. */
export function chatsView(sandbox: Sandbox, account: string): Record<string, unknown> {
  const chats = sandbox.journal.partners(account, CHATS_SHOWN).flatMap(({ contact, at }) => {
    const person = sandbox.people.find(contact);
    return person ? [{ ...contactView(sandbox, person), at: new Date(at).toISOString() }] : [];
  });
  return { chats };
}

/** `GET /api/phones/<n>/chats/<contact>`: what the contact's phone shows of its chat with an account, oldest first. */
export function chatView(sandbox: Sandbox, account: string, contact: string): Record<string, unknown> {
  const person = sandbox.people.find(contact);
  if (!person) throw new Refusal('Nobody here has this number yet.', 404);
  const shown = new Map<string, Bubble>();
  for (const row of sandbox.journal.newest(account, contact, ENTRIES_READ)) draw(shown, row);
  return { contact: contactView(sandbox, person), messages: [...shown.values()].slice(-MESSAGES_SHOWN) };
}

function draw(shown: Map<string, Bubble>, row: JournalRow): void {
  const bubble = shown.get(row.id);
  if (row.kind === 'message' || row.kind === 'inbound') say(shown, row, row.kind === 'inbound');
  else if (row.kind === 'decrypt_failed' && !bubble) shown.set(row.id, made(row, 'undecrypted'));
  else if (row.kind === 'inbound_acked' && bubble?.status === 'sent') bubble.status = 'delivered';
  else if (row.kind === 'gateway_receipt' && bubble?.own && SEEN.has(row.type)) bubble.status = 'read';
}

/** A new message, or what changes one that is shown. */
function say(shown: Map<string, Bubble>, row: JournalRow, own: boolean): void {
  const message = row.content ? unwrap(proto.Message.decode(row.content)) : {};
  const { reactionMessage, protocolMessage } = message;
  const target = shown.get((reactionMessage ?? protocolMessage)?.key?.id ?? '');
  if (reactionMessage) {
    if (target) target.reactions[own ? 'contact' : 'account'] = reactionMessage.text ?? '';
  } else if (!protocolMessage) shown.set(row.id, made(row, row.type, quotedBy(message)));
  else if (target?.own === own) change(target, protocolMessage, row.text);
}

/** Only who wrote a message comes here. */
function change(target: Bubble, protocol: proto.Message.IProtocolMessage, text: string): void {
  if (protocol.type === PROTOCOL.REVOKE) target.deleted = true;
  if (protocol.type === PROTOCOL.MESSAGE_EDIT) Object.assign(target, { text, edited: true });
}

function made(row: JournalRow, type: string, quoted: string | null = null): Bubble {
  const own = row.kind === 'inbound';
  return {
    id: row.id,
    at: new Date(row.at).toISOString(),
    own,
    type,
    text: type === 'undecrypted' ? '' : row.text,
    quoted,
    status: own ? 'sent' : null,
    reactions: { contact: '', account: '' },
    edited: false,
    deleted: false,
    media: row.detail ? ((JSON.parse(row.detail) as { media?: unknown }).media ?? null) : null,
  };
}

/** The message that this one answers. */
function quotedBy(message: proto.IMessage): string | null {
  for (const content of Object.values(message) as ({ contextInfo?: proto.IContextInfo | null } | null)[]) {
    if (content?.contextInfo?.stanzaId) return content.contextInfo.stanzaId;
  }
  return null;
}
