import { proto } from 'baileys/WAProto/index.js';
import type { Companion } from './companions.ts';
import { unpad, unwrap } from './content.ts';
import { type OlderAsked, olderFor } from './history.ts';
import { logError } from './log.ts';
import type { Sandbox } from './sandbox.ts';
import { ciphertextOf } from './stanzas.ts';
import type { Node } from './wire.ts';

/** A linked device asks its account's phone for something: older messages of a chat are sent, the rest is noted. */
export async function answerDevice(sandbox: Sandbox, from: Companion, id: string, ciphertext: Node): Promise<void> {
  const { journal, people, signal } = sandbox;
  const about = { account: from.number, device: from.device, id };
  let message: proto.IMessage;
  try {
    const plain = await signal.decrypt(people.ensure(from.number), from, ciphertextOf(ciphertext));
    message = unwrap(proto.Message.decode(unpad(plain)));
  } catch (error) {
    const text = error instanceof Error ? error.message : '';
    journal.append({ kind: 'peer_request', ...about, type: 'decrypt_failed', text });
    return;
  }
  const asked = message.protocolMessage?.peerDataOperationRequestMessage?.historySyncOnDemandRequest;
  if (asked) await answerOlder(sandbox, from, id, asked);
  else journal.append({ kind: 'peer_request', ...about, type: 'other' });
}

/** A linked device asks for older messages of a chat. */
export async function answerOlder(sandbox: Sandbox, from: Companion, id: string, asked: OlderAsked): Promise<void> {
  const { journal, faults, people, phones } = sandbox;
  const contact = people.ofJid(asked.chatJid ?? '')?.number ?? '';
  journal.append({ kind: 'peer_request', account: from.number, device: from.device, id, contact, type: 'history' });
  if (faults.take('silent_phone', from.number)) return;
  const answer = () => phones.sendPeer(from, olderFor(sandbox, from.number, asked, id));
  const late = faults.take('late_phone', from.number);
  if (!late) return answer();
  setTimeout(() => answer().catch((error: unknown) => logError('phone', error)), late.delayMs).unref();
}
