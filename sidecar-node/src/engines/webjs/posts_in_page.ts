/**
 * What runs inside WhatsApp Web's page about statuses and channels, as `in_page.ts`: each function is sent as its text
 * and may use nothing but its arguments. Where the library's own calls lead nowhere in today's page, the page is asked
 * itself: its `Message.delete` looks for a channel among the chats, its text statuses tell an id that is not theirs, and
 * its channels by invitation want a function that the page has moved.
 */

interface Wid {
  _serialized: string;
}

interface PageMessage {
  id: { id: string; fromMe: boolean; _serialized: string };
  type: string;
  ack: number;
  /** Under which number the server keeps a channel's post: it has it. */
  serverId?: number | string;
}

interface Messages {
  getModelsArray(): PageMessage[];
}

interface ChannelModel {
  id: Wid;
  name?: string;
  msgs: Messages;
  mute?: { expiration: number };
  newsletterMetadata?: {
    name?: string;
    description?: string;
    inviteCode?: string;
    size?: number;
    verified?: boolean;
    membershipType?: string;
    /** In seconds. */
    creationTime?: number;
  };
}

interface Metadata {
  update(id: Wid): Promise<unknown>;
}

/** The page's globals. */
interface Window {
  require(name: 'WAWebCollections'): {
    Msg: {
      get(id: string): PageMessage | undefined;
      getMessagesById(ids: string[]): Promise<{ messages?: PageMessage[] }>;
    };
    Status: { getMyStatus(): { msgs: Messages } | undefined };
    WAWebNewsletterCollection: { get(id: string): ChannelModel | undefined };
    NewsletterMetadataCollection?: Metadata;
    WAWebNewsletterMetadataCollection?: Metadata;
  };
  require(name: 'WAWebLoadNewsletterPreviewChatAction'): {
    loadNewsletterPreviewChat(idOrCode: string): Promise<ChannelModel | undefined>;
  };
  require(name: 'WAWebSendStatusMsgAction'): {
    sendStatusTextMsgAction(status: {
      text: string;
      color: number;
      font: number;
    }): Promise<{ msg?: PageMessage } | undefined>;
  };
  require(name: 'WAWebNewsletterRevokeMsgAction'): {
    sendNewsletterRevokeMsgs(
      channel: ChannelModel,
      messages: PageMessage[],
      how: { clearMedia: boolean },
    ): Promise<{ messageSendResult: string }[]>;
  };
}

/** A post of ours, as the page has it. */
export interface Posted {
  key: string;
  /** 1 and more: the server has it; below 0: it is refused. The library says 1 of a channel's post in any case. */
  ack: number;
  /** Of a channel's post: the server has told under which number it keeps it. */
  kept: boolean;
}

export interface PageChannel {
  id: string;
  name: string | null;
  description: string | null;
  invite: string | null;
  subscribers: number;
  verified: boolean;
  /** In seconds. */
  created: number | null;
  /** `owner`, `admin`, `subscriber` or `guest`. */
  role: string | null;
  muted: boolean;
}

/** A post by the id of its message; `keys`: what it may be called. */
export async function findPost(place: string, id: string, keys: string[]): Promise<Posted | null> {
  const page = globalThis as unknown as Window;
  const { Msg, Status, WAWebNewsletterCollection } = page.require('WAWebCollections');
  const home = place.endsWith('@newsletter') ? WAWebNewsletterCollection.get(place) : Status.getMyStatus();
  let found = home?.msgs.getModelsArray().find((message) => message.id.fromMe && message.id.id === id);
  for (const key of keys) found ??= Msg.get(key) ?? (await Msg.getMessagesById([key]))?.messages?.[0];
  if (!found) return null;
  return { key: found.id._serialized, ack: found.ack, kept: found.serverId !== undefined && found.serverId !== null };
}

/** Posts a status of words, on a colour (ARGB); the id under which the page has it, as far as it tells. */
export async function postWords(text: string, color: number): Promise<string | null> {
  const page = globalThis as unknown as Window;
  const done = await page.require('WAWebSendStatusMsgAction').sendStatusTextMsgAction({ text, color, font: 0 });
  return done?.msg?.id.id ?? null;
}

/** Takes a channel's post back, or leaves it so; how that ended, in the page's words. */
export async function withdraw(channel: string, id: string): Promise<string> {
  const page = globalThis as unknown as Window;
  const chat = page.require('WAWebCollections').WAWebNewsletterCollection.get(channel);
  const message = chat?.msgs.getModelsArray().find((each) => each.id.id === id);
  if (!chat || !message) return 'gone';
  if (message.type === 'revoked') return 'OK';
  const { sendNewsletterRevokeMsgs } = page.require('WAWebNewsletterRevokeMsgAction');
  const [result] = await sendNewsletterRevokeMsgs(chat, [message], { clearMedia: true });
  return result?.messageSendResult ?? 'no result';
}

/** A channel by its id or its invitation's code, as the server has it now; null when there is none. */
export async function channelOf(key: string): Promise<PageChannel | null> {
  const page = globalThis as unknown as Window;
  const { WAWebNewsletterCollection, NewsletterMetadataCollection, WAWebNewsletterMetadataCollection } =
    page.require('WAWebCollections');
  let chat: ChannelModel | undefined;
  try {
    chat =
      WAWebNewsletterCollection.get(key) ??
      (await page.require('WAWebLoadNewsletterPreviewChatAction').loadNewsletterPreviewChat(key));
    if (chat) await (NewsletterMetadataCollection ?? WAWebNewsletterMetadataCollection)?.update(chat.id);
  } catch (error) {
    if ((error as Error).name !== 'ServerStatusCodeError') throw error;
    return null;
  }
  if (!chat) return null;
  const { newsletterMetadata: about = {}, mute } = chat;
  return {
    id: chat.id._serialized,
    name: about.name ?? chat.name ?? null,
    description: about.description || null,
    invite: about.inviteCode ?? null,
    subscribers: about.size ?? 0,
    verified: about.verified === true,
    created: about.creationTime ?? null,
    role: about.membershipType ?? null,
    muted: (mute?.expiration ?? 0) !== 0,
  };
}
