/** What people and the account show of themselves, and whom it has blocked. */
import { setGroupPicture } from './groups.js';
import { ask } from './link.js';
import { createWid, Model } from './models.js';
import { Blocklist, Conn, Contact } from './state.js';

const allowed = () => true;

export async function getStatus({ wid }) {
  const profile = await ask({ type: 'profile', jid: wid._serialized });
  return { status: profile?.about ?? undefined };
}

export const setMyStatus = (about) => ask({ type: 'show', about });

Conn.canSetMyPushname = allowed;

/** Part of the state that the account's devices share. */
export async function setPushname(name) {
  const pushNameSetting = { name };
  await ask({ type: 'state', collection: 'critical_block', index: ['setting_pushName'], action: { pushNameSetting } });
  Conn.set({ pushname: name });
}

export const ProfilePicThumb = {
  get: () => ({ canSet: allowed, canDelete: allowed }),
  find: async () => ProfilePicThumb.get(),
};

/** Undefined for who has none, or shows none to us. */
export async function requestProfilePicFromServer({ id }) {
  const profile = await ask({ type: 'profile', jid: String(id._serialized ?? id) });
  return profile?.picture ? { eurl: profile.picture } : undefined;
}

/** A JPEG as a data URL. */
export async function sendSetPicture(wid, _thumbnail, picture) {
  await showPicture(wid, picture.split(',')[1]);
  return { status: 200 };
}

export async function requestDeletePicture(wid) {
  await showPicture(wid, null);
  return { status: 200 };
}

const showPicture = (wid, picture) => (wid.isGroup() ? setGroupPicture(wid, picture) : ask({ type: 'show', picture }));

export const blockContact = ({ contact }) => changeBlocked('block', contact);
export const unblockContact = (contact) => changeBlocked('unblock', contact);

async function changeBlocked(action, { id }) {
  showBlocked(await ask({ type: 'blocked', action, jid: id._serialized }));
}

/** The list as the server has it now. */
export function showBlocked(list) {
  const addresses = (list ?? []).map(({ jid }) => createWid(jid));
  for (const known of Blocklist.getModelsArray())
    if (!addresses.some(({ _serialized }) => _serialized === known.id._serialized)) Blocklist.remove(known);
  for (const id of addresses) if (!Blocklist.get(id)) Blocklist.add(new Model({ id }));
}

Contact.find = async (id) => Contact.get(id) ?? Contact.add(new Model({ id: createWid(id) }));
