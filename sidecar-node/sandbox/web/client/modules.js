/** `window.require` as whatsapp-web.js knows it: the modules of WhatsApp Web that it reaches for. */
import {
  addAndSendMsgToChat,
  alternateOf,
  findOrCreateLatestChat,
  forwardMessages,
  presence,
  queryWidExists,
  sendMessageEdit,
  sendPinInChatMsg,
  sendReactionToMsg,
  sendRevokeMsgs,
  sendSeen,
} from './actions.js';
import {
  addNewsletterMsgsRecords,
  createNewsletterQuery,
  deleteNewsletterAction,
  loadNewsletterPreviewChat,
  MUTED_STATE,
  NewsletterMetadataCollection,
  sendNewsletterMessageJob,
  sendNewsletterRevokeMsgs,
  subscribeToNewsletterAction,
  UNMUTED_STATE,
  unsubscribeFromNewsletterAction,
  updateNewsletterUserSetting,
} from './channels.js';
import {
  createGroup,
  demoteParticipants,
  fetchMexGroupInviteCode,
  getMembershipApprovalRequests,
  joinGroupViaInvite,
  promoteParticipants,
  queryAndUpdateGroupMetadataById,
  queryGroupInvite,
  removeParticipants,
  resetGroupInviteCode,
  sendAddParticipantsRPC,
  sendExitGroup,
  sendMembershipRequestsActionRPC,
  setGroupDescription,
  setGroupProperty,
  setGroupSubject,
  widToUserJid,
} from './groups.js';
import { reactionTableMode } from './inbox.js';
import { Label } from './labels.js';
import { CallCollection, keys, linkByCode, start } from './link.js';
import { archiveChat, markChatUnread, pinChat, sendDeleteMsgs, sendStarMsgs, sendUnstarMsgs } from './marks.js';
import {
  downloadManager,
  encryptAndUpload,
  getOrCreateMediaObject,
  OpaqueData,
  prepRawMedia,
  uploadMedia,
  uploadUnencryptedMedia,
} from './media.js';
import { createWid, MsgKey } from './models.js';
import { loadEarlierMsgs, sendPeerDataOperationRequest } from './past.js';
import {
  blockContact,
  getStatus,
  ProfilePicThumb,
  requestDeletePicture,
  requestProfilePicFromServer,
  sendSetPicture,
  setMyStatus,
  setPushname,
  unblockContact,
} from './people.js';
import { Status, WAWebNewsletterCollection } from './places.js';
import { Blocklist, Chat, Cmd, Conn, Contact, GroupMetadata, keep, Msg, Mute, me, Socket } from './state.js';
import {
  sendStatusMediaMsgAction,
  sendStatusRevokeMsgAction,
  sendStatusTextMsgAction,
  updateMediaMsg,
} from './statuses.js';
import { pollVoteTableMode, sendVote, votesTable } from './votes.js';

const nothing = async () => undefined;
const no = () => false;
const yes = () => true;
/** An address as somebody's other one, when that is known and of the kind asked for. */
const otherOf = (server) => (wid) => (wid.server === server ? wid : alternateOf(wid));

Object.assign(Cmd, {
  sendRevokeMsgs,
  sendDeleteMsgs,
  sendStarMsgs,
  sendUnstarMsgs,
  archiveChat,
  pinChat,
  markChatUnread,
  refreshQR: () => location.reload(),
});
Chat.find = async (id) => Chat.get(id) ?? (await findOrCreateLatestChat(createWid(id))).chat;

