import { randomBytes, randomInt } from 'node:crypto';
import type { Person } from './people.ts';
import { Refusal } from './refusal.ts';
import type { Sandbox } from './sandbox.ts';
import { child, lidJid, type Node, node, pnJid, seconds } from './wire.ts';

export interface Group extends Traits {
  /** With its server: `…@g.us`. */
  readonly id: string;
  readonly owner: string;
  readonly created: number;
  subject: string;
  members: Member[];
}

export interface Member {
  readonly number: string;
  role: 'member' | 'admin' | 'superadmin';
}

/** Who waits to be let in. */
interface JoinRequest {
  readonly number: string;
  readonly at: number;
}

interface Traits {
  description: string | null;
  descriptionId: string | null;
  /** Only admins send. */
  announce: boolean;
  /** Only admins change what the group shows. */
  locked: boolean;
  /** Who joins by the link waits for an admin. */
  approval: boolean;
  memberAdd: 'admin_add' | 'all_member_add';
  /** Seconds after which messages disappear. */
  ephemeral: number;
  invite: string;
  requests: JoinRequest[];
}

export type Change = 'add' | 'remove' | 'promote' | 'demote';

const SCHEMA = 'CREATE TABLE IF NOT EXISTS group_traits (id TEXT PRIMARY KEY, traits TEXT NOT NULL) WITHOUT ROWID;';
const inviteCode = (): string => randomBytes(16).toString('base64url');

