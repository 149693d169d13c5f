import { randomBytes } from 'node:crypto';
import { proto } from 'baileys/WAProto/index.js';
import { type MediaKind, phoneMessageId } from './content.ts';
import type { Group } from './groups.ts';
import { around, fileFields, MORE_KINDS } from './kinds.ts';
import type { PlainFile } from './media_host.ts';
import { type Person, parseNumber } from './people.ts';
import { Refusal } from './refusal.ts';
import type { Sandbox } from './sandbox.ts';
import { pnJid } from './wire.ts';

type Body = Record<string, unknown>;
const PROTOCOL = proto.Message.ProtocolMessage.Type;
const MAX_COUNT = 100_000;
const YIELD_EVERY = 200;

const DEFAULT_MIME: Record<string, string> = {
  image: 'image/jpeg',
  video: 'video/mp4',
  audio: 'audio/mpeg',
  voice: 'audio/ogg; codecs=opus',
  document: 'application/octet-stream',
  sticker: 'image/webp',
};

/** `POST /api/contacts/<number>/send`: builds what the contact sends and queues it. */
export async function sendAsContact(sandbox: Sandbox, contact: Person, body: Body): Promise<{ ids: string[] }> {
  if (typeof body.to === 'string' && body.to.endsWith('@newsletter'))
    return await postInChannel(sandbox, contact, body);
  const group = typeof body.to === 'string' ? sandbox.groups.find(body.to) : undefined;
  const account = group ? contact.number : parseNumber(body.to, 'to');
  if (group && !sandbox.groups.isMember(group, contact)) {
    throw new Refusal('This contact is not a member of the group.', 403);
  }
  if (!group && sandbox.companions.of(account).length === 0) {
    throw new Refusal('"to" has no linked device that a message could reach.', 404);
  }
  if (body.status === true) {
    const id = await sandbox.phones.sendStatus(contact, [account], await build(sandbox, contact, account, body));
    await sandbox.store.committed();
    return { ids: [id] };
  }
  const ids = await (body.count === undefined || group
    ? sendOne(sandbox, contact, account, group, body)
    : sendMany(sandbox, contact, account, body));
  await sandbox.store.committed();
  return { ids };
}

/** With `to` a channel of the contact's own. */
async function postInChannel(sandbox: Sandbox, contact: Person, body: Body): Promise<{ ids: string[] }> {
  const channel = sandbox.channels.get(String(body.to));
  const id = sandbox.channels.say(channel, contact.number, await build(sandbox, contact, contact.number, body));
  await sandbox.store.committed();
  return { ids: [id] };
}

async function sendOne(
  sandbox: Sandbox,
  contact: Person,
  account: string,
  group: Group | undefined,
  body: Body,
): Promise<string[]> {
  const id = text(body, 'id', false);
  if (id !== undefined && !/^[0-9A-Za-z_.-]{1,64}$/.test(id)) {
    throw new Refusal('"id" must have 1 to 64 letters, digits, "_", "." or "-".');
  }
  if (body.type === 'raw') {
    return [await sandbox.phones.sendRaw(contact, account, Buffer.from(text(body, 'raw_base64'), 'base64'), id)];
  }
  const message = await build(sandbox, contact, account, body);
  if (!group && sandbox.profiles.isBlocked(account, contact.number)) return [blocked(sandbox, contact, account, id)];
  return [
    await (group
      ? sandbox.phones.sendToGroup(contact, group, message, id)
      : sandbox.phones.send(contact, account, message, id)),
  ];
}

/** The server takes what a blocked contact sends, and hands it to nobody. */
function blocked(sandbox: Sandbox, contact: Person, account: string, id = phoneMessageId()): string {
  sandbox.journal.append({ kind: 'blocked', account, contact: contact.number, id });
  return id;
}

