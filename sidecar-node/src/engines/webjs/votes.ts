/**
 * Votes in polls. The page opens those that come; the library's own event drops a vote's id, so its way is gone here once
 * more: `watchVotes` and `votesSince` run inside the page, each is sent as its text and may use nothing but its arguments.
 */
import { ActionError, type Content } from '../../protocol.ts';
import type { Client, Key } from './library.ts';

/** What somebody chooses in a poll now. */
export interface Vote {
  id: string;
  /** The whole key, which names it in the page. */
  key: string;
  fromMe: boolean;
  chat: string;
  voter: string;
  poll: string;
  /** Names; none takes the vote back. */
  options: string[];
  /** Milliseconds, by the voter's clock. */
  at: number;
}

interface Wid {
  _serialized: string;
}

interface Poll {
  id: Omit<Key, 'remote'> & { remote: Wid };
  pollOptions?: { name: string; localId: number }[];
}

/** As it passes through the page. */
interface RawVote {
  id: { id: string; fromMe: boolean; _serialized: string };
  pollUpdateParentKey: { _serialized: string };
  author?: Wid;
  from: Wid;
  selectedOptionLocalIds: number[];
  senderTimestampMs: number;
}

/** A row of the page's table of votes. */
interface Row {
  msgKey: unknown;
  sender: unknown;
  selectedOptionLocalIds: ArrayBuffer;
  senderTimestampMs: number;
}

interface Window {
  require(name: 'WAWebCollections'): {
    Msg: { get(id: string): Poll | undefined; getMessagesById(ids: string[]): Promise<{ messages?: Poll[] }> };
  };
  require(name: 'WAWebPollsVotesSchema'): {
    getTable(): { equals(index: string[], value: string): Promise<Row[]> };
  };
  WWebJS: {
    injectToFunction(
      target: { module: string; function: string },
      work: (module: unknown, inner: (...given: unknown[]) => unknown, ...given: [RawVote[]]) => unknown,
    ): void;
  };
  pwwVoted(vote: Vote): void;
}

/** Chooses in a poll. The library would leave out what the poll has not. */
export async function vote(client: Client, key: string, content: Content): Promise<void> {
  const poll = await client.getMessageById(key);
  if (poll?.rawData.type !== 'poll_creation') throw new ActionError('E_MESSAGE_NOT_FOUND', 'it is no poll');
  const { pollOptions, pollSelectableOptionsCount: most } = poll.rawData;
  const names = ((pollOptions ?? []) as { name: string }[]).map(({ name }) => name);
  const options = (content.options ?? []) as string[];
  if (options.some((option) => !names.includes(option)))
    throw new ActionError('E_INVALID_FIELD', 'options: the poll has not all of them');
  if (Number(most) > 0 && options.length > Number(most))
    throw new ActionError('E_INVALID_FIELD', `options: at most ${most}`);
  await poll.vote(options);
}

/** Tells each vote from now on, in the order in which they came. */
export function watchVotes(): void {
  const page = globalThis as unknown as Window;
  const { Msg } = page.require('WAWebCollections');
  const tell = async (vote: RawVote): Promise<void> => {
    const key = vote.pollUpdateParentKey._serialized;
    const poll = Msg.get(key) ?? (await Msg.getMessagesById([key])).messages?.[0];
    if (!poll) return;
    const { id, fromMe, _serialized } = vote.id;
    const chosen = vote.selectedOptionLocalIds;
    page.pwwVoted({
      id,
      key: _serialized,
      fromMe,
      chat: poll.id.remote._serialized,
      voter: (vote.author ?? vote.from)._serialized,
      poll: poll.id.id,
      options: (poll.pollOptions ?? []).filter(({ localId }) => chosen.includes(localId)).map(({ name }) => name),
      at: vote.senderTimestampMs,
    });
  };
  let tail = Promise.resolve();
  const where = { module: 'WAWebAddonPollVoteTableMode', function: 'pollVoteTableMode.bulkUpsert' };
  page.WWebJS.injectToFunction(where, (module, inner, ...given) => {
    for (const vote of given[0]) tail = tail.then(() => tell(vote)).catch(() => {});
    return inner.apply(module, given);
  });
}

/** The votes in these polls that were made since, oldest first. `since`: milliseconds, by the voters' clocks. */
export async function votesSince(since: number, polls: string[]): Promise<Vote[]> {
  const page = globalThis as unknown as Window;
  const text = (value: unknown): string => String((value as Partial<Wid> | undefined)?._serialized ?? value ?? '');
  const { Msg } = page.require('WAWebCollections');
  const table = page.require('WAWebPollsVotesSchema').getTable();
  const votes: Vote[] = [];
  for (const key of polls) {
    const poll = Msg.get(key) ?? (await Msg.getMessagesById([key])).messages?.[0];
    if (!poll) continue;
    for (const row of await table.equals(['parentMsgKey'], key)) {
      if (row.senderTimestampMs < since) continue;
      const name =
        text(row.msgKey) || `_${poll.id.remote._serialized}_${poll.id.id}-${text(row.sender)}-${row.senderTimestampMs}`;
      const [own, , id = name] = name.split('_');
      const chosen = new Uint8Array(row.selectedOptionLocalIds);
      votes.push({
        id,
        key: name,
        fromMe: own === 'true',
        chat: poll.id.remote._serialized,
        voter: text(row.sender),
        poll: poll.id.id,
        options: (poll.pollOptions ?? []).filter(({ localId }) => chosen.includes(localId)).map(({ name }) => name),
        at: row.senderTimestampMs,
      });
    }
  }
  return votes.sort((one, other) => one.at - other.at);
}
