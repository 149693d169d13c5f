import type { Channel, Channels } from './channels.ts';
import { Refusal } from './refusal.ts';
import type { Sandbox } from './sandbox.ts';
import { bytesOf, type Node, node } from './wire.ts';

export interface Variables {
  newsletter_id?: string;
  input?: { key?: string; type?: string; name?: string; description?: string | null };
}
/** What a GraphQL query gives under its name. */
type Answer = (channels: Channels, account: string, variables: Variables) => [field: string, data: unknown];

const acting =
  (field: string, act: (channels: Channels, channel: Channel, account: string) => void): Answer =>
  (channels, account, { newsletter_id: id = '' }) => {
    const channel = channels.get(id);
    act(channels, channel, account);
    return [field, described(channel, account)];
  };

const muting = (field: string, muted: boolean): Answer =>
  acting(field, (channels, channel, account) => channels.mute(channel, account, muted));

const OPERATIONS = {
  create: (channels, account, { input }) => {
    const channel = channels.create(account, input?.name ?? '', input?.description ?? '');
    return ['xwa2_newsletter_create', described(channel, account)];
  },
  metadata: (channels, account, { input }) => {
    const { key = '', type } = input ?? {};
    const channel = type === 'INVITE' ? channels.invitedBy(key) : channels.find(key);
    if (!channel) throw new Refusal('There is no such channel.', 404);
    return ['xwa2_newsletter', described(channel, account)];
  },
  follow: acting('xwa2_newsletter_join_v2', (channels, channel, account) => channels.follow(channel, account)),
  unfollow: acting('xwa2_newsletter_leave_v2', (channels, channel, account) => channels.unfollow(channel, account)),
  mute: muting('xwa2_newsletter_mute_v2', true),
  unmute: muting('xwa2_newsletter_unmute_v2', false),
  delete: acting('xwa2_newsletter_delete_v2', (channels, channel, account) => {
    if (channel.owner !== account) throw new Refusal('Only its owner deletes a channel.', 403);
    channels.remove(channel);
  }),
  list: (channels, account) => [
    'xwa2_newsletter_subscribed',
    channels.of(account).map((channel) => described(channel, account)),
  ],
} satisfies Record<string, Answer>;

/** By `query_id`, as Baileys names them. */
const QUERIES: Readonly<Record<string, keyof typeof OPERATIONS>> = {
  '8823471724422422': 'create',
  '6563316087068696': 'metadata',
  '24404358912487870': 'follow',
  '9767147403369991': 'unfollow',
  '29766401636284406': 'mute',
  '9864994326891137': 'unmute',
  '30062808666639665': 'delete',
};

/** A channel as WhatsApp describes it to one of its viewers. */
function described(channel: Channel, viewer: string): unknown {
  const { id, name, description, invite, created, followers, owner } = channel;
  const follower = viewer in followers ? 'SUBSCRIBER' : 'GUEST';
  const text = (words: string) => ({ text: words, id: String(created), update_time: `${created}000` });
  return {
    id,
    state: { type: 'ACTIVE' },
    thread_metadata: {
      name: text(name),
      description: text(description),
      invite,
      handle: null,
      picture: { id: '', direct_path: '', type: 'IMAGE' },
      creation_time: String(Math.floor(created / 1000)),
      subscribers_count: String(Object.keys(followers).length),
      verification: 'UNVERIFIED',
    },
    viewer_metadata: { role: owner === viewer ? 'OWNER' : follower, mute: followers[viewer] ? 'ON' : 'OFF' },
  };
}

/** Answers a GraphQL query about channels; undefined for one about something else. */
export function answerChannels({ channels }: Sandbox, account: string, query: Node | undefined): Node[] | undefined {
  const operation = QUERIES[query?.attrs.query_id ?? ''];
  if (!operation) return undefined;
  const { variables } = JSON.parse(bytesOf(query)?.toString() ?? '{}') as { variables: Variables };
  return [
    node('result', {}, Buffer.from(JSON.stringify(answered(OPERATIONS[operation], channels, account, variables)))),
  ];
}

function answered(answer: Answer, channels: Channels, account: string, variables: Variables): unknown {
  try {
    const [field, data] = answer(channels, account, variables);
    return { data: { [field]: data } };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { data: null, errors: [{ message: error.message, extensions: { error_code: error.status } }] };
  }
}

/** The same for a page, which names the operation. */
export function answerPage(channels: Channels, account: string, operation: string, variables: Variables): unknown {
  if (!Object.hasOwn(OPERATIONS, operation)) return null;
  return answered(OPERATIONS[operation as keyof typeof OPERATIONS], channels, account, variables);
}
