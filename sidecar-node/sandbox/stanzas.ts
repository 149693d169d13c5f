import { type Companion, companionJid, companionLid } from './companions.ts';
import type { Person } from './people.ts';
import type { Bundle, Ciphertext } from './signal.ts';
import { bigEndian, bytesOf, child, children, lidJid, type Node, node, pnJid, seconds, unsigned } from './wire.ts';

/** Curve25519, as Signal numbers key types. */
const KEY_TYPE = Buffer.from([5]);

/** The server's answer to a message. */
export function ackOf(stanza: Node, error?: string): Node {
  const { id, to, participant } = stanza.attrs;
  return node('ack', { class: 'message', id, from: to, participant, t: seconds(), error });
}

export function receiptAckOf(stanza: Node): Node {
  const { id, to, type, participant } = stanza.attrs;
  return node('ack', { class: 'receipt', id, from: to, type, participant });
}

/** Attributes of a message that one linked device sent and another gets. */
export function forwardedAttrs(
  stanza: Node,
  from: Companion,
  { byLid, name, group, ownChat }: Forwarding,
): Record<string, string | undefined> {
  const sender = byLid ? companionLid(from) : companionJid(from);
  const other = byLid ? pnJid(from.number) : lidJid(from.lid);
  const { id, to, type, edit } = stanza.attrs;
  return {
    from: group ?? sender,
    participant: group && sender,
    [`${group ? 'participant' : 'sender'}_${byLid ? 'pn' : 'lid'}`]: other,
    addressing_mode: byLid ? 'lid' : 'pn',
    recipient: ownChat && to,
    [byLid ? 'recipient_pn' : 'recipient_lid']: ownChat && (byLid ? pnJid(ownChat.number) : lidJid(ownChat.lid)),
    id,
    type,
    edit,
    notify: name,
    t: seconds(),
  };
}

interface Forwarding {
  readonly byLid: boolean;
  readonly name: string | undefined;
  readonly group: string | undefined;
  /** The chat's other side, when the device is the sender's own. */
  readonly ownChat: Person | undefined;
}

/** The stanza's ciphertexts with the device each is for: a fan-out, or a single one sent again to whom asked. */
export function encryptions(stanza: Node): { jid: string; ciphertext: Node }[] {
  const fanOut = child(stanza, 'participants');
  if (fanOut) {
    return children(fanOut).flatMap((to) => {
      const ciphertext = child(to, 'enc');
      return ciphertext ? [{ jid: to.attrs.jid ?? '', ciphertext }] : [];
    });
  }
  const ciphertext = child(stanza, 'enc');
  if (!ciphertext || ciphertext.attrs.type === 'skmsg') return [];
  return [{ jid: stanza.attrs.participant ?? stanza.attrs.to ?? '', ciphertext }];
}

export function ciphertextOf(enc: Node): Ciphertext {
  return { type: enc.attrs.type === 'pkmsg' ? 'pkmsg' : 'msg', body: Buffer.from(bytesOf(enc) ?? Buffer.alloc(0)) };
}

/** A key bundle as `iq encrypt` and retry receipts carry it. */
export function bundleNodes({ registrationId, identityKey, signedPreKey, preKey }: Bundle): Node[] {
  const key = (id: number, publicKey: Buffer): Node[] => [
    node('id', {}, bigEndian(id, 3)),
    node('value', {}, publicKey),
  ];
  return [
    node('registration', {}, bigEndian(registrationId, 4)),
    node('type', {}, KEY_TYPE),
    node('identity', {}, identityKey),
    ...(preKey ? [node('key', {}, key(preKey.id, preKey.publicKey))] : []),
    node('skey', {}, [...key(signedPreKey.id, signedPreKey.publicKey), node('signature', {}, signedPreKey.signature)]),
  ];
}

/** The session material in a retry receipt, which a device adds from its second attempt on. */
export function retryKeys(receipt: Node): Bundle | undefined {
  const keys = child(receipt, 'keys');
  const skey = child(keys, 'skey');
  const identityKey = bytesOf(child(keys, 'identity'));
  const publicKey = bytesOf(child(skey, 'value'));
  const signature = bytesOf(child(skey, 'signature'));
  const registrationId = unsigned(bytesOf(child(receipt, 'registration')));
  if (!identityKey || !publicKey || !signature || registrationId === undefined) return undefined;
  const key = child(keys, 'key');
  const preKey = bytesOf(child(key, 'value'));
  return {
    registrationId,
    identityKey,
    signedPreKey: { id: unsigned(bytesOf(child(skey, 'id'))) ?? 0, publicKey, signature },
    preKey: preKey && { id: unsigned(bytesOf(child(key, 'id'))) ?? 0, publicKey: preKey },
  };
}
