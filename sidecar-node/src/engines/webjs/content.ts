/** A command's content as whatsapp-web.js wants it: what to send, and the options beside it. */
import { ActionError, type Address, type Content } from '../../protocol.ts';
import * as vcards from '../vcard.ts';
import { requireJid } from './identity.ts';
import type { Library } from './library.ts';

type Fields = Record<string, unknown>;

export interface Built {
  content: unknown;
  options: Fields;
}

/** The file that goes along, whole: the library passes it to the page as one text. */
export type File = () => Promise<Buffer>;

const fields = (content: Content, type: string): Fields => (content[type] ?? {}) as Fields;
const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);

function required(value: unknown, name: string): string {
  const found = text(value);
  if (found === undefined) throw new ActionError('E_MISSING_FIELD', `${name} is missing`);
  return found;
}

type Builder = (library: Library, body: Fields, content: Content, file: File) => Built | Promise<Built>;

const media =
  (usual: string, optionsOf: (body: Fields) => Fields = () => ({})): Builder =>
  async (library, body, content, file) => {
    const bytes = await file();
    const type = text(body.mime_type) ?? usual;
    const name = text(body.filename) ?? null;
    const options = { caption: text(body.caption), ...optionsOf(body) };
    if (content.view_once === true || body.view_once === true) Object.assign(options, { isViewOnce: true });
    return { content: new library.MessageMedia(type, bytes.toString('base64'), name, bytes.length), options };
  };

/** What the library finds out by decoding the file; the worker knows it already. */
const measured = (body: Fields, names: Record<string, string>): Fields => ({
  extra: Object.fromEntries(
    Object.entries(names).flatMap(([ours, theirs]) => (body[ours] === undefined ? [] : [[theirs, body[ours]]])),
  ),
});

const BUILDERS: Record<string, Builder> = {
  text: (_library, body) => ({
    content: required(body.body, 'text.body'),
    options: { linkPreview: !body.preview && body.preview_url === true, parseVCards: false, ...previewOf(body) },
  }),
  image: media('image/jpeg', (body) => measured(body, { width: 'width', height: 'height' })),
  video: media('video/mp4', (body) => ({
    ...(body.gif === true ? { sendVideoAsGif: true } : {}),
    ...measured(body, { width: 'width', height: 'height', seconds: 'duration' }),
  })),
  audio: media('audio/mpeg', (body) => measured(body, { seconds: 'duration' })),
  voice: media('audio/ogg; codecs=opus', (body) => ({
    sendAudioAsVoice: true,
    ...measured(body, { seconds: 'duration' }),
  })),
  document: media('application/octet-stream', (body) => ({
    sendMediaAsDocument: true,
    extra: { filename: text(body.filename) ?? 'document' },
  })),
  sticker: media('image/webp', () => ({ sendMediaAsSticker: true, extra: { mimetype: 'image/webp' } })),
  location: (library, body) => {
    const about = { name: text(body.name) ?? '', address: text(body.address) ?? '' };
    const place = new library.Location(Number(body.latitude), Number(body.longitude), about);
    return {
      content: place,
      options: { extra: { loc: about.address ? `${about.name}\n${about.address}` : about.name } },
    };
  },
  contacts: (_library, _body, content) => {
    const cards = (content.contacts as Fields[]).map((card) => ({
      displayName: vcards.nameOf(card),
      vcard: vcards.write(card),
    }));
    const [first] = cards;
    if (!first) throw new ActionError('E_MISSING_FIELD', 'contacts is empty');
    const one = { type: 'vcard', body: first.vcard, vcardFormattedName: first.displayName };
    const extra = cards.length === 1 ? one : { type: 'multi_vcard', vcardList: cards };
    return { content: first.displayName, options: { linkPreview: false, parseVCards: false, extra } };
  },
  event: (library, body) => {
    const about = {
      description: text(body.description),
      endTime: body.end_at ? moment(body.end_at, 'event.end_at') : undefined,
      location: text((body.location as Fields | undefined)?.name),
      callType: 'none',
      isEventCanceled: body.cancelled === true,
    };
    const name = required(body.name, 'event.name');
    return { content: new library.ScheduledEvent(name, moment(body.start_at, 'event.start_at'), about), options: {} };
  },
  poll: (library, body) => {
    const selectable = Number(body.selectable ?? 1);
    const choices = (body.options ?? []) as string[];
    const poll = new library.Poll(required(body.name, 'poll.name'), choices, {
      allowMultipleAnswers: selectable !== 1,
    });
    return { content: poll, options: { extra: { pollSelectableOptionsCount: selectable } } };
  },
};

/** A preview that the command brings, in the fields in which the page would put its own. */
function previewOf(body: Fields): Fields {
  const card = body.preview as Fields | undefined;
  if (!card) return {};
  const { url, title, description } = card;
  return { extra: { preview: true, subtype: 'url', matchedText: url, canonicalUrl: url, title, description } };
}

/** A time as ISO-8601, in milliseconds, or as MessagePack's own timestamp. */
function moment(value: unknown, name: string): Date {
  const date = value instanceof Date ? value : new Date(value as string | number);
  if (Number.isNaN(date.getTime())) throw new ActionError('E_INVALID_FIELD', `${name} is no time`);
  return date;
}

/** Kinds of content that `build` can make. */
export const KINDS: readonly string[] = [...Object.keys(BUILDERS), 'reaction'];

const FORWARDED: Fields = { isForwarded: true, forwardingScore: 1 };

export async function build(library: Library, content: Content, file: File): Promise<Built> {
  const type = String(content.type ?? '');
  const builder = BUILDERS[type];
  if (!builder) throw new ActionError('E_UNSUPPORTED_TYPE', type.slice(0, 40));
  const built = await builder(library, fields(content, type), content, file);
  const mentions = (content.mentions ?? fields(content, type).mentions) as (Address | string)[] | undefined;
  if (mentions?.length) built.options.mentions = mentions.map(requireJid);
  if (content.forwarded === true) built.options.extra = { ...(built.options.extra as Fields), ...FORWARDED };
  return built;
}

/** The new text of a message sent before; of a file only the caption can change. */
export function edited(content: Content): string {
  const type = String(content.type ?? 'text');
  const body = fields(content, type);
  if (type === 'text') return required(body.body, 'text.body');
  if (type === 'image' || type === 'video' || type === 'document') return text(body.caption) ?? '';
  throw new ActionError('E_UNSUPPORTED_TYPE', type.slice(0, 40));
}
