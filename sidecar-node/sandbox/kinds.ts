import { randomBytes } from 'node:crypto';
import { proto } from 'baileys/WAProto/index.js';
import { type Person, parseNumber } from './people.ts';
import { Refusal } from './refusal.ts';
import type { Sandbox } from './sandbox.ts';
import { vote } from './votes.ts';
import { pnJid } from './wire.ts';

type Body = Record<string, unknown>;
type Build = (sandbox: Sandbox, contact: Person, account: string, body: Body) => proto.IMessage;
const PROTOCOL = proto.Message.ProtocolMessage.Type;
const PIN = proto.Message.PinInChatMessage.Type;

const words = (body: Body, field: string, fallback = ''): string =>
  typeof body[field] === 'string' ? (body[field] as string) : fallback;
const whole = (body: Body, field: string, fallback = 0): number =>
  typeof body[field] === 'number' ? (body[field] as number) : fallback;
const list = (body: Body, field: string): unknown[] => (Array.isArray(body[field]) ? (body[field] as unknown[]) : []);

/** How a message is shown, beside its content: whom it names, that it was forwarded, when it disappears. */
export function around(body: Body): proto.IContextInfo | undefined {
  const mentionedJid = list(body, 'mentions').map((each) => pnJid(parseNumber(each, 'mentions')));
  const context = {
    ...(mentionedJid.length > 0 ? { mentionedJid } : {}),
    ...(body.forwarded === true ? { isForwarded: true, forwardingScore: 1 } : {}),
    ...(body.disappear_after === undefined ? {} : { expiration: whole(body, 'disappear_after') }),
  };
  return Object.keys(context).length > 0 ? context : undefined;
}

/** How a file is shown. */
export function fileFields(body: Body): Record<string, unknown> {
  return {
    ...(body.gif === true ? { gifPlayback: true } : {}),
    ...(body.view_once === true ? { viewOnce: true } : {}),
    ...(body.animated === true ? { isAnimated: true } : {}),
    ...(body.seconds === undefined ? {} : { seconds: whole(body, 'seconds') }),
    ...(body.waveform_base64 === undefined ? {} : { waveform: Buffer.from(words(body, 'waveform_base64'), 'base64') }),
  };
}

function wholeMessage(body: Body): proto.IMessage {
  if (typeof body.message !== 'object' || body.message === null) throw new Refusal('"message" must be an object.');
  try {
    return proto.Message.fromObject(body.message);
  } catch {
    throw new Refusal('"message" is no message of WhatsApp\'s protocol.');
  }
}

function card(each: unknown): proto.Message.IContactMessage {
  const { name, number, vcard } = (each ?? {}) as { name?: string; number?: string; vcard?: string };
  const plain = `BEGIN:VCARD\nVERSION:3.0\nFN:${name ?? ''}\nTEL;TYPE=CELL;waid=${String(number).replace(/\D/g, '')}:${number ?? ''}\nEND:VCARD`;
  return { displayName: name ?? '', vcard: vcard ?? plain };
}

/** What a contact can send beside the plain kinds (`sending.ts`). */
export const MORE_KINDS: Record<string, Build> = {
  /** Any message of the protocol, as JSON. */
  message: (_sandbox, _contact, _account, body) => wholeMessage(body),
  live_location: (_sandbox, _contact, _account, body) => ({
    liveLocationMessage: {
      degreesLatitude: whole(body, 'latitude'),
      degreesLongitude: whole(body, 'longitude'),
      accuracyInMeters: whole(body, 'accuracy', 5),
      speedInMps: whole(body, 'speed'),
      caption: words(body, 'text'),
      sequenceNumber: whole(body, 'sequence', 1),
    },
  }),
  contacts: (_sandbox, _contact, _account, body) => ({
    contactsArrayMessage: { displayName: words(body, 'text'), contacts: list(body, 'contacts').map(card) },
  }),
  event: (_sandbox, _contact, _account, body) => ({
    messageContextInfo: { messageSecret: randomBytes(32) },
    eventMessage: {
      name: words(body, 'text'),
      description: words(body, 'description'),
      startTime: whole(body, 'start'),
      endTime: whole(body, 'end'),
      extraGuestsAllowed: body.extra_guests === true,
    },
  }),
  poll_vote: vote,
  button_reply: (_sandbox, _contact, _account, body) => ({
    interactiveResponseMessage: {
      body: { text: words(body, 'text') },
      nativeFlowResponseMessage: {
        name: 'quick_reply',
        paramsJson: JSON.stringify({ id: words(body, 'button'), display_text: words(body, 'text') }),
        version: 3,
      },
    },
  }),
  list_reply: (_sandbox, _contact, _account, body) => ({
    listResponseMessage: {
      title: words(body, 'text'),
      description: words(body, 'description'),
      listType: proto.Message.ListResponseMessage.ListType.SINGLE_SELECT,
      singleSelectReply: { selectedRowId: words(body, 'row') },
    },
  }),
  buttons: (_sandbox, _contact, _account, body) => ({
    interactiveMessage: {
      body: { text: words(body, 'text') },
      nativeFlowMessage: {
        buttons: list(body, 'options').map((title, at) => ({
          name: 'quick_reply',
          buttonParamsJson: JSON.stringify({ id: `b${at + 1}`, display_text: title }),
        })),
      },
    },
  }),
  pin: (_sandbox, _contact, account, body) => ({
    messageContextInfo: { messageAddOnDurationInSecs: body.pinned === false ? 0 : whole(body, 'seconds', 86_400) },
    pinInChatMessage: {
      key: { remoteJid: pnJid(account), fromMe: body.own === true, id: words(body, 'quoted_id') },
      type: body.pinned === false ? PIN.UNPIN_FOR_ALL : PIN.PIN_FOR_ALL,
      senderTimestampMs: Date.now(),
    },
  }),
  disappearing: (_sandbox, _contact, _account, body) => ({
    protocolMessage: { type: PROTOCOL.EPHEMERAL_SETTING, ephemeralExpiration: whole(body, 'seconds') },
  }),
};
