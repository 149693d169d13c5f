/** Channels: found, made, followed, left. */
import { ActionError } from '../../protocol.ts';
import type { Handler } from './ask.ts';
import type { Client, Page } from './library.ts';
import { channelOf, type PageChannel } from './posts_in_page.ts';

/** The roles that post. */
const ADMINS = new Set(['owner', 'admin']);

/** Rejects with E_CHANNEL_NOT_FOUND. */
async function find(page: Page, key: string): Promise<PageChannel> {
  const found = await page.evaluate(channelOf, key);
  if (!found) throw new ActionError('E_CHANNEL_NOT_FOUND');
  return found;
}

/** Resolves when the account may post there. Rejects with E_CHANNEL_NOT_FOUND or E_NOT_CHANNEL_ADMIN. */
export async function requireAdmin(page: Page, channel: string): Promise<void> {
  const { role } = await find(page, channel);
  if (!ADMINS.has(role ?? '')) throw new ActionError('E_NOT_CHANNEL_ADMIN');
}

function told({ id: channel, created, ...about }: PageChannel): Record<string, unknown> {
  return { channel, ...about, created_at: created ? created * 1000 : null };
}

/** `channel` is its id, `code` its link's. */
const get: Handler = async ({ page, content }) => told(await find(page, String(content.code ?? content.channel)));

/** What was made is told of by what WhatsApp answered: another question could fail, and a second channel be made. */
const create: Handler = async ({ client, content }) => {
  const name = String(content.name ?? '');
  const description = content.description ? String(content.description) : null;
  const made = await client.createChannel(name, { description });
  if (typeof made === 'string') throw new ActionError('E_WHATSAPP_REJECTED', made.slice(0, 100));
  const { nid, inviteLink, createdAtTs } = made;
  return told({
    id: nid._serialized,
    name,
    description,
    invite: inviteLink.split('/').at(-1) ?? null,
    subscribers: 0,
    verified: false,
    created: Number(createdAtTs),
    role: 'owner',
    muted: false,
  });
};

/** The library says false of whatever WhatsApp refuses. */
const changing =
  (change: (client: Client, channel: string) => Promise<boolean>): Handler =>
  async ({ client, page, content }) => {
    const { id } = await find(page, String(content.channel));
    if (!(await change(client, id))) throw new ActionError('E_WHATSAPP_REJECTED');
  };

const mute: Handler = async ({ client, page, content }) => {
  const { id } = await find(page, String(content.channel));
  const channel = await client.getChatById(id);
  if (!(await (content.muted === false ? channel?.unmute() : channel?.mute())))
    throw new ActionError('E_WHATSAPP_REJECTED');
};

const remove: Handler = async ({ client, page, content }) => {
  const { id, role } = await find(page, String(content.channel));
  if (role !== 'owner') throw new ActionError('E_NOT_CHANNEL_ADMIN');
  if (!(await client.deleteChannel(id))) throw new ActionError('E_WHATSAPP_REJECTED');
};

export const CHANNELS: Readonly<Record<string, Handler>> = {
  'channel.get': get,
  'channel.create': create,
  'channel.follow': changing((client, channel) => client.subscribeToChannel(channel)),
  'channel.unfollow': changing((client, channel) => client.unsubscribeFromChannel(channel)),
  'channel.mute': mute,
  'channel.delete': remove,
};
