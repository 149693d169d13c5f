import { isPage } from './companions.ts';
import type { Person } from './people.ts';
import { accountOf } from './profiles.ts';
import type { Sandbox } from './sandbox.ts';
import { child, children, lidJid, type Node, node, pnJid, seconds } from './wire.ts';

/** Answers `usync`: for each user asked about, what each protocol in the query wants to know. */
export function answerUsync(sandbox: Sandbox, account: string, usync: Node | undefined): Node[] {
  const protocols = children(child(usync, 'query')).map(({ tag }) => tag);
  const users = children(child(usync, 'list')).map((user) => answerUser(sandbox, account, protocols, user));
  const done = protocols.map((protocol) => node(protocol));
  return [
    node(
      'usync',
      {
        context: usync?.attrs.context,
        mode: usync?.attrs.mode,
        sid: usync?.attrs.sid,
        last: 'true',
        index: '0',
      },
      [node('result', {}, done), node('list', {}, users)],
    ),
  ];
}

function answerUser(sandbox: Sandbox, account: string, protocols: string[], user: Node): Node {
  const { people } = sandbox;
  const asked = user.attrs.jid;
  const contact = child(user, 'contact')?.content;
  const phone =
    contact === undefined
      ? ''
      : Buffer.from(contact as Uint8Array | string)
          .toString()
          .replace(/\D/g, '');
  const person = asked ? people.ofJid(asked) : accountOf(sandbox, phone);
  const jid = asked ?? pnJid(person?.number ?? phone);
  // Only accounts can gain devices; remembering every contact asked about would grow without end.
  if (person?.isPhone && protocols.includes('devices')) sandbox.watchDevices(person.number, account);
  const registered = person !== undefined && people.behaviourOf(person).registered;
  const answers = protocols.flatMap((protocol) =>
    answerProtocol(sandbox, protocol, registered ? person : undefined, phone, account),
  );
  return node('user', { jid }, answers);
}

function answerProtocol(
  sandbox: Sandbox,
  protocol: string,
  person: Person | undefined,
  phone: string,
  asker: string,
): Node[] {
  if (protocol === 'contact')
    return [node('contact', { type: person ? 'in' : 'out' }, phone ? Buffer.from(`+${phone}`) : undefined)];
  if (!person) return [];
  if (protocol === 'lid') return [node('lid', { val: lidJid(person.lid) })];
  if (protocol === 'devices') {
    const companions = sandbox.companions.of(person.number).filter((companion) => !isPage(companion));
    return [
      node('devices', {}, [
        node('device-list', { hash: '2:sandbox' }, [
          node('device', { id: '0' }),
          ...companions.map(({ device, keyIndex }) =>
            node('device', { id: String(device), 'key-index': String(keyIndex) }),
          ),
        ]),
        node('key-index-list', { ts: seconds() }),
      ]),
    ];
  }
  if (protocol === 'status') return [sandbox.profiles.status(person, asker)];
  if (protocol === 'disappearing_mode') return [node('disappearing_mode', { duration: '0', t: '0' })];
  return [];
}
