import type { Group } from './groups.ts';
import type { Person } from './people.ts';
import type { Sandbox } from './sandbox.ts';
import { encryptions } from './stanzas.ts';
import type { Node } from './wire.ts';

/** Where statuses go. */
export const STATUS = { id: 'status@broadcast' };
/** What is encrypted once for all who read it: a group's messages, or a status. */
export type Shared = Pick<Group, 'id'>;

export function sharedOf({ groups }: Sandbox, to = ''): Shared | undefined {
  return to === STATUS.id ? STATUS : groups.find(to);
}

/** Whether the server hands on what somebody sends them there. */
export function mayRead({ groups }: Sandbox, shared: Shared, person: Person): boolean {
  const group = groups.find(shared.id);
  return group === undefined || groups.isMember(group, person);
}

/** A group's members; of a status, whomever its sender gave the key to. */
export function readersOf({ groups, people }: Sandbox, shared: Shared, stanza: Node): Person[] {
  const group = groups.find(shared.id);
  if (group) return group.members.map(({ number }) => people.ensure(number));
  return [...new Set(encryptions(stanza).flatMap(({ jid }) => people.ofJid(jid) ?? []))];
}
