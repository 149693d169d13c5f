import { companionJid, companionLid } from './companions.ts';
import { FAULT_KINDS } from './faults.ts';
import type { Person } from './people.ts';
import type { Sandbox } from './sandbox.ts';

const CONTACTS_SHOWN = 2000;

/** `GET /api/state`; with `?contacts=0` without them. */
export function stateView(sandbox: Sandbox, withContacts = true): Record<string, unknown> {
  const { people, faults, pages, pairing, connections, journal } = sandbox;
  const everybody = [...people.all()];
  const phones = everybody.filter((person) => person.isPhone);
  const contacts = everybody.filter((person) => !person.isPhone);
  return {
    phones: phones.map((person) => phoneView(sandbox, person)),
    contacts: (withContacts ? contacts.slice(-CONTACTS_SHOWN) : []).map((person) => contactView(sandbox, person)),
    groups: sandbox.groups.all(),
    pending: [...pairing.pending(), ...pages.pending()],
    unhandled: Object.fromEntries(sandbox.unhandled),
    counts: {
      phones: phones.length,
      contacts: contacts.length,
      connections: connections.size,
      online: sandbox.connectionsOf(undefined).length,
      journal: journal.last,
      memory_bytes: process.memoryUsage.rss(),
      heap_bytes: process.memoryUsage().heapUsed,
    },
    defaults: people.defaults,
    fault_kinds: FAULT_KINDS,
    faults: faults.list().map(({ until, left, delayMs, ...fault }) => ({
      ...fault,
      delay_ms: delayMs,
      count: Number.isFinite(left) ? left : null,
      until: until === undefined ? null : new Date(until).toISOString(),
    })),
  };
}

function phoneView(sandbox: Sandbox, person: Person): Record<string, unknown> {
  return {
    number: person.number,
    lid: person.lid,
    name: person.name,
    companions: sandbox.companions.of(person.number).map((companion) => {
      const connection = sandbox.connectionOf(companion);
      return {
        device: companion.device,
        jid: companionJid(companion),
        lid: companionLid(companion),
        platform: companion.platform,
        connected: connection !== undefined,
        since: connection ? new Date(connection.since).toISOString() : null,
        prekeys: sandbox.companions.preKeyCount(companion),
        queued: sandbox.queue.counts(companion),
      };
    }),
  };
}

export function contactView(sandbox: Sandbox, person: Person): Record<string, unknown> {
  return { number: person.number, lid: person.lid, name: person.name, behaviour: sandbox.people.behaviourOf(person) };
}
