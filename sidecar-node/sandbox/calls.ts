import { randomBytes } from 'node:crypto';
import type { Person } from './people.ts';
import { addressesOf } from './people.ts';
import { Refusal } from './refusal.ts';
import type { Sandbox } from './sandbox.ts';
import { children, lidJid, type Node, node, pnJid, seconds } from './wire.ts';

const PRESENCES = ['available', 'unavailable', 'composing', 'recording', 'paused'];

/** What contacts do that is seen only by whoever is connected: being online, typing, calling. */
export function showPresence(sandbox: Sandbox, contact: Person, account: string, state: unknown): { reached: number } {
  if (typeof state !== 'string' || !PRESENCES.includes(state))
    throw new Refusal(`"state" must be one of ${PRESENCES.join(', ')}.`);
  const from = addressesOf(contact, sandbox.people.behaviourOf(contact).addressing).jid;
  if (state === 'available') return sendTo(sandbox, account, node('presence', { from }));
  if (state === 'unavailable')
    return sendTo(sandbox, account, node('presence', { from, type: 'unavailable', last: seconds() }));
  const typing = state === 'recording' ? node('composing', { media: 'audio' }) : node(state);
  return sendTo(sandbox, account, node('chatstate', { from }, [typing]));
}

/** Rings, or ends the call with the id given. */
export function call(
  sandbox: Sandbox,
  contact: Person,
  account: string,
  body: Record<string, unknown>,
): { id: string; reached: number } {
  const { id = randomBytes(16).toString('hex').toUpperCase(), end = false, video = false } = body;
  if (typeof id !== 'string' || !/^\w{1,64}$/.test(id)) throw new Refusal('"id" must have 1 to 64 letters or digits.');
  const about = { 'call-id': id, 'call-creator': lidJid(contact.lid), caller_pn: pnJid(contact.number) };
  const what =
    end === true
      ? node('terminate', about)
      : node('offer', about, [
          node('audio', { enc: 'opus', rate: '16000' }),
          ...(video === true ? [node('video')] : []),
        ]);
  const { reached } = sendTo(
    sandbox,
    account,
    node('call', { from: lidJid(contact.lid), id: randomBytes(8).toString('hex'), t: seconds() }, [what]),
  );
  return { id, reached };
}

/** What a client does about a call: `reject`. */
export function noteCall(sandbox: Sandbox, account: string, stanza: Node): void {
  const [what] = children(stanza);
  const contact = sandbox.people.ofJid(stanza.attrs.to ?? '')?.number ?? '';
  const id = what?.attrs['call-id'] ?? '';
  sandbox.journal.append({ kind: 'call', account, contact, id, type: what?.tag ?? '' });
}

function sendTo(sandbox: Sandbox, account: string, stanza: Node): { reached: number } {
  const connections = sandbox.connectionsOf(account);
  for (const connection of connections) connection.send(stanza);
  return { reached: connections.length };
}
