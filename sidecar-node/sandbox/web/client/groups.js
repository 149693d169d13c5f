/** Groups as WhatsApp Web has them: what the server tells of them, and what the account does in them. */
import { ask } from './link.js';
import { Collection, createWid, Model } from './models.js';
import { chatOf, GroupMetadata, learn } from './state.js';

const GENERAL = '@g.us';

/** The nodes of the server's answer; its refusals are errors of the name by which the library knows them. */
async function nodesOf(asked) {
  const answer = await ask(asked);
  if (answer?.nodes) return answer.nodes;
  const about = { name: 'ServerStatusCodeError', statusCode: answer?.refused };
  throw Object.assign(new Error('the server refused it'), about);
}

const askOfGroup = (to, asked, set = true) => nodesOf({ type: 'group', to: String(to), set, asked });
const participantNodes = (wids) => wids.map((wid) => ({ tag: 'participant', attrs: { jid: String(wid) } }));

/** What the server says of the groups that the account is in; of others nobody is known any more. */
export async function learnGroups(groups) {
  if (!groups) return;
  for (const group of groups) await learnGroup(group);
  const known = new Set(groups.map(({ id }) => id));
  for (const metadata of GroupMetadata.getModelsArray())
    if (!known.has(metadata.id._serialized)) metadata.set({ participants: new Collection() });
}

async function learnGroup({ id, owner, participants, ...about }) {
  for (const { id: one, lid } of participants) await learn(createWid(one)._serialized, lid);
  const chat = chatOf(createWid(id));
  Object.assign(chat, { name: about.subject, formattedTitle: about.subject });
  chat.groupMetadata.set({ ...about, owner: createWid(owner), participants: membersOf(participants) });
  if (!GroupMetadata.get(chat.id)) GroupMetadata.add(chat.groupMetadata);
}

function membersOf(participants) {
  const members = new Collection();
  for (const { id, isAdmin, isSuperAdmin } of participants)
    members.add(new Model({ id: createWid(id), isAdmin, isSuperAdmin }));
  return members;
}

GroupMetadata.update = async () => learnGroups(await ask({ type: 'groups' }));

export async function queryAndUpdateGroupMetadataById({ id }) {
  await askOfGroup(id, { tag: 'query', attrs: { request: 'interactive' } }, false);
  await GroupMetadata.update();
}

export async function queryGroupInvite(code) {
  const [{ id, owner, participants, ...about }] = await askOfGroup(GENERAL, { tag: 'invite', attrs: { code } }, false);
  const members = participants.map(({ id: one, ...role }) => ({ ...role, id: createWid(one) }));
  return { ...about, id: createWid(id), owner: createWid(owner), size: members.length, participants: members };
}

export async function joinGroupViaInvite(code) {
  const [{ attrs }] = await askOfGroup(GENERAL, { tag: 'invite', attrs: { code } });
  return { gid: createWid(attrs.jid) };
}

export async function fetchMexGroupInviteCode(id) {
  const [{ attrs }] = await askOfGroup(id, { tag: 'invite' }, false);
  return attrs.code;
}

export async function resetGroupInviteCode(wid) {
  const [{ attrs }] = await askOfGroup(wid, { tag: 'invite' });
  return { code: attrs.code };
}

export async function createGroup({ title }, participants) {
  const content = participantNodes(participants.map(({ phoneNumber }) => phoneNumber));
  const [made] = await askOfGroup(GENERAL, {
    tag: 'create',
    attrs: { subject: title, key: crypto.randomUUID() },
    content,
  });
  const inside = made.participants.map(({ id, isSuperAdmin }) => ({
    wid: createWid(id),
    type: isSuperAdmin ? 'superadmin' : undefined,
  }));
  const isInside = (wid) => inside.some(({ wid: one }) => one._serialized === wid._serialized);
  const refused = participants.filter(({ phoneNumber }) => !isInside(phoneNumber));
  return {
    wid: createWid(made.id),
    subject: made.subject,
    participants: [...inside, ...refused.map(({ phoneNumber: wid }) => ({ wid, error: 403 }))],
  };
}

