/**
 * What runs inside WhatsApp Web's page about groups, as `in_page.ts`: the function is sent as its text and may use
 * nothing but its arguments. It asks by the library's own words for the page; the library's methods say too little: who
 * was changed, whether WhatsApp refused it, whether a group was made before something failed.
 */

/** Both addresses of somebody, as far as the page knows them. */
export interface PagePerson {
  jid: string;
  other: string | null;
}

export interface PageMember extends PagePerson {
  role: 'member' | 'admin' | 'owner';
}

export interface PageGroup {
  id: string;
  subject: string | null;
  description: string | null;
  owner: PagePerson | null;
  /** In seconds. */
  created: number | null;
  announce: boolean;
  locked: boolean;
  approval: boolean;
  member_add: 'admins' | 'all';
  disappearing_s: number;
  size: number;
  members: PageMember[];
  /** What the account is in it; null: it is not in it. */
  mine: PageMember['role'] | null;
}

/** Of one that was to be changed; `code` 200: done. Null: WhatsApp gave none. */
export interface PageOutcome extends PagePerson {
  code: number | null;
}

export interface PageRequest extends PagePerson {
  /** In seconds. */
  t: number;
  method: string;
}

/** `group`, `people`: jids. */
export interface Given {
  group?: string;
  people?: string[];
  text?: string;
  code?: string;
  on?: boolean;
  /** Of a list: behind this id (without its server), so many. */
  after?: string;
  limit?: number;
  data?: string | null;
}

/**
 * `refused` by WhatsApp before anything was done: with its number, where the page has it. `failed` with its words;
 * `begun`: what was asked may have been done all the same.
 */
export type Answer = { done: unknown } | { refused: number | null } | { failed: string; begun: boolean };

interface Wid {
  _serialized: string;
  server: string;
}

interface Participant {
  id: Wid;
  isAdmin?: boolean;
  isSuperAdmin?: boolean;
}

interface Metadata {
  id: Wid;
  subject?: string;
  desc?: string;
  descId?: string;
  owner?: Wid;
  creation?: number;
  announce?: boolean;
  restrict?: boolean;
  membershipApprovalMode?: boolean;
  memberAddMode?: string;
  ephemeralDuration?: number;
  size?: number;
  participants?: Participant[] | { serialize(): Participant[]; get(id: string | undefined): Participant | undefined };
}

interface PageChat {
  id: Wid;
  name?: string;
  groupMetadata?: Metadata;
}

type Modify = (chat: PageChat, participants: Participant[]) => Promise<unknown>;

/** The page's globals. */
interface Window {
  require(name: 'WAWebCollections'): {
    Chat: { get(id: Wid): PageChat | undefined; getModelsArray(): PageChat[] };
    ProfilePicThumb: { find(id: string): Promise<unknown> };
  };
  require(name: 'WAWebSocketModel'): { Socket: { state: string } };
  require(name: 'WAWebWidFactory'): { createWid(id: string): Wid };
  require(name: 'WAWebApiContact'): {
    getCurrentLid(wid: Wid): Wid | undefined;
    getPhoneNumber(wid: Wid): Wid | undefined;
  };
  require(name: 'WAWebUserPrefsMeUser'): {
    getMaybeMePnUser(): Wid | undefined;
    getMaybeMeLidUser(): Wid | undefined;
  };
  require(name: 'WAWebGroupQueryJob'): {
    queryAndUpdateGroupMetadataById(of: { id: string }): Promise<unknown>;
    queryGroupInvite(code: string): Promise<Metadata>;
    resetGroupInviteCode(id: Wid): Promise<{ code: string }>;
  };
  require(name: 'WAWebGroupCreateJob'): {
    createGroup(
      about: Record<string, unknown>,
      people: { phoneNumber: Wid }[],
    ): Promise<{ wid: Wid; subject?: string; participants: { wid: Wid; error?: unknown; type?: string }[] }>;
  };
  require(name: 'WAWebGroupModifyInfoJob'): {
    setGroupSubject(id: Wid, subject: string): Promise<unknown>;
    setGroupDescription(id: Wid, text: string, newId: string, replaced: string | undefined): Promise<unknown>;
  };
  require(name: 'WAWebSetPropertyGroupAction'): {
    setGroupProperty(chat: PageChat, property: string, value: 0 | 1): Promise<unknown>;
  };
  require(
    name: 'WAWebModifyParticipantsGroupAction',
  ): Record<'removeParticipants' | 'promoteParticipants' | 'demoteParticipants', Modify>;
  require(name: 'WAWebExitGroupAction'): { sendExitGroup(chat: PageChat): Promise<unknown> };
  require(name: 'WAWebMexFetchGroupInviteCodeJob'): {
    fetchMexGroupInviteCode(id: string): Promise<string | { code: string }>;
  };
  require(name: 'WAWebGroupInviteJob'): { joinGroupViaInvite(code: string): Promise<{ gid: Wid }> };
  require(name: 'WAWebApiMembershipApprovalRequestStore'): {
    getMembershipApprovalRequests(id: Wid): Promise<{ id: Wid; requestMethod?: string; t?: number }[]>;
  };
  WWebJS: {
    enforceLidAndPnRetrieval(id: string): Promise<{ lid?: Wid; phone?: Wid }>;
    getAddParticipantsRpcResult(group: Wid, who: Wid): Promise<{ code: number }>;
    membershipRequestAction(
      group: string,
      action: 'Approve' | 'Reject',
      people: string[],
      sleep: number,
    ): Promise<{ error?: number; message: string }[]>;
    setPicture(id: string, media: { mimetype: string; data: string }): Promise<boolean>;
    deletePicture(id: string): Promise<boolean | undefined>;
  };
}

