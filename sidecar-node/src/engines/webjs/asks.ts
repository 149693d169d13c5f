/** Questions and administration: acts that are no messages. They wait for WhatsApp beside what is sent. */
import { type ActFrame, ActionError, type Result } from '../../protocol.ts';
import type { Ask, Handler } from './ask.ts';
import { CHANNELS } from './channels.ts';
import { refused } from './failures.ts';
import { GROUPS } from './groups.ts';
import { HISTORY, type Histories } from './history.ts';
import { person, requireJid } from './identity.ts';
import { aboutOf, blockedJids, chatAmong, markUnread, ownName, setBlocked } from './in_page.ts';
import { LABELS } from './labels.ts';
import type { Client, Library, Page } from './library.ts';
import type { People } from './people.ts';

/** At once, in one session; the worker allows fewer. */
const MAX_ASKED = 64;

const archive: Handler = async ({ client, content, chat }) => {
  await (content.archived === false ? client.unarchiveChat(await chat()) : client.archiveChat(await chat()));
};

const mute: Handler = async ({ client, content, chat }) => {
  const until = content.until ? new Date(Number(content.until)) : undefined;
  await (content.muted === false ? client.unmuteChat(await chat()) : client.muteChat(await chat(), until));
};

const pin: Handler = async ({ client, content, chat }) => {
  if (content.pinned === false) await client.unpinChat(await chat());
  else if (!(await client.pinChat(await chat())))
    throw new ActionError('E_WHATSAPP_REJECTED', 'as many chats as may be are pinned');
};

const mark: Handler = async ({ page, content, chat }) => {
  await page.evaluate(markUnread, await chat(), content.unread !== false);
};

const star: Handler = async ({ content, message }) => {
  const found = await message();
  await (content.starred === false ? found.unstar() : found.star());
};

const check: Handler = async ({ client, people, content }) => {
  const found = [];
  for (const number of (content.numbers ?? []) as string[]) {
    const digits = number.replace(/\D/g, '');
    const wid = digits ? await client.getNumberId(digits) : null;
    if (!wid) found.push({ number, exists: false, pn: null, lid: null });
    else {
      const { pn, lid } = person(wid._serialized, await people.other(wid._serialized));
      found.push({ number, exists: true, pn, lid });
    }
  }
  return found;
};

const pictureOf = async ({ client, chat }: Ask): Promise<unknown> => ({
  url: (await client.getProfilePicUrl(await chat())) ?? null,
});

const blocking =
  (on: boolean): Handler =>
  async ({ page, chat }) => {
    await page.evaluate(setBlocked, await chat(), on);
  };

const blocked: Handler = async ({ page, people }) => {
  const found = [];
  for (const jid of await page.evaluate(blockedJids)) found.push(person(jid, await people.other(jid)));
  return found;
};

const profile: Handler = async ({ client, page, me }) => {
  const { pn, lid } = me;
  const [about, name] = [await page.evaluate(aboutOf, pn), await page.evaluate(ownName)];
  return { person: person(pn, lid, name), about, picture: (await client.getProfilePicUrl(pn)) ?? null };
};

const name: Handler = async ({ client, content }) => {
  if (!(await client.setDisplayName(String(content.name ?? ''))))
    throw new ActionError('E_WHATSAPP_REJECTED', 'this account does not change its name here');
};

/** The fleet has made a square JPEG of it. Without data: none. */
const show: Handler = async ({ client, library, content }) => {
  const data = content.data instanceof Uint8Array ? Buffer.from(content.data).toString('base64') : undefined;
  const done = data
    ? await client.setProfilePicture(new library.MessageMedia('image/jpeg', data, 'picture.jpg'))
    : await client.deleteProfilePicture();
  if (done === false) throw new ActionError('E_WHATSAPP_REJECTED');
};

const HANDLERS: Readonly<Record<string, Handler>> = {
  ...CHANNELS,
  ...GROUPS,
  ...HISTORY,
  ...LABELS,
  'chat.archive': archive,
  'chat.mute': mute,
  'chat.pin': pin,
  'chat.mark': mark,
  'message.star': star,
  'contact.check': check,
  'contact.picture': pictureOf,
  'contact.block': blocking(true),
  'contact.unblock': blocking(false),
  'contact.blocked': blocked,
  'profile.get': profile,
  'profile.about': ({ client, content }) => client.setStatus(String(content.about ?? '')),
  'profile.name': name,
  'profile.picture': show,
};

/** Acts that are answered here. */
export const ASKS: readonly string[] = Object.keys(HANDLERS);

export interface AskParts {
  client: Client;
  library: Library;
  people: People;
  me(): { pn: string; lid: string | undefined };
  histories: Histories;
  /** A message's key in the page. */
  find(chat: string, id: string): Promise<string>;
}

export class Asks {
  #parts: AskParts;
  #under = 0;

  constructor(parts: AskParts) {
    this.#parts = parts;
  }

  /** Undefined for an act of another kind; never rejects. */
  run(frame: ActFrame): Promise<Result> | undefined {
    const handler = HANDLERS[frame.action];
    return handler && this.#run(handler, frame);
  }

  async #run(handler: Handler, frame: ActFrame): Promise<Result> {
    const { client } = this.#parts;
    const page = client.pupPage;
    if (this.#under >= MAX_ASKED) return refused(new ActionError('E_QUEUE_FULL'));
    if (!page || page.isClosed()) return refused(new ActionError('E_CONNECTION_LOST'));
    this.#under++;
    try {
      return { ok: true, at: Date.now(), data: (await handler(this.#ask(frame, page))) ?? {} };
    } catch (error) {
      return refused(error);
    } finally {
      this.#under--;
    }
  }

  #ask(frame: ActFrame, page: Page): Ask {
    const { client, library, people, histories, find, me } = this.#parts;
    const content = frame.content ?? {};
    return {
      client,
      page,
      content,
      library,
      people,
      me: me(),
      histories,
      to: () => requireJid(frame.to),
      chat: async () => await page.evaluate(chatAmong, await people.all(requireJid(frame.to))),
      message: async () => {
        const key = await find(requireJid(frame.to), String(content.message_id ?? ''));
        const found = await client.getMessageById(key);
        if (!found) throw new ActionError('E_MESSAGE_NOT_FOUND');
        return found;
      },
    };
  }
}
