import type { Channel, Channels } from './channels.ts';
import { Refusal } from './refusal.ts';
import type { Sandbox } from './sandbox.ts';
import { bytesOf, type Node, node } from './wire.ts';

interface Variables {
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

/** By `query_id`, as Baileys names them. */
const QUERIES: Readonly<Record<string, Answer>> = {
  // create
  '8823471724422422': (channels, account, { input }) => {
    const channel = channels.create(account, input?.name ?? '', input?.description ?? '');
    return ['xwa2_newsletter_create', described(channel, account)];
  },
  // metadata
  '6563316087068696': (channels, account, { input }) => {
    const { key = '', type } = input ?? {};
    const channel = type === 'INVITE' ? channels.invitedBy(key) : channels.find(key);
    if (!channel) throw new Refusal('There is no such channel.', 404);
    return ['xwa2_newsletter', described(channel, account)];
  },
  // follow
  '24404358912487870': acting('xwa2_newsletter_join_v2', (channels, channel, account) =>
    channels.follow(channel, account),
  ),
  // unfollow
  '9767147403369991': acting('xwa2_newsletter_leave_v2', (channels, channel, account) =>
    channels.unfollow(channel, account),
  ),
  // mute
  '29766401636284406': muting('xwa2_newsletter_mute_v2', true),
  // unmute
  '9864994326891137': muting('xwa2_newsletter_unmute_v2', false),
  // delete
  '30062808666639665': acting('xwa2_newsletter_delete_v2', (channels, channel, account) => {
    if (channel.owner !== account) throw new Refusal('Only its owner deletes a channel.', 403);
    channels.remove(channel);
  }),
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
  const answer = QUERIES[query?.attrs.query_id ?? ''];
  if (!answer) return undefined;
  const { variables } = JSON.parse(bytesOf(query)?.toString() ?? '{}') as { variables: Variables };
  return [node('result', {}, Buffer.from(JSON.stringify(answered(answer, channels, account, variables))))];
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
