/** Votes in polls, which only the poll's own secret opens. */
import { createHash } from 'node:crypto';
import { decryptPollVote, jidNormalizedUser, type proto, type WAMessageKey } from 'baileys';

/** What a voter now chooses; undefined when it cannot be read. `made` is the poll as we sent it. */
export function votesOf(
  key: WAMessageKey,
  update: proto.Message.IPollUpdateMessage,
  made: proto.IMessage,
  secret: Uint8Array,
  me: { id?: string | undefined; lid?: string | undefined },
): string[] | undefined {
  const creation = made.pollCreationMessage ?? made.pollCreationMessageV2 ?? made.pollCreationMessageV3;
  const voters = key.fromMe
    ? [me.lid, me.id]
    : [key.participant || key.remoteJid, key.participantAlt || key.remoteJidAlt];
  // The voter's device chose the address form, and the key is bound to it: each pairing is tried.
  for (const voter of voters)
    for (const creator of [me.lid, me.id]) {
      if (!voter || !creator) continue;
      try {
        const vote = decryptPollVote(update.vote as proto.Message.IPollEncValue, {
          pollCreatorJid: jidNormalizedUser(creator),
          pollMsgId: update.pollCreationMessageKey?.id ?? '',
          pollEncKey: secret,
          voterJid: jidNormalizedUser(voter),
        });
        const chosen = new Set((vote.selectedOptions ?? []).map((hash) => Buffer.from(hash).toString('hex')));
        const names = (creation?.options ?? []).map(({ optionName }) => optionName ?? '');
        return names.filter((name) => chosen.has(createHash('sha256').update(name).digest('hex')));
      } catch {
        /* not this pairing */
      }
    }
  return undefined;
}
