/** Channels as WhatsApp Web has them: what the server tells of them, and what the account does there. */
import { ask, send } from './link.js';
import { createWid } from './models.js';
import { channelOf, WAWebNewsletterCollection } from './places.js';
import { keep, Msg } from './state.js';

export const MUTED_STATE = -1;
export const UNMUTED_STATE = 0;

/** The server's answer; its refusals are errors of the name by which the library knows them. */
async function operate(operation, variables = {}) {
  const answer = await ask({ type: 'channel', operation, variables });
  const refusal = answer?.errors?.[0];
  if (!refusal) return Object.values(answer.data)[0];
  const { message, extensions } = refusal;
  throw Object.assign(new Error(message), { name: 'ServerStatusCodeError', statusCode: extensions.error_code });
}

export function learnChannel({ id, thread_metadata: about, viewer_metadata: viewer }) {
  const channel = channelOf(createWid(id));
  channel.name = about.name.text;
  channel.mute.set({ expiration: viewer.mute === 'ON' ? MUTED_STATE : UNMUTED_STATE });
  channel.newsletterMetadata.set({
    name: about.name.text,
    description: about.description.text,
    inviteCode: about.invite,
    size: Number(about.subscribers_count),
    verified: about.verification === 'VERIFIED',
    membershipType: viewer.role.toLowerCase(),
    creationTime: Number(about.creation_time),
  });
  return channel;
}

const queried = (key) => operate('metadata', { input: { key, type: key.endsWith('@newsletter') ? 'JID' : 'INVITE' } });

export const NewsletterMetadataCollection = {
  update: async (id) => learnChannel(await queried(id._serialized)),
};

/** Of a channel's id, or the code of its link. */
export const loadNewsletterPreviewChat = async (key) => learnChannel(await queried(key));

export async function createNewsletterQuery({ name, description }) {
  const { id, thread_metadata: about } = await operate('create', { input: { name, description } });
  return {
    idJid: id,
    newsletterInviteLinkMetadataMixin: { inviteCode: about.invite },
    newsletterCreationTimeMetadataMixin: { creationTimeValue: Number(about.creation_time) },
  };
}

const changeChannel = (operation, channel) => operate(operation, { newsletter_id: channel.id._serialized });

export async function subscribeToNewsletterAction(channel) {
  learnChannel(await changeChannel('follow', channel));
}

export async function unsubscribeFromNewsletterAction(channel, { deleteLocalModels }) {
  learnChannel(await changeChannel('unfollow', channel));
  if (deleteLocalModels) WAWebNewsletterCollection.remove(channel);
}

export async function deleteNewsletterAction(channel) {
  await changeChannel('delete', channel);
  WAWebNewsletterCollection.remove(channel);
}

export async function updateNewsletterUserSetting({ newsletterJid, muteExpirationValue }) {
  await operate(muteExpirationValue === MUTED_STATE ? 'mute' : 'unmute', { newsletter_id: newsletterJid });
}

export async function addNewsletterMsgsRecords(messages) {
  for (const message of messages) await keep(message);
}

/** Whether the server took a post, and under which number it keeps it. */
export async function sendNewsletterMessageJob({ msg }) {
  // A model that only stands in its channel is none of the page's messages yet.
  Msg.add(msg);
  const { error, t, serverId } = await send(msg);
  return { success: !error, ack: { t, error }, serverId };
}

export async function sendNewsletterRevokeMsgs(channel, messages) {
  const results = [];
  for (const message of messages) {
    const outgoing = { type: 'revoke', target: { id: message.id.id, fromMe: true } };
    const { error } = await send({ id: message.id, to: channel.id, outgoing });
    if (!error) {
      message.set({ type: 'revoked', body: '' });
      await keep(message);
    }
    results.push({ messageSendResult: error ? 'ERROR_NETWORK' : 'OK' });
  }
  return results;
}
