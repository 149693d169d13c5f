/** About people: who is on WhatsApp, what they show of themselves, whom the account blocks. */
import { type BinaryNode, isLidUser, USyncQuery, USyncUser, type WASocket } from 'baileys';
import { ActionError } from '../../protocol.ts';
import { type Ask, type Handler, refusalOf } from './ask.ts';
import { type Person, person } from './identity.ts';

/** Numbers asked about in one query. */
const BATCH = 250;

interface Checked {
  number: string;
  exists: boolean;
  pn: string | null;
  lid: string | null;
}
interface Answered {
  id: string;
  contact?: { exists: boolean; asked: string };
  lid?: string;
  status?: { status: string | null; setAt: Date };
}

/** A query whose answers keep the number as it was asked: WhatsApp answers with the account's own, in any order. */
function aboutNumbers(): USyncQuery {
  const query = new USyncQuery().withContactProtocol().withLIDProtocol();
  for (const protocol of query.protocols) {
    if (protocol.name !== 'contact') continue;
    protocol.parser = ({ attrs, content }: BinaryNode) => ({
      exists: attrs.type === 'in',
      asked: content === undefined ? '' : Buffer.from(content as Uint8Array).toString(),
    });
  }
  return query;
}

async function answersOf(socket: WASocket, query: USyncQuery): Promise<Answered[]> {
  const result = await socket.executeUSyncQuery(query);
  if (!result) throw new ActionError('E_TIMEOUT', '', true);
  return result.list as unknown as Answered[];
}

const digits = (number: string): string => number.replace(/\D/g, '');

async function check({ socket, content }: Ask): Promise<Checked[]> {
  const numbers = (content.numbers ?? []) as string[];
  const found = new Map<string, Answered>();
  for (let start = 0; start < numbers.length; start += BATCH) {
    const query = aboutNumbers();
    for (const number of numbers.slice(start, start + BATCH)) {
      query.withUser(new USyncUser().withPhone(`+${digits(number)}`));
    }
    for (const answer of await answersOf(socket, query)) {
      found.set(digits(answer.contact?.asked || answer.id.split(/[:@]/)[0] || ''), answer);
    }
  }
  return numbers.map((number) => checked(number, found.get(digits(number))));
}

function checked(number: string, answer: Answered | undefined): Checked {
  if (!answer?.contact?.exists) return { number, exists: false, pn: null, lid: null };
  const { pn, lid } = person(answer.id, answer.lid);
  return { number, exists: true, pn, lid };
}

async function info(ask: Ask): Promise<Record<string, unknown>> {
  const { socket } = ask;
  const jid = ask.jid();
  const query = (isLidUser(jid) ? new USyncQuery() : aboutNumbers()).withStatusProtocol();
  const user = new USyncUser();
  query.withUser(isLidUser(jid) ? user.withId(jid) : user.withPhone(`+${digits(jid)}`));
  const [answer] = await answersOf(socket, query);
  const exists = answer !== undefined && answer.contact?.exists !== false;
  if (!exists) return { person: person(jid), exists };
  const who = await known(socket, answer, jid);
  const at = answer.status?.setAt?.getTime();
  const [picture, business] = await Promise.all([pictureOf(socket, jid, 'image'), businessOf(socket, jid)]);
  return { person: who, exists, about: answer.status?.status || null, about_at: at || null, picture, business };
}

async function known(socket: WASocket, answer: Answered, jid: string): Promise<Person> {
  if (!isLidUser(jid)) return person(answer.id, answer.lid);
  return person(jid, await socket.signalRepository.lidMapping.getPNForLID(jid));
}

/** Null when there is none, or it is hidden from this account. */
async function pictureOf(socket: WASocket, jid: string, type: 'image' | 'preview'): Promise<string | null> {
  try {
    return (await socket.profilePictureUrl(jid, type)) ?? null;
  } catch (error) {
    if ([401, 403, 404].includes(refusalOf(error) ?? 0)) return null;
    throw error;
  }
}

async function businessOf(socket: WASocket, jid: string): Promise<Record<string, unknown> | null> {
  const profile = await socket.getBusinessProfile(jid);
  if (!profile?.wid) return null;
  const { description, category, email, address, website } = profile;
  return {
    description: description || null,
    category: category ?? null,
    email: email ?? null,
    address: address ?? null,
    websites: website ?? [],
  };
}

async function picture(ask: Ask): Promise<{ url: string | null }> {
  return { url: await pictureOf(ask.socket, ask.jid(), ask.content.preview === true ? 'preview' : 'image') };
}

const blocking =
  (action: 'block' | 'unblock'): Handler =>
  async (ask) => {
    try {
      await ask.socket.updateBlockStatus(ask.jid(), action);
    } catch (error) {
      // Baileys' own words for somebody whose two addresses WhatsApp does not tell: nothing was asked of it yet.
      if ((error as { output?: { statusCode?: number } }).output?.statusCode === 400) {
        throw new ActionError('E_NOT_ON_WHATSAPP');
      }
      throw error;
    }
  };

async function blocked({ socket }: Ask): Promise<Person[]> {
  const jids = await socket.fetchBlocklist();
  return Promise.all(
    jids
      .flatMap((jid) => (jid ? [jid] : []))
      .map(async (jid) => {
        const pn = isLidUser(jid) ? await socket.signalRepository.lidMapping.getPNForLID(jid) : null;
        return person(jid, pn);
      }),
  );
}

export const QUESTIONS: Readonly<Record<string, Handler>> = {
  'contact.check': check,
  'contact.info': info,
  'contact.picture': picture,
  'contact.block': blocking('block'),
  'contact.unblock': blocking('unblock'),
  'contact.blocked': blocked,
};
