/** The account itself: what it shows, whom it watches, which calls it refuses. */
import { chatModificationToAppPatch, jidNormalizedUser, S_WHATSAPP_NET, USyncQuery, USyncUser } from 'baileys';
import { ActionError } from '../../protocol.ts';
import { type Ask, type Handler, refusalOf } from './ask.ts';
import { changeState } from './chats.ts';
import { person } from './identity.ts';

const get: Handler = async ({ socket }) => {
  const { me } = socket.authState.creds;
  if (!me) throw new ActionError('E_CONNECTION_LOST');
  const jid = jidNormalizedUser(me.id);
  const asked = new USyncQuery().withStatusProtocol().withUser(new USyncUser().withId(jid));
  const [status, picture] = await Promise.all([
    socket.executeUSyncQuery(asked),
    socket.profilePictureUrl(jid, 'image').catch((error: unknown) => {
      if (refusalOf(error) === 404) return undefined;
      throw error;
    }),
  ]);
  const [answer] = (status?.list ?? []) as { status?: { status: string | null } }[];
  return { person: person(me.id, me.lid, me.name), about: answer?.status?.status || null, picture: picture ?? null };
};

const about: Handler = async ({ socket, content }) => {
  await socket.updateProfileStatus(String(content.about ?? ''));
};

/** Part of the state that the account's devices share; its phone tells the others. */
const name: Handler = async ({ socket, content }) => {
  await changeState(socket, chatModificationToAppPatch({ pushNameSetting: String(content.name ?? '') }, ''));
};

/** Baileys would want an image library; the worker's fleet has made a square JPEG of it. Without data: none. */
async function show({ socket, content }: Ask, target?: string): Promise<void> {
  const data = content.data instanceof Uint8Array ? content.data : undefined;
  await socket.query({
    tag: 'iq',
    attrs: { to: S_WHATSAPP_NET, type: 'set', xmlns: 'w:profile:picture', ...(target ? { target } : {}) },
    content: data ? [{ tag: 'picture', attrs: { type: 'image' }, content: data }] : [],
  });
}

/** WhatsApp answers nothing to it: presences come, or do not. */
const subscribe: Handler = async (ask) => {
  await ask.socket.presenceSubscribe(ask.jid());
};

const reject: Handler = async (ask) => {
  await ask.socket.rejectCall(String(ask.content.id ?? ''), ask.jid());
};

export const PROFILE: Readonly<Record<string, Handler>> = {
  'profile.get': get,
  'profile.about': about,
  'profile.name': name,
  'profile.picture': (ask) => show(ask),
  'group.picture': (ask) => show(ask, ask.jid()),
  'presence.subscribe': subscribe,
  'call.reject': reject,
};