/** Does one thing about groups; never rejects for what WhatsApp says. */
export async function inGroups(
  what: string,
  { group = '', people = [], text = '', code = '', on = false, data, after = '', limit = 0 }: Given,
): Promise<Answer> {
  const page = globalThis as unknown as Window;
  if (page.require('WAWebSocketModel').Socket.state !== 'CONNECTED') return { failed: 'offline', begun: false };
  const { Chat, ProfilePicThumb } = page.require('WAWebCollections');
  const { createWid } = page.require('WAWebWidFactory');
  const { getCurrentLid, getPhoneNumber } = page.require('WAWebApiContact');
  const { getMaybeMePnUser, getMaybeMeLidUser } = page.require('WAWebUserPrefsMeUser');
  const jobs = page.require('WAWebGroupQueryJob');
  const own = [getMaybeMePnUser(), getMaybeMeLidUser()].map((wid) => wid?._serialized);
  const AT_ONCE = 16;
  let begun = false;
  /** Part of it is done. */
  let acted = false;

  const personOf = (id: Wid) => {
    const wid = createWid(id._serialized);
    const other = wid.server === 'lid' ? getPhoneNumber(wid) : getCurrentLid(wid);
    return { jid: wid._serialized, other: other?._serialized ?? null };
  };
  const memberOf = ({ id, isAdmin, isSuperAdmin }: Participant): PageMember => {
    return { ...personOf(id), role: isSuperAdmin ? 'owner' : isAdmin ? 'admin' : 'member' };
  };
  const describe = (about: Metadata): PageGroup => {
    const { participants = [] } = about;
    const members = (Array.isArray(participants) ? participants : participants.serialize()).map(memberOf);
    return {
      id: about.id._serialized,
      subject: about.subject ?? null,
      description: about.desc || null,
      owner: about.owner ? personOf(about.owner) : null,
      created: about.creation ?? null,
      announce: Boolean(about.announce),
      locked: Boolean(about.restrict),
      approval: Boolean(about.membershipApprovalMode),
      member_add: about.memberAddMode === 'all_member_add' ? 'all' : 'admins',
      disappearing_s: about.ephemeralDuration ?? 0,
      size: members.length || (about.size ?? 0),
      members,
      mine: members.find(({ jid, other }) => own.includes(jid) || (other && own.includes(other)))?.role ?? null,
    };
  };
  const chatOf = (): PageChat => {
    const chat = Chat.get(createWid(group));
    if (!chat?.groupMetadata)
      throw Object.assign(new Error('no chat of this group'), { name: 'ServerStatusCodeError' });
    return chat;
  };
  const read = async (): Promise<PageGroup> => {
    await jobs.queryAndUpdateGroupMetadataById({ id: group });
    const chat = chatOf();
    const told = describe(chat.groupMetadata as Metadata);
    return { ...told, id: group, subject: told.subject ?? chat.name ?? null };
  };
  /** Each as WhatsApp names them. Empty: they are not on WhatsApp. */
  const resolved = async (jid: string): Promise<{ jid: string; lid?: Wid; phone?: Wid }> => {
    return { jid, ...(await page.WWebJS.enforceLidAndPnRetrieval(jid)) };
  };
  const outcome = (jid: string, { lid, phone }: { lid?: Wid; phone?: Wid }, done: number | null): PageOutcome => {
    const addresses = [phone?._serialized, lid?._serialized].filter((each) => each !== undefined);
    return { jid: addresses[0] ?? jid, other: addresses[1] ?? null, code: done };
  };

  /** By the page's own lists of members: what became of them it does not tell. */
  const modify = async (name: 'remove' | 'promote' | 'demote'): Promise<PageOutcome[]> => {
    const chat = chatOf();
    const { participants } = chat.groupMetadata as Metadata;
    const lookUp = (one?: Wid): Participant | undefined =>
      one && !Array.isArray(participants) ? participants?.get(one._serialized) : undefined;
    const asked = [];
    for (const jid of people) {
      const who = await resolved(jid);
      asked.push({ jid, who, found: lookUp(who.lid) ?? lookUp(who.phone) });
    }
    const present = asked.flatMap(({ found }) => found ?? []);
    if (present.length > 0) {
      begun = true;
      await page.require('WAWebModifyParticipantsGroupAction')[`${name}Participants`](chat, present);
      acted = true;
    }
    const { members } = await read();
    return asked.map(({ jid, who, found }) => {
      const now = members.find(({ jid: one }) => one === who.phone?._serialized || one === who.lid?._serialized);
      const done = name === 'remove' ? !now : now && (now.role === 'member') === (name === 'demote');
      return outcome(jid, who, found ? (done ? 200 : null) : 404);
    });
  };
  const add = async (): Promise<PageOutcome[]> => {
    const done = [];
    for (const jid of people) {
      const who = await resolved(jid);
      const wid = who.phone ?? who.lid;
      begun ||= wid !== undefined;
      const told = wid ? (await page.WWebJS.getAddParticipantsRpcResult(createWid(group), wid)).code : 404;
      acted ||= told === 200;
      done.push(outcome(jid, who, told));
    }
    // 400 is also what the library says when it heard nothing.
    if (!done.some(({ code: told }) => told === 400)) return done;
    const { members } = await read();
    return done.map((one) =>
      members.some(({ jid }) => jid === one.jid || jid === one.other)
        ? { ...one, code: one.code === 400 ? 200 : one.code }
        : one,
    );
  };
  const waiting = async () => {
    await jobs.queryAndUpdateGroupMetadataById({ id: group });
    return await page.require('WAWebApiMembershipApprovalRequestStore').getMembershipApprovalRequests(createWid(group));
  };
  const settle = async (): Promise<PageOutcome[]> => {
    const requests = await waiting();
    const done = [];
    for (const jid of people) {
      const who = await resolved(jid);
      const request = requests.find(({ id }) =>
        [who.lid, who.phone].some((one) => one?._serialized === id._serialized),
      );
      if (!request) {
        done.push(outcome(jid, who, 404));
        continue;
      }
      begun = true;
      const [told] = await page.WWebJS.membershipRequestAction(
        group,
        on ? 'Approve' : 'Reject',
        [request.id._serialized],
        0,
      );
      if (!told) throw new Error('no answer');
      acted = true;
      const refused = told.message === 'ServerStatusCodeError';
      done.push(outcome(jid, who, refused ? null : (told.error ?? 200)));
    }
    return done;
  };
  const create = async () => {
    const found = [];
    for (const jid of people) found.push(await resolved(jid));
    const about = { memberAddMode: false, membershipApprovalMode: false, announce: false, restrict: false };
    begun = true;
    const made = await page.require('WAWebGroupCreateJob').createGroup(
      { ...about, addressingModeOverride: 'lid', ephemeralDuration: 0, title: text },
      found.flatMap(({ phone, lid }) => ((phone ?? lid) ? [{ phoneNumber: (phone ?? lid) as Wid }] : [])),
    );
    const inside = made.participants.filter(({ error }) => !error || String(error) === '200');
    const participants = inside.map(({ wid, type }) => {
      return { id: wid, isAdmin: type === 'admin', isSuperAdmin: type === 'superadmin' };
    });
    return describe({ id: made.wid, subject: made.subject ?? text, participants });
  };
  /** One more than `limit`, if there are as many. A page may not have read the members of all its groups yet. */
  const list = async () => {
    const user = ({ id }: PageChat): string => id._serialized.split('@')[0] as string;
    const chats = Chat.getModelsArray().filter((chat) => chat.groupMetadata && user(chat) > after);
    chats.sort((one, other) => (user(one) < user(other) ? -1 : 1));
    const found: PageGroup[] = [];
    while (found.length <= limit && chats.length > 0) {
      const some = chats.splice(0, AT_ONCE);
      await Promise.all(some.map(load));
      for (const { id, name, groupMetadata } of some) {
        const told = describe(groupMetadata as Metadata);
        const subject = told.subject ?? name ?? null;
        if (told.mine) found.push({ ...told, id: id._serialized, subject, members: [] });
      }
    }
    return found.slice(0, limit + 1);
  };
  const load = async ({ id, groupMetadata }: PageChat): Promise<void> => {
    if (describe(groupMetadata as Metadata).members.length > 0) return;
    try {
      await jobs.queryAndUpdateGroupMetadataById({ id: id._serialized });
    } catch (error) {
      // One that was left.
      if ((error as Error).name !== 'ServerStatusCodeError') throw error;
    }
  };
  const change = async (work: () => Promise<unknown>): Promise<void> => {
    begun = true;
    await work();
  };
  const property = (name: string) => (): Promise<void> =>
    change(() => page.require('WAWebSetPropertyGroupAction').setGroupProperty(chatOf(), name, on ? 1 : 0));

  const WORK: Record<string, () => Promise<unknown>> = {
    read,
    list,
    create,
    add,
    remove: () => modify('remove'),
    promote: () => modify('promote'),
    demote: () => modify('demote'),
    settle,
    requests: async () =>
      (await waiting()).map(({ id, t, requestMethod }) => ({
        ...personOf(id),
        t: t ?? 0,
        method: requestMethod ?? '',
      })),
    subject: () => change(() => page.require('WAWebGroupModifyInfoJob').setGroupSubject(createWid(group), text)),
    // The page's own ids are for messages: the next may be promised to one.
    description: () => {
      const { descId } = chatOf().groupMetadata as Metadata;
      const id = crypto.randomUUID().replaceAll('-', '').slice(0, 20).toUpperCase();
      return change(() =>
        page.require('WAWebGroupModifyInfoJob').setGroupDescription(createWid(group), text, id, descId),
      );
    },
    announce: property('announcement'),
    locked: property('restrict'),
    member_add: property('member_add_mode'),
    leave: () => change(() => page.require('WAWebExitGroupAction').sendExitGroup(chatOf())),
    invite: () => page.require('WAWebMexFetchGroupInviteCodeJob').fetchMexGroupInviteCode(group),
    revoke: async () => {
      begun = true;
      return await jobs.resetGroupInviteCode(createWid(group));
    },
    inspect: async () => describe(await jobs.queryGroupInvite(code)),
    join: () => change(() => page.require('WAWebGroupInviteJob').joinGroupViaInvite(code)),
    picture: async () => {
      await ProfilePicThumb.find(group);
      begun = true;
      const { setPicture, deletePicture } = page.WWebJS;
      return Boolean(await (data ? setPicture(group, { mimetype: 'image/jpeg', data }) : deletePicture(group)));
    },
  };
  try {
    return { done: (await WORK[what]?.()) ?? true };
  } catch (error) {
    const { name, message, statusCode } = error as Error & { statusCode?: unknown };
    return name === 'ServerStatusCodeError' && !acted
      ? { refused: Number(statusCode) || null }
      : { failed: String(message ?? error).slice(0, 200), begun };
  }
}
