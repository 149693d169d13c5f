/** Votes in polls: sealed with the poll's secret, which its chat alone knows, and bound to who voted. */
import { createDecipheriv, createHash, createHmac, randomBytes } from 'node:crypto';
import { aesEncryptGCM } from 'baileys/lib/Utils/crypto.js';
import { proto } from 'baileys/WAProto/index.js';
import { unwrap } from './content.ts';
import type { Person } from './people.ts';
import { Refusal } from './refusal.ts';
import type { Sandbox } from './sandbox.ts';
import { lidJid, pnJid } from './wire.ts';

const TAG_BYTES = 16;

interface Poll {
  creation: proto.Message.IPollCreationMessage;
  secret: Uint8Array;
}

const hashOf = (option: string): Buffer => createHash('sha256').update(option).digest();
const addresses = ({ number, lid }: Person): string[] => [pnJid(number), lidJid(lid)];

function pollIn(content: Buffer | undefined): Poll | undefined {
  const poll = content && unwrap(proto.Message.decode(content));
  const creation = poll?.pollCreationMessage ?? poll?.pollCreationMessageV2 ?? poll?.pollCreationMessageV3;
  const secret = poll?.messageContextInfo?.messageSecret;
  return creation && secret ? { creation, secret } : undefined;
}

/** The key of one vote, and what its seal is bound to. */
function keyOf({ secret }: Poll, id: string, creator: string, voter: string): { key: Buffer; bound: Buffer } {
  const about = Buffer.concat([Buffer.from(`${id}${creator}${voter}Poll Vote`), Buffer.from([1])]);
  const key = createHmac('sha256', createHmac('sha256', Buffer.alloc(32)).update(secret).digest())
    .update(about)
    .digest();
  return { key, bound: Buffer.from(`${id}\0${voter}`) };
}

/** A contact votes in a poll that was shown to it: `quoted_id`, and the names of its `options`; none takes it back. */
export function vote(sandbox: Sandbox, contact: Person, _account: string, body: Record<string, unknown>) {
  const id = typeof body.quoted_id === 'string' ? body.quoted_id : '';
  const shown = sandbox.journal.shown(contact.number, id);
  const poll = pollIn(shown?.content);
  if (!shown || !poll) throw new Refusal('"quoted_id" is no poll of this chat.', 404);
  const { account: author, group } = shown;
  const byLid = group !== undefined || sandbox.people.behaviourOf(contact).addressing === 'lid';
  const [voter, creator] = [contact, sandbox.people.ensure(author)].map((each) => addresses(each)[byLid ? 1 : 0]);
  const { key, bound } = keyOf(poll, id, String(creator), String(voter));
  const selectedOptions = (Array.isArray(body.options) ? body.options : []).map((option) => hashOf(String(option)));
  const encIv = randomBytes(12);
  const plain = proto.Message.PollVoteMessage.encode({ selectedOptions }).finish();
  const place = group ? { remoteJid: group, participant: String(creator) } : { remoteJid: String(creator) };
  return {
    pollUpdateMessage: {
      pollCreationMessageKey: { ...place, fromMe: false, id },
      vote: { encPayload: aesEncryptGCM(plain, key, encIv, bound), encIv },
      senderTimestampMs: Date.now(),
    },
  };
}

/** What an account chose in a poll that a contact made or was shown, as its phone opens it; undefined when it cannot. */
export function chosen(sandbox: Sandbox, contact: Person, from: string, message: proto.IMessage): string[] | undefined {
  const { pollCreationMessageKey, vote: sealed } = unwrap(message).pollUpdateMessage ?? {};
  const id = pollCreationMessageKey?.id ?? '';
  const said = sandbox.journal.said(contact.number, id);
  const poll = pollIn(said ?? sandbox.journal.shown(contact.number, id)?.content);
  const author = said ? contact : sandbox.people.ensure(from);
  if (!poll || !sealed?.encPayload || !sealed.encIv) return undefined;
  for (const voter of addresses(sandbox.people.ensure(from)))
    for (const creator of addresses(author)) {
      const hashes = opened(sealed.encPayload, sealed.encIv, keyOf(poll, id, creator, voter));
      if (!hashes) continue;
      const names = (poll.creation.options ?? []).map(({ optionName }) => optionName ?? '');
      return names.filter((name) => hashes.some((hash) => hashOf(name).equals(hash)));
    }
  return undefined;
}

function opened(
  payload: Uint8Array,
  iv: Uint8Array,
  { key, bound }: { key: Buffer; bound: Buffer },
): Uint8Array[] | undefined {
  try {
    const cipher = createDecipheriv('aes-256-gcm', key, iv).setAAD(bound);
    cipher.setAuthTag(payload.subarray(-TAG_BYTES));
    const plain = Buffer.concat([cipher.update(payload.subarray(0, -TAG_BYTES)), cipher.final()]);
    return proto.Message.PollVoteMessage.decode(plain).selectedOptions;
  } catch {
    // Another form of the addresses, or no vote at all.
    return undefined;
  }
}
