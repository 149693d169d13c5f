import { proto } from 'baileys/WAProto/index.js';
import type { Companion } from './companions.ts';
import { unpad, unwrap } from './content.ts';
import { olderFor } from './history.ts';
import { logError } from './log.ts';
import type { Sandbox } from './sandbox.ts';
import { ciphertextOf } from './stanzas.ts';
import type { Node } from './wire.ts';

/** A linked device asks its account's phone for something: older messages of a chat are sent, the rest is noted. */
export async function answerDevice(sandbox: Sandbox, from: Companion, id: string, ciphertext: Node): Promise<void> {
  const { journal, faults, people, signal, phones } = sandbox;
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
  const contact = people.ofJid(asked?.chatJid ?? '')?.number ?? '';
  journal.append({ kind: 'peer_request', ...about, contact, type: asked ? 'history' : 'other' });
  if (!asked || faults.take('silent_phone', from.number)) return;
  const answer = () => phones.sendPeer(from, olderFor(sandbox, from.number, asked, id));
  const late = faults.take('late_phone', from.number);
  if (!late) return answer();
  setTimeout(() => answer().catch((error: unknown) => logError('phone', error)), late.delayMs).unref();
}