function newTraits(): Traits {
  return {
    description: null,
    descriptionId: null,
    announce: false,
    locked: false,
    approval: false,
    memberAdd: 'admin_add',
    ephemeral: 0,
    invite: inviteCode(),
    requests: [],
  };
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
    sandbox.store.exec(SCHEMA);
    const traits = sandbox.store.all<{ id: string; traits: string }>('SELECT * FROM group_traits');
    const known = new Map(traits.map((row) => [row.id, JSON.parse(row.traits) as Traits]));
    for (const row of sandbox.store.all<GroupRow>('SELECT * FROM chat_group')) {
      const members = JSON.parse(row.members) as Member[];
      this.#byId.set(row.id, { ...newTraits(), ...known.get(row.id), ...row, members });
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
      ...newTraits(),
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

  /** Changes who is in it and as what; WhatsApp's code for each: 200, or why not. */
  change(group: Group, by: string, action: Change, numbers: string[]): Map<string, number> {
    const codes = new Map(numbers.map((number) => [number, this.#may(group, action, number)]));
    const done = numbers.filter((number) => codes.get(number) === 200);
    if (done.length === 0) return codes;
    const members = done.map((number): Member => ({ number, role: action === 'promote' ? 'admin' : 'member' }));
    const told = node(
      action,
      {},
      members.map((member) => this.participant(member)),
    );
    // Who is removed hears of it, and who is added too.
    if (action === 'remove') this.#tell(group, by, told);
    const kept = group.members.filter(({ number }) => !done.includes(number));
    group.members = action === 'remove' ? kept : [...kept, ...members];
    group.requests = group.requests.filter(({ number }) => !done.includes(number));
    for (const { number } of group.members) this.#sandbox.people.ensure(number);
    if (action !== 'remove') this.#tell(group, by, told);
    this.#save(group);
    return codes;
  }

  #may(group: Group, action: Change, number: string): number {
    const person = this.#sandbox.people.ensure(number);
    const there = this.roleOf(group, number);
    if (action !== 'add') return there ? 200 : 404;
    if (there) return 409;
    const { registered, addable } = this.#sandbox.people.behaviourOf(person);
    if (!registered) return 404;
    return addable ? 200 : 403;
  }

  /** Somebody comes by the link: in at once, or (`approval`) waiting. True when in. */
  join(group: Group, number: string): boolean {
    if (group.approval) {
      if (!group.requests.some((request) => request.number === number)) group.requests.push({ number, at: Date.now() });
      this.#save(group);
      const who = this.participant({ number, role: 'member' });
      this.#tell(group, number, node('created_membership_requests', { request_method: 'invite_link' }, [who]));
      return false;
    }
    group.members = [...group.members, { number, role: 'member' }];
    this.#sandbox.people.ensure(number);
    this.#tell(group, number, node('add', { reason: 'invite' }, [this.participant({ number, role: 'member' })]));
    this.#save(group);
    return true;
  }

  /** Lets in who waits, or does not; the codes as of `change`. */
  settle(group: Group, by: string, approve: boolean, numbers: string[]): Map<string, number> {
    const waiting = new Set(group.requests.map(({ number }) => number));
    const codes = new Map(numbers.map((number) => [number, waiting.has(number) ? 200 : 404]));
    const due = numbers.filter((number) => waiting.has(number));
    group.requests = group.requests.filter(({ number }) => !due.includes(number));
    this.#save(group);
    if (approve) this.change(group, by, 'add', due);
    else
      for (const number of due) {
        const who = this.participant({ number, role: 'member' });
        this.#tell(group, by, node('revoked_membership_requests', {}, [who]));
      }
    return codes;
  }

  /** Sets what the group is like, and tells its members by `told`. */
  set(group: Group, by: string, traits: Partial<Traits>, told: Node): void {
    Object.assign(group, traits);
    this.#save(group);
    this.#tell(group, by, told);
  }

  revoke(group: Group, by: string): string {
    const invite = inviteCode();
    this.set(group, by, { invite }, node('invite', { code: invite }));
    return invite;
  }

  invitedBy(code: string): Group | undefined {
    return this.all().find(({ invite }) => invite === code);
  }

  roleOf(group: Group, number: string): Member['role'] | undefined {
    return group.members.find((member) => member.number === number)?.role;
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
      [...this.#traits(group), ...group.members.map((member) => this.participant(member))],
    );
  }

  #traits(group: Group): Node[] {
    const { description, descriptionId, announce, locked, approval, memberAdd, ephemeral } = group;
    return [
      ...(description === null
        ? []
        : [node('description', { id: descriptionId ?? '' }, [node('body', {}, Buffer.from(description))])]),
      ...(announce ? [node('announcement')] : []),
      ...(locked ? [node('locked')] : []),
      ...(ephemeral ? [node('ephemeral', { expiration: String(ephemeral) })] : []),
      ...(approval ? [node('membership_approval_mode', {}, [node('group_join', { state: 'on' })])] : []),
      node('member_add_mode', {}, Buffer.from(memberAdd)),
    ];
  }

  isMember(group: Group, person: Person): boolean {
    return group.members.some(({ number }) => number === person.number);
  }

  participant({ number, role }: Member): Node {
    const { lid } = this.#sandbox.people.ensure(number);
    return node('participant', {
      jid: lidJid(lid),
      phone_number: pnJid(number),
      type: role === 'member' ? undefined : role,
    });
  }

  /** Every member's devices hear that the group has another picture, or (null) none. */
  tellPicture(group: Group, by: string, id: string | null): void {
    const { lid } = this.#sandbox.people.ensure(by);
    const change = id ? node('set', { id, author: lidJid(lid) }) : node('delete', { author: lidJid(lid) });
    for (const { number } of group.members)
      for (const connection of this.#sandbox.connectionsOf(number))
        connection.notify('picture', { from: group.id }, [change]);
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
    const { id, owner: _, created: __, subject: ___, members: ____, ...traits } = group;
    this.#sandbox.store.run('INSERT OR REPLACE INTO group_traits VALUES (?, ?)', id, JSON.stringify(traits));
    this.#sandbox.events.emit('change');
  }
}

/** The sender key that a message carries for its group, if any. */
export function skmsgOf(stanza: Node): Node | undefined {
  const enc = child(stanza, 'enc');
  return enc?.attrs.type === 'skmsg' ? enc : undefined;
}