/** "text 1", "text 2" and so on. */
async function sendMany(sandbox: Sandbox, contact: Person, account: string, body: Body): Promise<string[]> {
  const { count } = body;
  if (typeof count !== 'number' || !Number.isInteger(count) || count < 1 || count > MAX_COUNT) {
    throw new Refusal(`"count" must be a whole number from 1 to ${MAX_COUNT}.`);
  }
  if (body.id !== undefined || (body.type ?? 'text') !== 'text')
    throw new Refusal('"count" is for texts without "id".');
  const words = text(body, 'text');
  const ids: string[] = [];
  for (let number = 1; number <= count; number++) {
    ids.push(await sandbox.phones.send(contact, account, { conversation: `${words} ${number}` }));
    // A long burst must not keep everybody else waiting.
    if (number % YIELD_EVERY === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  return ids;
}

async function build(sandbox: Sandbox, contact: Person, account: string, body: Body): Promise<proto.IMessage> {
  const type = body.type === undefined ? 'text' : text(body, 'type');
  const contextInfo = merged(quoted(sandbox, contact, account, body), around(body));
  const context = contextInfo ? { contextInfo } : {};
  const key = (id: string, fromMe: boolean) => ({ remoteJid: pnJid(account), fromMe, id });
  switch (type) {
    case 'text':
      return contextInfo
        ? { extendedTextMessage: { text: text(body, 'text'), contextInfo } }
        : { conversation: text(body, 'text') };
    case 'image':
    case 'video':
    case 'audio':
    case 'voice':
    case 'document':
    case 'sticker':
      return await media(sandbox, type, body, context);
    case 'location':
      return {
        locationMessage: {
          degreesLatitude: numeric(body, 'latitude', 90),
          degreesLongitude: numeric(body, 'longitude', 180),
          name: text(body, 'text', false) ?? null,
          ...context,
        },
      };
    case 'contact': {
      const name = text(body, 'text');
      const vcard =
        text(body, 'vcard', false) ??
        `BEGIN:VCARD\nVERSION:3.0\nFN:${name}\nTEL;type=CELL;waid=${contact.number}:+${contact.number}\nEND:VCARD`;
      return { contactMessage: { displayName: name, vcard, ...context } };
    }
    case 'reaction':
      return {
        reactionMessage: {
          key: key(text(body, 'quoted_id'), false),
          text: text(body, 'reaction'),
          senderTimestampMs: Date.now(),
        },
      };
    case 'poll': {
      const options = body.options;
      if (!Array.isArray(options) || options.length < 2 || options.some((option) => typeof option !== 'string'))
        throw new Refusal('"options" must be at least two texts.');
      return {
        messageContextInfo: { messageSecret: randomBytes(32) },
        pollCreationMessageV3: {
          name: text(body, 'text'),
          options: options.map((optionName: string) => ({ optionName })),
          selectableOptionsCount: 1,
          ...context,
        },
      };
    }
    case 'edit':
      return {
        protocolMessage: {
          type: PROTOCOL.MESSAGE_EDIT,
          key: key(text(body, 'quoted_id'), true),
          editedMessage: { conversation: text(body, 'text') },
          timestampMs: Date.now(),
        },
      };
    case 'revoke':
      return { protocolMessage: { type: PROTOCOL.REVOKE, key: key(text(body, 'quoted_id'), true) } };
    default: {
      const more = MORE_KINDS[type];
      if (more) return inContext(more(sandbox, contact, account, body), contextInfo);
      const known = `text, image, video, audio, voice, document, sticker, location, contact, reaction, poll, edit, revoke`;
      throw new Refusal(`"type" must be ${known}, ${Object.keys(MORE_KINDS).join(', ')}.`);
    }
  }
}

/** What stands around a message goes with its content, whichever that is. */
function merged(...parts: (proto.IContextInfo | undefined)[]): proto.IContextInfo | undefined {
  return parts.some((part) => part !== undefined) ? Object.assign({}, ...parts) : undefined;
}

function inContext(message: proto.IMessage, contextInfo: proto.IContextInfo | undefined): proto.IMessage {
  const field = Object.keys(message).find((name) => name !== 'messageContextInfo' && name !== 'conversation');
  if (contextInfo && field) Object.assign(message[field as keyof proto.IMessage] as object, { contextInfo });
  return message;
}

async function media(
  sandbox: Sandbox,
  type: string,
  body: Body,
  context: { contextInfo?: proto.IContextInfo },
): Promise<proto.IMessage> {
  const plain = Buffer.from(text(body, 'media_base64'), 'base64');
  if (plain.length === 0) throw new Refusal('"media_base64" holds no bytes.');
  const kind: MediaKind = type === 'voice' ? 'audio' : (type as MediaKind);
  const put = String(body.to).endsWith('@newsletter')
    ? await sandbox.media.publish(plain)
    : await sealed(sandbox, kind, plain, body);
  const mimetype = text(body, 'mime_type', false) ?? DEFAULT_MIME[type] ?? 'application/octet-stream';
  const caption = text(body, 'text', false);
  const file = {
    ...put,
    mimetype,
    ...fileFields(body),
    ...context,
  };
  const captioned = { ...file, ...(caption === undefined ? {} : { caption }) };
  switch (type) {
    case 'image':
      return { imageMessage: captioned };
    case 'video':
      return { videoMessage: captioned };
    case 'document': {
      const fileName = text(body, 'filename', false) ?? 'document';
      return { documentMessage: { ...captioned, fileName, title: fileName } };
    }
    case 'sticker':
      return { stickerMessage: file };
    default:
      return { audioMessage: { seconds: 1, ...file, ptt: type === 'voice' } };
  }
}

async function sealed(sandbox: Sandbox, kind: MediaKind, plain: Buffer, body: Body): Promise<PlainFile> {
  const file = await sandbox.media.seal(plain, kind);
  if (body.media_lost !== undefined) await sandbox.media.lose(text(body, 'id'), file, body.media_lost !== 'for good');
  return file;
}

function quoted(sandbox: Sandbox, contact: Person, account: string, body: Body): proto.IContextInfo | undefined {
  const type = body.type ?? 'text';
  if (type === 'reaction' || type === 'edit' || type === 'revoke' || type === 'poll_vote') return undefined;
  const stanzaId = text(body, 'quoted_id', false);
  if (stanzaId === undefined) return undefined;
  const chat = { account, contact: contact.number, id: stanzaId };
  const theirs = sandbox.journal.find({ kind: 'message', ...chat });
  const own = theirs ? undefined : sandbox.journal.find({ kind: 'inbound', ...chat });
  const content = theirs ?? own;
  if (!content) throw new Refusal('"quoted_id" is no message of this chat.', 404);
  return {
    stanzaId,
    participant: pnJid(theirs ? account : contact.number),
    quotedMessage: proto.Message.decode(content),
  };
}

function text(body: Body, field: string): string;
function text(body: Body, field: string, required: false): string | undefined;
function text(body: Body, field: string, required = true): string | undefined {
  const value = body[field];
  if (value === undefined && !required) return undefined;
  if (typeof value !== 'string' || (required && value === '' && field !== 'reaction'))
    throw new Refusal(`"${field}" must be a text.`);
  return value;
}

function numeric(body: Body, field: string, bound: number): number {
  const value = body[field];
  if (typeof value !== 'number' || !(Math.abs(value) <= bound))
    throw new Refusal(`"${field}" must be a number from ${-bound} to ${bound}.`);
  return value;
}
