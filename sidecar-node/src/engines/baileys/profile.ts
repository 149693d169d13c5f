/** The account itself: what it shows, whom it watches, which calls it refuses. */
import { jidNormalizedUser, USyncQuery, USyncUser } from 'baileys';
import { ActionError } from '../../protocol.ts';
import { type Handler, refusalOf } from './ask.ts';
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
  'presence.subscribe': subscribe,
  'call.reject': reject,
};
