/** What a page asks of groups: as any client's stanza, under the same rights; a group is told in the page's own words. */
import type { Companion } from '../companions.ts';
import { answerGroups } from '../group_queries.ts';
import type { Group } from '../groups.ts';
import type { Sandbox } from '../sandbox.ts';
import { children, lidJid, type Node, node, pnJid } from '../wire.ts';
import { type Said, serverJid } from './page_questions.ts';

/** A stanza as JSON: its content is text or others. */
interface Asked {
  tag: string;
  attrs?: Record<string, string>;
  content?: Asked[] | string;
}

/** WhatsApp's code of a refusal, or the nodes of its answer. */
type Answered = { refused: number } | { nodes: unknown[] };

export const groups = (sandbox: Sandbox, { number }: Companion): unknown[] =>
  sandbox.groups
    .all()
    .filter((group) => sandbox.groups.roleOf(group, number))
    .map((group) => told(sandbox, group));

export function group(sandbox: Sandbox, { number }: Companion, { to, set, asked }: Said): Answered {
  const type = set === true ? 'set' : 'get';
  return answered(
    sandbox,
    answerGroups(sandbox, number, node('iq', { type, to: String(to) }, [stanza(asked as Asked)])),
  );
}

export function groupPicture(sandbox: Sandbox, { number }: Companion, { jid, picture }: Said): Answered {
  const bytes = typeof picture === 'string' ? Buffer.from(picture, 'base64') : undefined;
  const content = bytes ? [node('picture', { type: 'image' }, bytes)] : [];
  const asked = node('iq', { type: 'set', target: String(jid) }, content);
  return answered(sandbox, sandbox.profiles.answerPicture(number, asked));
}

function answered(sandbox: Sandbox, answer: Node[] | number): Answered {
  if (typeof answer === 'number') return { refused: answer };
  return { nodes: answer.map((each) => told(sandbox, sandbox.groups.find(`${each.attrs.id}@g.us`)) ?? plain(each)) };
}

const plain = (each: Node): unknown => ({ tag: each.tag, attrs: each.attrs, content: children(each).map(plain) });

function stanza({ tag, attrs = {}, content }: Asked): Node {
  const { jid } = attrs;
  const inner = typeof content === 'string' ? Buffer.from(content) : content?.map(stanza);
  return node(tag, { ...attrs, ...(jid ? { jid: serverJid(jid) } : {}) }, inner);
}

function told({ people }: Sandbox, group: Group | undefined): unknown {
  if (!group) return undefined;
  const { id, subject, owner, created, members, description, descriptionId, announce, locked, approval } = group;
  return {
    id,
    subject,
    owner: pnJid(owner),
    creation: Math.floor(created / 1000),
    desc: description,
    descId: descriptionId,
    announce,
    restrict: locked,
    membershipApprovalMode: approval,
    memberAddMode: group.memberAdd,
    ephemeralDuration: group.ephemeral,
    participants: members.map(({ number, role }) => ({
      id: pnJid(number),
      lid: lidJid(people.ensure(number).lid),
      isAdmin: role !== 'member',
      isSuperAdmin: role === 'superadmin',
    })),
  };
}
