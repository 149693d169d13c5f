/** A channel's posts, as pages say and hear them. */
import { proto } from 'baileys/WAProto/index.js';
import { bytesOf, child, type Node, node } from '../wire.ts';
import { fromPage, type PageMessage, toPage } from './translate.ts';

/** An admin takes a post back, or changes it. */
const TAKEN_BACK = '8';
const CORRECTED = '3';

/** The stanza of what a page posts. */
export function postOf(to: string, id: string, message: PageMessage): Node {
  if (message.type === 'revoke') {
    const attrs = { to, id: message.target?.id ?? '', type: 'text', edit: TAKEN_BACK };
    return node('message', attrs, [node('plaintext', {}, Buffer.alloc(0))]);
  }
  const content = proto.Message.encode(fromPage(message, to)).finish();
  return node('message', { to, id, type: 'text', media_id: message.mediaHandle }, [node('plaintext', {}, content)]);
}

/** What a page is told of a post's stanza. */
export function toldOf(stanza: Node): PageMessage {
  const { id = '', edit, is_sender: own } = stanza.attrs;
  // To a page, an author's key says so from their side.
  const target = { id, fromMe: own !== 'true' };
  if (edit === TAKEN_BACK) return { type: 'revoke', target };
  const said = toPage(proto.Message.decode(bytesOf(child(stanza, 'plaintext')) ?? Buffer.alloc(0)));
  return edit === CORRECTED ? { type: 'edit', body: said.caption ?? said.body ?? '', target } : said;
}
