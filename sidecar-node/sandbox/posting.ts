/** A message's way from a phone to one linked device of somebody: encrypted, addressed, queued. */
import { proto } from 'baileys/WAProto/index.js';
import { type Companion, isPage } from './companions.ts';
import { describe, pad, stanzaType } from './content.ts';
import { typed, verifySignature } from './curve.ts';
import { addressesOf, type Person } from './people.ts';
import type { Sandbox } from './sandbox.ts';
import type { Bundle, Ciphertext } from './signal.ts';
import type { Shared } from './statuses.ts';
import { type Node, node, seconds } from './wire.ts';

/** How a message is posted when it is not simply a new one for one chat. */
export interface Posting {
  /** The attempt, when a device asked for the message again. */
  readonly retry?: number;
  readonly keys?: Bundle;
  readonly group?: Shared | undefined;
  /** The ciphertext that is the same for all members of the group. */
  readonly shared?: Node;
  readonly type?: string;
  /** Instead of the message: the bytes that are encrypted. */
  readonly raw?: Buffer;
  /** From the account's own phone, for its device alone. */
  readonly peer?: boolean;
}

/** Durable once the store is committed. */
export async function post(
  sandbox: Sandbox,
  phone: Person,
  companion: Companion,
  message: proto.IMessage,
  id: string,
  { retry, keys, group, shared, raw, peer, type = stanzaType(message).type }: Posting,
): Promise<void> {
  const { queue, people } = sandbox;
  const enc = isPage(companion)
    ? node('plain', {}, proto.Message.encode(message).finish())
    : await encrypted(sandbox, phone, companion, raw ?? message, { retry, keys, peer });
  const { addressing } = people.behaviourOf(phone);
  const { jid, other } = addressesOf(phone, group ? 'lid' : addressing);
  const sender = group
    ? { from: group.id, participant: jid, participant_pn: other, addressing_mode: 'lid' }
    : {
        from: jid,
        addressing_mode: addressing,
        ...(addressing === 'lid' ? { sender_pn: other } : { sender_lid: other }),
      };
  const attrs = { ...sender, ...(peer ? { category: 'peer' } : {}), id, type, t: seconds(), notify: phone.name };
  queue.add(companion, 'message', id, node('message', attrs, shared ? [enc, shared] : [enc]));
  sandbox.wake(companion);
}

async function encrypted(
  sandbox: Sandbox,
  phone: Person,
  companion: Companion,
  message: proto.IMessage | Buffer,
  { retry, keys, peer }: { [K in 'retry' | 'keys' | 'peer']: Posting[K] | undefined },
): Promise<Node> {
  const { signal, faults } = sandbox;
  const raw = Buffer.isBuffer(message);
  const plaintext = pad(raw ? message : proto.Message.encode(message).finish());
  const bundle = () => {
    const found = keys ?? sandbox.bundleOf(companion);
    if (!verifySignature(found.identityKey, typed(found.signedPreKey.publicKey), found.signedPreKey.signature)) {
      throw new Error('the bundle of a linked device is not signed by its identity');
    }
    return found;
  };
  let sealed = await signal.encrypt(phone, companion, plaintext, bundle, retry !== undefined);
  if (
    retry === undefined &&
    !peer &&
    (faults.take('bad_mac', companion.number, phone.number) ??
      faults.take('undecryptable', companion.number, phone.number))
  ) {
    sealed = spoil(sealed);
  }
  const { mediaType } = raw ? {} : stanzaType(message);
  const attrs = { v: '2', type: sealed.type, mediatype: mediaType, count: retry?.toString() };
  return node('enc', attrs, sealed.body);
}

/** Encrypts once for all who read it: what the journal tells of it, the key that each needs, and the ciphertext. */
export async function underSenderKey(sandbox: Sandbox, phone: Person, group: string, message: proto.IMessage) {
  const content = proto.Message.encode(message).finish();
  const { type, text } = describe(message);
  const { ciphertext, distribution } = await sandbox.senderKeys.encrypt(phone, group, pad(content));
  const { mediaType: mediatype } = stanzaType(message);
  return {
    said: { type, text, content, detail: { group } },
    key: { senderKeyDistributionMessage: { groupId: group, axolotlSenderKeyDistributionMessage: distribution } },
    shared: node('enc', { v: '2', type: 'skmsg', mediatype }, ciphertext),
  };
}

/** Breaks the message's authentication code. */
function spoil({ type, body }: Ciphertext): Ciphertext {
  const spoilt = Buffer.from(body);
  const last = spoilt.length - 1;
  spoilt[last] = (spoilt[last] ?? 0) ^ 0xff;
  return { type, body: spoilt };
}