const LINK = /https?:\/\/[^\s<>"]+/g;
const linksIn = (text) =>
  [...String(text ?? '').matchAll(LINK)].map(([href]) => ({ href, suspiciousCharacters: new Set() }));

const modules = {
  WAWebSocketModel: { Socket },
  WAWebCmd: { Cmd },
  WAWebConnModel: { Conn },
  WAWebCollections: {
    Msg,
    Chat,
    Contact,
    GroupMetadata,
    Mute,
    Blocklist,
    Label,
    ProfilePicThumb,
    Status,
    WAWebNewsletterCollection,
    NewsletterMetadataCollection,
  },
  WAWebContactStatusBridge: { getStatus, setMyStatus },
  WAWebSetPushnameConnAction: { setPushname },
  WAWebContactProfilePicThumbBridge: { requestProfilePicFromServer, sendSetPicture, requestDeletePicture },
  WAWebBlockContactUtils: { getContactToBlockOnlyUseIfNoAssociatedChat: (contact) => contact },
  WAWebBlockContactAction: { blockContact, unblockContact },
  WAWebCallCollection: CallCollection,
  WAWebOfflineHandler: { OfflineMessageHandler: { getOfflineDeliveryProgress: () => 100 } },
  WAWebAltDeviceLinkingApi: {
    setPairingType: nothing,
    initializeAltDeviceLinking: nothing,
    initializeQRLinking: nothing,
    startAltLinkingFlow: linkByCode,
  },
  WABase64: { encodeB64: (text) => text },
  WAWebCompanionRegClientUtils: { DEVICE_PLATFORM: 1 },
  WAWebAdvSignatureApi: {},
  WAWebUserPrefsInfoStore: { waNoiseInfo: { get: async () => ({ staticKeyPair: { pubKey: keys.noise } }) } },
  WAWebSignalStoreApi: {
    waSignalStore: { getRegistrationInfo: async () => ({ identityKeyPair: { pubKey: keys.identity } }) },
  },
  WAWebUserPrefsMultiDevice: { getADVSecretKey: () => keys.adv },
  WAWebUserPrefsMeUser: { getMaybeMePnUser: () => me.pn, getMaybeMeLidUser: () => me.lid },
  WAWebSyncGatingUtils: {},
  WAWebMiscBrowserUtils: { info: () => ({}) },
  WALinkify: { findLink: (text) => linksIn(text)[0], findLinks: linksIn },
  WAWebLinkPreviewChatAction: { getLinkPreview: nothing },
  WAWebWidFactory: { createWid, createWidFromWidLike: createWid, asUserWidOrThrow: (wid) => wid },
  WAWebApiContact: {
    getCurrentLid: otherOf('lid'),
    getPhoneNumber: otherOf('c.us'),
    getAlternateUserWid: alternateOf,
  },
  WAWebLidMigrationUtils: { toPn: otherOf('c.us') },
  WAWebQueryExistsJob: { queryWidExists },
  WAWebFindChatAction: { findOrCreateLatestChat },
  WAWebChatGetters: { getIsNewsletter: ({ id }) => id.isNewsletter(), getIsBroadcast: ({ id }) => id.isStatus() },
  WAWebChatLoadMessages: { loadEarlierMsgs },
  WAWebSendNonMessageDataRequest: { sendPeerDataOperationRequest },
  WAWebStreamModel: { Stream: { markAvailable: nothing, markUnavailable: nothing } },
  WAWebUpdateUnreadChatAction: { sendSeen },
  WAWebPresenceChatAction: {
    sendPresenceAvailable: async () => presence('available'),
    sendPresenceUnavailable: async () => presence('unavailable'),
  },
  WAWebChatStateBridge: {
    sendChatStateComposing: async (wid) => presence('composing', wid),
    sendChatStateRecording: async (wid) => presence('recording', wid),
    sendChatStatePaused: async (wid) => presence('paused', wid),
  },
  WAWebMsgKey: MsgKey,
  WAWebGetEphemeralFieldsMsgActionsUtils: { getEphemeralFields: () => ({}) },
  WAWebSendMsgChatAction: { addAndSendMsgToChat },
  WAWebMsgReply: { canReplyMsg: yes },
  WAWebMsgActionCapability: {
    canSenderRevokeMsg: ({ id }) => id.fromMe,
    canAdminRevokeMsg: no,
    canEditText: ({ id, type }) => id.fromMe && type === 'chat',
    canEditCaption: ({ id, caption }) => id.fromMe && caption !== undefined,
    canStarMsg: yes,
  },
  WAWebSendMessageEditAction: { sendMessageEdit },
  WAWebSendReactionMsgAction: { sendReactionToMsg },
  WAWebAddonReactionTableMode: { reactionTableMode },
  WAWebAddonPollVoteTableMode: { pollVoteTableMode },
  WAWebPollsVotesSchema: { getTable: () => votesTable },
  WAWebPollsSendVoteMsgAction: { sendVote },
  WAWebChatForwardMessage: { forwardMessages },
  WAWebPinMsgConstants: { getPinExpiryDuration: () => 604_800 },
  WAWebSendPinMessageAction: { sendPinInChatMsg },
  WAWebVcardParsingUtils: { parseVcard: (text) => ({ name: /^FN[^:]*:(.*)$/m.exec(text)?.[1]?.trim() }) },
  WAWebVcardGetNameFromParsed: { vcardGetNameFromParsed: ({ name }) => name },
  WAWebMediaOpaqueData: OpaqueData,
  WAWebPrepRawMedia: { prepRawMedia },
  WAWebMediaStorage: { getOrCreateMediaObject },
  WAWebMmsMediaTypes: { msgToMediaType: ({ type }) => type, castToV4: (type) => type },
  WAWebMediaDataUtils: { shouldUseMediaCache: no },
  WAWebMediaMmsV4Upload: { uploadMedia, uploadUnencryptedMedia },
  WAWebUploadManager: { encryptAndUpload },
  WAWebStartMediaUploadQpl: { startMediaUploadQpl: () => ({}) },
  WAWebDownloadManager: { downloadManager },
  WAMediaCalculateFilehash: { getRandomFilehash: nothing },
  WAWebMediaUpdateMsg: updateMediaMsg,
  WAWebStatusGatingUtils: { canCheckStatusRankingPosterGating: no },
  WAWebSendStatusMsgAction: { sendStatusTextMsgAction, sendStatusMediaMsgAction },
  WAWebRevokeStatusAction: { sendStatusRevokeMsgAction },
  WAJids: { toNewsletterJid: String },
  WAWebJidToWid: { newsletterJidToWid: createWid, userJidToUserWid: createWid },
  WAWebMsgDataFromModel: { msgDataFromMsgModel: (message) => message },
  WAWebLoadNewsletterPreviewChatAction: { loadNewsletterPreviewChat },
  WAWebNewsletterGatingUtils: { isNewsletterCreationEnabled: yes },
  WAWebNewsletterCreateQueryJob: { createNewsletterQuery },
  WAWebNewsletterSubscribeAction: { subscribeToNewsletterAction },
  WAWebNewsletterUnsubscribeAction: { unsubscribeFromNewsletterAction },
  WAWebNewsletterDeleteAction: { deleteNewsletterAction },
  WAWebNewsletterModelUtils: { ADMIN_NOTIFICATIONS: 'admin_notifications', MUTED_STATE, UNMUTED_STATE },
  WAWebNewsletterUpdateUserSettingJob: { updateNewsletterUserSetting },
  WAWebNewsletterUpdateMsgsRecordsJob: { addNewsletterMsgsRecords, updateNewsletterMsgRecord: keep },
  WAWebNewsletterSendMessageJob: { sendNewsletterMessageJob },
  WAWebNewsletterRevokeMsgAction: { sendNewsletterRevokeMsgs },
  WAWebGroupQueryJob: { queryAndUpdateGroupMetadataById, queryGroupInvite, resetGroupInviteCode },
  WAWebGroupCreateJob: { createGroup },
  WAWebGroupModifyInfoJob: { setGroupSubject, setGroupDescription },
  WAWebSetPropertyGroupAction: { setGroupProperty },
  WAWebModifyParticipantsGroupAction: { removeParticipants, promoteParticipants, demoteParticipants },
  WAWebExitGroupAction: { sendExitGroup },
  WAWebMexFetchGroupInviteCodeJob: { fetchMexGroupInviteCode },
  WAWebGroupInviteJob: { joinGroupViaInvite },
  WAWebApiMembershipApprovalRequestStore: { getMembershipApprovalRequests },
  WASmaxGroupsAddParticipantsRPC: { sendAddParticipantsRPC },
  WASmaxGroupsMembershipRequestsActionRPC: { sendMembershipRequestsActionRPC },
  WAWebWidToJid: { widToGroupJid: String, widToUserJid },
};

window.require = (name) => {
  const found = modules[name];
  if (!found) throw new Error(`no module ${name}`);
  return found;
};
if (SANDBOX.choosesIds) Object.freeze(MsgKey);
window.Debug = { VERSION: '2.3000.1099999999' };
start();
