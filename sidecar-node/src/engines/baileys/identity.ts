/** WhatsApp's jids to and from the protocol's people and chats. Never one guessed from the other. */
import type { Address } from '../../protocol.ts';
import { ActionError } from '../../protocol.ts';

export interface Person {
  pn: string | null;
  lid: string | null;
  name?: string;
}
export interface Chat {
  pn: string | null;
  lid: string | null;
  group: string | null;
}

/** `user@server` without agent and device; undefined for what is neither a person nor a group. */
function split(jid: string | null | undefined): { user: string; server: string } | undefined {
  const at = jid?.indexOf('@') ?? -1;
  if (!jid || at < 1) return undefined;
  const user = jid.slice(0, at).split(':')[0]?.split('_')[0] ?? '';
  return { user, server: jid.slice(at + 1) };
}

/** Reads a person from up to two jids of the same one (a number and a LID, in either order). */
export function person(jid: string | null | undefined, alt?: string | null, name?: string | null): Person {
  const found: Person = { pn: null, lid: null };
  for (const each of [jid, alt]) {
    const parts = split(each);
    if (parts?.server === 's.whatsapp.net' || parts?.server === 'hosted') found.pn ??= `+${parts.user}`;
    else if (parts?.server === 'lid' || parts?.server === 'hosted.lid') found.lid ??= parts.user;
  }
  if (name) found.name = name;
  return found;
}

export function chat(jid: string | null | undefined, alt?: string | null): Chat {
  const parts = split(jid);
  if (parts && ['g.us', 'broadcast', 'newsletter'].includes(parts.server)) {
    return { pn: null, lid: null, group: parts.server === 'g.us' ? parts.user : (jid as string) };
  }
  const { pn, lid } = person(jid, alt);
  return { pn, lid, group: null };
}

/** Where somebody posts to whoever follows: it is nobody's chat. */
export interface Place {
  place: 'status' | 'channel';
  channel: string | null;
}

export function placeOf(jid: string): Place | undefined {
  if (jid === 'status@broadcast') return { place: 'status', channel: null };
  return jid.endsWith('@newsletter') ? { place: 'channel', channel: jid } : undefined;
}

export function jidOf(address: Address | string | null | undefined): string | undefined {
  if (typeof address === 'string') {
    if (address.includes('@')) return address;
    return address.startsWith('+') ? `${address.slice(1)}@s.whatsapp.net` : `${address}@lid`;
  }
  if (address?.group) return address.group.includes('@') ? address.group : `${address.group}@g.us`;
  if (address?.pn) return `${address.pn.replace(/^\+/, '')}@s.whatsapp.net`;
  if (address?.lid) return `${address.lid}@lid`;
  return undefined;
}

export function requireJid(address: Address | string | null | undefined): string {
  const jid = jidOf(address);
  if (!jid) throw new ActionError('E_INVALID_RECIPIENT', 'no pn, lid or group');
  return jid;
}
