/** What a page asks of the server, beside what it sends: people, groups, the account itself. */
import { answerPage, type Variables } from '../channel_queries.ts';
import type { Companion } from '../companions.ts';
import { addressesOf } from '../people.ts';
import { accountOf } from '../profiles.ts';
import type { Sandbox } from '../sandbox.ts';
import { lidJid, node, parseJid, pnJid } from '../wire.ts';
import { group, groupPicture, groups } from './page_groups.ts';

/** What a page says. `ref` numbers its questions. */
export type Said = { type: string; ref?: number } & Record<string, unknown>;

/** A page calls a number's server `c.us`. */
export function serverJid(jid: string): string {
  const address = parseJid(jid);
  return address?.server === 'c.us' ? pnJid(address.user) : jid;
}

type Answer = (sandbox: Sandbox, { number, device }: Companion, said: Said) => unknown;

const exists: Answer = (sandbox, _, said) => {
  const address = parseJid(String(said.jid));
  const byNumber = address?.server === 'c.us' ? accountOf(sandbox, address.user) : undefined;
  const person = byNumber ?? sandbox.people.ofJid(String(said.jid));
  if (!person || !sandbox.people.behaviourOf(person).registered) return null;
  return { pn: pnJid(person.number), lid: lidJid(person.lid), name: person.name };
};

/** About, picture and business of a person, as far as this account may see them. */
const profile: Answer = ({ profiles, people, media }, { number }, said) => {
  const person = people.ofJid(serverJid(String(said.jid)));
  if (!person) return null;
  const { about, picture_id: picture, hidden, business } = profiles.of(person.number);
  const isShown = !hidden || person.number === number;
  return {
    about: isShown ? about : null,
    picture: isShown && picture ? `https://${media.host}/pps/${picture}` : null,
    business,
  };
};

const show: Answer = ({ profiles }, { number }, { about, picture }) => {
  if (typeof about === 'string') profiles.setAbout(number, about);
  if (picture !== undefined)
    profiles.setPicture(number, picture === null ? null : Buffer.from(String(picture), 'base64'));
  return true;
};

/** The list, after a change if one is asked for: each with both addresses. */
const blocked: Answer = ({ profiles, people }, { number }, { action, jid }) => {
  if (action) profiles.answerBlocklist(number, node('item', { action: String(action), jid: serverJid(String(jid)) }));
  return profiles.blocked(number).map((contact) => addressesOf(people.ensure(contact), 'pn'));
};

const channel: Answer = ({ channels }, { number }, { operation, variables }) =>
  answerPage(channels, number, String(operation), (variables ?? {}) as Variables);

const ANSWERS: Readonly<Record<string, Answer>> = {
  exists,
  groups,
  group,
  group_picture: groupPicture,
  profile,
  show,
  blocked,
  channel,
  state: ({ appState }, { number, device }, said) => appState.changeOnPhone(number, said, device),
};

export function answer(sandbox: Sandbox, companion: Companion, said: Said): unknown {
  const found = ANSWERS[said.type];
  if (!found) sandbox.countUnhandled(`page ${said.type}`);
  return found?.(sandbox, companion, said) ?? null;
}