export const setGroupSubject = (wid, subject) => askOfGroup(wid, { tag: 'subject', content: subject });

export async function setGroupDescription(wid, text, id, replaced) {
  const prev = replaced ? { prev: replaced } : {};
  const content = [{ tag: 'body', content: text }];
  const attrs = text ? { id, ...prev } : { delete: 'true', ...prev };
  await askOfGroup(wid, { tag: 'description', attrs, ...(text ? { content } : {}) });
}

const PROPERTIES = {
  announcement: (on) => ({ tag: on ? 'announcement' : 'not_announcement' }),
  restrict: (on) => ({ tag: on ? 'locked' : 'unlocked' }),
  member_add_mode: (all) => ({ tag: 'member_add_mode', content: all ? 'all_member_add' : 'admin_add' }),
};

export const setGroupProperty = (chat, property, value) => askOfGroup(chat.id, PROPERTIES[property](value));

const modifying = (tag) => (chat, participants) =>
  askOfGroup(chat.id, { tag, content: participantNodes(participants.map(({ id }) => id)) });

export const removeParticipants = modifying('remove');
export const promoteParticipants = modifying('promote');
export const demoteParticipants = modifying('demote');

export const sendExitGroup = ({ id }) =>
  askOfGroup(GENERAL, { tag: 'leave', content: [{ tag: 'group', attrs: { id: id._serialized } }] });

export const widToUserJid = (wid) => wid._serialized.replace(/@c\.us$/, '@s.whatsapp.net');

const argumentNodes = ({ participantArgs }) => participantNodes(participantArgs.map(({ participantJid: jid }) => jid));

/** As the generated functions answer that send such a stanza. */
export async function sendAddParticipantsRPC({ iqTo, participantArgs }) {
  try {
    const [{ content }] = await askOfGroup(iqTo, { tag: 'add', content: argumentNodes({ participantArgs }) });
    const added = content.map(({ attrs: { error } }) => ({
      addParticipantsParticipantAddedOrNonRegisteredWaUserParticipantErrorLidResponseMixinGroup: {
        value: { addParticipantsParticipantMixins: error ? { value: { error } } : undefined },
      },
    }));
    return { name: 'AddParticipantsResponseSuccess', value: { addParticipant: added } };
  } catch ({ statusCode: code }) {
    const value = { errorAddParticipantsClientErrors: { value: { code } } };
    return { name: 'AddParticipantsResponseClientError', value };
  }
}

export async function getMembershipApprovalRequests(wid) {
  const [{ content }] = await askOfGroup(wid, { tag: 'membership_approval_requests' }, false);
  return content.map(({ attrs }) => {
    const id = createWid(attrs.phone_number);
    return { id, addedBy: id, parentGroupId: null, requestMethod: 'InviteLink', t: Number(attrs.request_time) };
  });
}

export async function sendMembershipRequestsActionRPC({ iqTo, approveArgs, rejectArgs }) {
  const tag = approveArgs ? 'approve' : 'reject';
  const inner = { tag, content: argumentNodes(approveArgs ?? rejectArgs) };
  try {
    const [{ content }] = await askOfGroup(iqTo, { tag: 'membership_requests_action', content: [inner] });
    const participant = content[0].content.map(({ attrs: { jid, error } }) => {
      const mixins = error ? { value: { error } } : undefined;
      return approveArgs
        ? { jid, membershipRequestsActionAcceptParticipantMixins: mixins }
        : { jid, membershipRequestsActionRejectParticipantMixins: mixins };
    });
    const name = approveArgs ? 'membershipRequestsActionApprove' : 'membershipRequestsActionReject';
    return { name: 'MembershipRequestsActionResponseSuccess', value: { [name]: { participant } } };
  } catch {
    return { name: 'MembershipRequestsActionResponseClientError' };
  }
}

export const setGroupPicture = (wid, picture) => nodesOf({ type: 'group_picture', jid: wid._serialized, picture });
