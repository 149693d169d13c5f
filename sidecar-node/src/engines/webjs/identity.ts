/** WhatsApp Web's addresses to and from the protocol's people and chats: a number's server is `c.us` there. */
import type { Address } from '../../protocol.ts';
import * as baileys from '../baileys/identity.ts';

export type { Chat, Person } from '../baileys/identity.ts';

const toServer = (jid: string | null | undefined): string | undefined => jid?.replace(/@c\.us$/, '@s.whatsapp.net');
const toPage = (jid: string): string => jid.replace(/@s\.whatsapp\.net$/, '@c.us');

export const person = (jid: string, alt?: string | null, name?: string | null): baileys.Person =>
  baileys.person(toServer(jid), toServer(alt), name);
export const chat = (jid: string, alt?: string | null): baileys.Chat => baileys.chat(toServer(jid), toServer(alt));
export const requireJid = (address: Address | string | null | undefined): string => toPage(baileys.requireJid(address));

export const isGroup = (jid: string): boolean => jid.endsWith('@g.us');
