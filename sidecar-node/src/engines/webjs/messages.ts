/** What WhatsApp Web's models of messages say, in the shapes of a send command. */
import { encode } from '@msgpack/msgpack';
import { placeOf } from '../baileys/identity.ts';
import { counted } from '../baileys/messages.ts';
import * as vcards from '../vcard.ts';
import type { Model } from './library.ts';

export interface Described {
  type: string;
  body: unknown;
  media?: Record<string, unknown>;
}

/** Entries of a chat that are no messages: notices, calls, what is only about another message. */
export const SILENT: ReadonlySet<string> = new Set([
  'e2e_notification',
  'notification',
  'notification_template',
  'gp2',
  'broadcast_notification',
  'protocol',
  'call_log',
  'ciphertext',
  'revoked',
  'debug',
  'reaction',
  'pinned_message',
  'poll_update',
]);
const FILES: Record<string, string> = {
  image: 'image',
  video: 'video',
  audio: 'audio',
  ptt: 'voice',
  document: 'document',
  sticker: 'sticker',
};

/**
 * Whether the page tells when the account takes this message away for itself alone: one of this life of the page. One that
 * disappears by its time goes the same way, so of those nothing is known.
 */
export const removalIsTold = (model: Model): boolean =>
  model.isNewMsg === true && model.isEphemeral !== true && describe(model) !== undefined && !placeOf(model.id.remote);

const optional = (fields: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(fields).filter(
      ([, value]) => value !== undefined && value !== null && value !== '' && value !== false,
    ),
  );

/** Undefined for what is no message. */
export function describe(model: Model): Described | undefined {
  if (SILENT.has(model.type)) return undefined;
  const file = FILES[model.type];
  if (file) return { type: file, body: fileFields(file, model), media: mediaOf(model) };
  return readBy(readers[model.type], model) ?? { type: 'unsupported', body: { kind: model.type } };
}

/** Strangers choose every value: one that no reader expects must not end the session, which would get it again. */
function readBy(reader: ((model: Model) => Described) | undefined, model: Model): Described | undefined {
  try {
    return reader?.(model);
  } catch {
    return undefined;
  }
}

const readers: Record<string, (model: Model) => Described> = {
  chat: ({ body, matchedText, title, description }) => ({
    type: 'text',
    body: { body: body ?? '', ...(matchedText ? { preview: optional({ url: matchedText, title, description }) } : {}) },
  }),
  event_creation: ({ eventName, eventDescription, eventStartTime, eventEndTime, eventJoinLink, isEventCanceled }) => ({
    type: 'event',
    body: {
      name: eventName ?? '',
      start_at: moment(eventStartTime),
      ...optional({
        description: eventDescription,
        end_at: eventEndTime ? moment(eventEndTime) : undefined,
        link: eventJoinLink,
        cancelled: isEventCanceled || undefined,
      }),
    },
  }),
  location: ({ lat, lng, loc, isLive }) => {
    const [name, address] = String(loc ?? '').split('\n');
    return {
      type: isLive ? 'live_location' : 'location',
      body: { latitude: lat ?? 0, longitude: lng ?? 0, ...optional({ name, address }) },
    };
  },
  vcard: ({ body, vcardFormattedName }) => ({
    type: 'contacts',
    body: [vcards.read(String(vcardFormattedName ?? ''), String(body ?? ''))],
  }),
  multi_vcard: ({ vcardList }) => ({
    type: 'contacts',
    body: ((vcardList ?? []) as { displayName?: string; vcard?: string }[]).map((card) =>
      vcards.read(card.displayName, card.vcard),
    ),
  }),
  poll_creation: ({ pollName, pollOptions, pollSelectableOptionsCount }) => ({
    type: 'poll',
    body: {
      name: pollName ?? '',
      options: ((pollOptions ?? []) as { name: string }[]).map(({ name }) => name),
      selectable: pollSelectableOptionsCount ?? 0,
    },
  }),
};

const moment = (seconds: unknown): string => new Date(Number(seconds ?? 0) * 1000).toISOString();

/** Bytes as they come from the page: base64, or an array turned into an object on its way. */
function bytesOf(value: unknown): Uint8Array | undefined {
  if (typeof value === 'string') return Buffer.from(value, 'base64');
  return typeof value === 'object' && value !== null ? Uint8Array.from(Object.values(value) as number[]) : undefined;
}

function fileFields(type: string, model: Model): Record<string, unknown> {
  const { caption, isViewOnce: view_once, isGif: gif, filename, duration } = model;
  const seconds = duration === undefined ? undefined : counted(duration);
  if (type === 'image') return optional({ caption, view_once });
  if (type === 'video') return optional({ caption, view_once, gif, seconds });
  if (type === 'document') return optional({ caption, filename });
  if (type === 'sticker') return optional({ animated: model.isAnimated });
  if (type === 'audio') return optional({ seconds });
  return optional({ seconds, view_once, waveform: bytesOf(model.waveform) });
}

/** `source`: what the page needs to fetch the file later; opaque to the worker. */
function mediaOf(model: Model): Record<string, unknown> {
  const { type, directPath, encFilehash, filehash, mediaKey, mediaKeyTimestamp } = model;
  const source = encode(
    { type, directPath, encFilehash, filehash, mediaKey, mediaKeyTimestamp },
    { ignoreUndefined: true },
  );
  return {
    mime_type: model.mimetype,
    size: counted(model.size),
    sha256: typeof filehash === 'string' ? Buffer.from(filehash, 'base64').toString('hex') : undefined,
    filename: model.filename,
    source,
  };
}
