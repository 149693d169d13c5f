/** What a phone does about a message that it got, by its user's behaviour: receipts and a reply, at once or later. */
import type { Companion } from './companions.ts';
import type { Described } from './content.ts';
import type { Duty } from './duties.ts';
import type { Person } from './people.ts';
import type { Sandbox } from './sandbox.ts';
import type { Shared } from './statuses.ts';
import { lidJid, node, parseJid, pnJid, seconds } from './wire.ts';

/** A message as a phone got it. */
export interface Got {
  readonly id: string;
  /** The chat as its sender addressed it. */
  readonly to: string;
  readonly described: Described;
  /** False for a repeat: it is delivered again, not answered again. */
  readonly shown: boolean;
  readonly group: Shared | undefined;
}

/** Each duty with its delay in milliseconds; null: not before the phone may deliver. */
export function dutiesOf(
  { people, faults }: Sandbox,
  phone: Person,
  from: Companion,
  { id, to, described, shown, group }: Got,
): [Duty, number | null][] {
  const behaviour = people.behaviourOf(phone);
  const base = {
    contact: phone.number,
    account: from.number,
    device: from.device,
    chat: pnOrLid(to, phone),
    id,
    ...(group ? { group: group.id } : {}),
  };
  const late = faults.peek('late_receipts', from.number, phone.number)?.delayMs ?? 0;
  const delivered = behaviour.deliver ? behaviour.deliver_delay_ms + late : null;
  const after = (delay: number): number | null => (delivered === null ? null : delivered + delay);
  const found: [Duty, number | null][] = [[{ ...base, kind: 'delivered' }, delivered]];
  if (isService(described.type) || !behaviour.read) return found;
  found.push([{ ...base, kind: 'read' }, after(behaviour.read_delay_ms)]);
  if (behaviour.play && (described.type === 'voice' || described.type === 'audio'))
    found.push([{ ...base, kind: 'played' }, after(behaviour.read_delay_ms)]);
  if (behaviour.reply === null || !shown || group || described.type === 'reaction') return found;
  const text = behaviour.reply === 'echo' ? described.text : behaviour.reply;
  found.push([{ ...base, kind: 'reply', text }, after(behaviour.read_delay_ms + behaviour.reply_delay_ms)]);
  return found;
}

/** Does a duty that is a receipt. */
export function sendReceipt(sandbox: Sandbox, phone: Person, { account, contact, device, id, ...duty }: Duty): void {
  const companion = sandbox.companions.find(account, device);
  if (!companion) return;
  const attrs = {
    from: duty.group ?? duty.chat,
    participant: duty.group && lidJid(phone.lid),
    id,
    type: duty.kind === 'delivered' ? undefined : duty.kind,
    t: seconds(),
  };
  sandbox.queue.add(companion, 'receipt', id, node('receipt', attrs));
  sandbox.journal.append({ kind: 'receipt', account, contact, device, id, type: duty.kind });
  sandbox.wake(companion);
}

/** The chat as the sender addressed it, so that receipts come from the identity that it knows. */
export function pnOrLid(to: string, phone: Person): string {
  return parseJid(to)?.server === 'lid' ? lidJid(phone.lid) : pnJid(phone.number);
}

/** Messages that a phone acts on without showing anything: they are delivered but never read. */
const isService = (type: string): boolean => type === 'protocol' || type === 'empty';
