import { randomInt } from 'node:crypto';
import type { Companion } from './companions.ts';
import type { Person } from './people.ts';
import { Refusal } from './refusal.ts';
import type { Sandbox } from './sandbox.ts';
import { bytesOf, child, children, lidJid, type Node, node, pnJid, seconds } from './wire.ts';

export interface Group {
  /** With its server: `…@g.us`. */
  readonly id: string;
  readonly owner: string;
  readonly created: number;
  subject: string;
  members: Member[];
}

interface Member {
  readonly number: string;
  readonly role: 'member' | 'admin' | 'superadmin';
}

interface GroupRow {
  id: string;
  owner: string;
  created: number;
  subject: string;
  members: string;
}

const MAX_MEMBERS = 1024;

/** Groups, addressed by LID as they are today. */
export class Groups {
  readonly #sandbox: Sandbox;
  readonly #byId = new Map<string, Group>();

  constructor(sandbox: Sandbox) {
    this.#sandbox = sandbox;
    for (const row of sandbox.store.all<GroupRow>('SELECT * FROM chat_group')) {
      this.#byId.set(row.id, { ...row, members: JSON.parse(row.members) as Member[] });
    }
  }

  all(): Group[] {
    return [...this.#byId.values()];
  }

  find(id: string): Group | undefined {
    return this.#byId.get(id);
  }

  create(owner: string, subject: string, numbers: string[]): Group {
    const members = [...new Set([owner, ...numbers])];
    if (members.length > MAX_MEMBERS) throw new Refusal(`A group has at most ${MAX_MEMBERS} members.`);
    const group: Group = {
      id: `120363${String(randomInt(10 ** 12)).padStart(12, '0')}@g.us`,
      owner,
      created: Date.now(),
      subject,
      members: members.map((number) => ({ number, role: number === owner ? 'superadmin' : 'member' })),
    };
    for (const { number } of group.members) this.#sandbox.people.ensure(number);
    this.#byId.set(group.id, group);
    this.#save(group);
    this.#tell(group, owner, node('create', { type: 'new', key: group.id }, [this.metadata(group)]));
    return group;
  }

  change(group: Group, by: string, action: 'add' | 'remove', numbers: string[]): void {
    const told = node(
      action,
      {},
      numbers.map((number) => this.#participant({ number, role: 'member' })),
    );
    // Who is removed hears of it, and who is added too.
    if (action === 'remove') this.#tell(group, by, told);
    const kept = group.members.filter(({ number }) => !numbers.includes(number));
    group.members =
      action === 'remove' ? kept : [...kept, ...numbers.map((number): Member => ({ number, role: 'member' }))];
    for (const { number } of group.members) this.#sandbox.people.ensure(number);
    if (action === 'add') this.#tell(group, by, told);
    this.#save(group);
  }

  rename(group: Group, by: string, subject: string): void {
    group.subject = subject;
    this.#save(group);
    this.#tell(group, by, node('subject', { subject, s_t: seconds() }));
  }

  metadata(group: Group): Node {
    const owner = this.#sandbox.people.ensure(group.owner);
    return node(
      'group',
      {
        id: group.id.split('@')[0],
        subject: group.subject,
        creation: seconds(group.created),
        creator: lidJid(owner.lid),
        creator_pn: pnJid(owner.number),
        s_t: seconds(group.created),
        s_o: lidJid(owner.lid),
        s_o_pn: pnJid(owner.number),
        size: String(group.members.length),
        addressing_mode: 'lid',
      },
      group.members.map((member) => this.#participant(member)),
    );
  }

  /** Answers `w:g2`; undefined when the group or the question is unknown. */
  answer(companion: Companion, stanza: Node): Node[] | undefined {
    const first = children(stanza)[0];
    if (first?.tag === 'participating') {
      const own = this.all().filter(({ members }) => members.some(({ number }) => number === companion.number));
      return [
        node(
          'groups',
          {},
          own.map((group) => this.metadata(group)),
        ),
      ];
    }
    if (first?.tag === 'create')
      return [this.metadata(this.create(companion.number, first.attrs.subject ?? '', this.#numbers(first)))];
    if (first?.tag === 'leave') {
      for (const { attrs } of children(first)) {
        const left = this.find(attrs.id ?? '');
        if (left) this.change(left, companion.number, 'remove', [companion.number]);
      }
      return [];
    }
    const group = this.find(stanza.attrs.to ?? '');
    if (!group || !first) return undefined;
    if (first.tag === 'query') return [this.metadata(group)];
    if (first.tag === 'add' || first.tag === 'remove') {
      const numbers = this.#numbers(first);
      this.change(group, companion.number, first.tag, numbers);
      return [
        node(
          first.tag,
          {},
          numbers.map((number) => this.#participant({ number, role: 'member' })),
        ),
      ];
    }
    if (first.tag === 'subject') {
      this.rename(group, companion.number, bytesOf(first)?.toString() ?? '');
      return [];
    }
    return undefined;
  }

  isMember(group: Group, person: Person): boolean {
    return group.members.some(({ number }) => number === person.number);
  }

  #numbers(parent: Node): string[] {
    return children(parent).flatMap(({ attrs }) => this.#sandbox.people.ofJid(attrs.jid ?? '')?.number ?? []);
  }

  #participant({ number, role }: Member): Node {
    const { lid } = this.#sandbox.people.ensure(number);
    return node('participant', {
      jid: lidJid(lid),
      phone_number: pnJid(number),
      type: role === 'member' ? undefined : role,
    });
  }

  #tell(group: Group, by: string, change: Node): void {
    const { lid } = this.#sandbox.people.ensure(by);
    for (const { number } of group.members) {
      for (const connection of this.#sandbox.connectionsOf(number)) {
        connection.notify(
          'w:gp2',
          { from: group.id, participant: lidJid(lid), participant_pn: pnJid(by), addressing_mode: 'lid' },
          [change],
        );
      }
    }
  }

  #save(group: Group): void {
    this.#sandbox.store.run(
      'INSERT OR REPLACE INTO chat_group VALUES (?, ?, ?, ?, ?)',
      group.id,
      group.owner,
      group.created,
      group.subject,
      JSON.stringify(group.members),
    );
    this.#sandbox.events.emit('change');
  }
}

/** The sender key that a message carries for its group, if any. */
export function skmsgOf(stanza: Node): Node | undefined {
  const enc = child(stanza, 'enc');
  return enc?.attrs.type === 'skmsg' ? enc : undefined;
}
