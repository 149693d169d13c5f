import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Gateway, SandboxProcess, until } from './harness.ts';

const ACCOUNT = '5511900000011';
const OTHER = '5511900000012';
const sandbox = new SandboxProcess();
const one = new Gateway(sandbox);
const two = new Gateway(sandbox);

before(async () => {
  await sandbox.start();
  await one.pair(ACCOUNT);
  await two.pair(OTHER);
});
after(async () => {
  await one.close();
  await two.close();
  await sandbox.dispose();
});

const jid = (number: string): string => `${number}@s.whatsapp.net`;
const receive = async (contact: string, body: Record<string, unknown>): Promise<string> =>
  (await sandbox.call('POST', `/api/contacts/${contact}/send`, { to: ACCOUNT, ...body })).ids[0];
const arrived = (id: string) => until(`message ${id} arrives`, () => one.messages.find(({ key }) => key.id === id));

test('A text reaches the contact and its ack, delivered and read receipts come back.', async () => {
  const id = await one.send('5511911111111', { text: 'olá' });
  const entry = await sandbox.entry({ id, kind: 'message' });
  assert.equal(entry.text, 'olá');
  await until('it is read', () => one.status(id) === 4);
  assert.ok(Number(one.ack(id)?.t) > 0);
  const types = (await sandbox.entries({ id, kind: 'receipt' })).map((entry) => entry.type);
  assert.deepEqual(types, ['delivered', 'read']);
});

test('A contact that does not read only delivers, and one that plays a voice message says so.', async () => {
  await sandbox.call('POST', '/api/contacts', { number: '5511911111125', behaviour: { read: false } });
  const id = await one.send('5511911111125', { text: 'unread' });
  await until('it is delivered', () => one.status(id) === 3);
  await sandbox.call('POST', '/api/contacts', {
    number: '5511911111126',
    behaviour: { play: true, read_delay_ms: 20 },
  });
  const voice = await one.send('5511911111126', {
    audio: Buffer.alloc(2000, 1),
    ptt: true,
    mimetype: 'audio/ogg; codecs=opus',
    seconds: 1,
  });
  await until('it is played', () => one.status(voice) === 5);
});

test('Texts to a LID are delivered to the same contact.', async () => {
  const { lid } = await sandbox.call('PATCH', '/api/contacts/5511911111112', {});
  const id = await one.send(`${lid}@lid`, { text: 'to a lid' });
  assert.equal((await sandbox.entry({ id, kind: 'message' })).contact, '5511911111112');
  await until('it is read', () => one.status(id) === 4);
});

test('A text from a number arrives once, with the LID as its other address, and is acknowledged.', async () => {
  const id = await receive('5511911111113', { text: 'bom dia' });
  const message = await arrived(id);
  assert.equal(message.message?.conversation, 'bom dia');
  assert.equal(message.key.remoteJid, jid('5511911111113'));
  assert.match((message.key as { remoteJidAlt?: string }).remoteJidAlt ?? '', /@lid$/);
  await sandbox.entry({ id, kind: 'inbound_acked' });
});

test('A text from a LID arrives with the number as its other address.', async () => {
  await sandbox.call('PATCH', '/api/contacts/5511911111114', { name: 'Ana', behaviour: { addressing: 'lid' } });
  const message = await arrived(await receive('5511911111114', { text: 'oi' }));
  assert.match(message.key.remoteJid ?? '', /@lid$/);
  assert.equal((message.key as { remoteJidAlt?: string }).remoteJidAlt, jid('5511911111114'));
  assert.equal(message.pushName, 'Ana');
});

test('A contact that replies is heard, and the next message still decrypts.', async () => {
  await sandbox.call('POST', '/api/contacts', { number: '5511911111115', behaviour: { reply: 'echo' } });
  for (const text of ['first', 'second', 'third']) {
    await one.send('5511911111115', { text });
    await until(`the echo of ${text}`, () => one.received(text).length === 1);
  }
});

test('A repeated id is journalled as a repeat and shown once.', async () => {
  const id = await one.send('5511911111116', { text: 'once' }, { messageId: '3EB0AAAAAAAAAAAAAAAAAA' });
  await one.send('5511911111116', { text: 'once' }, { messageId: id });
  await sandbox.entry({ id, kind: 'repeat' });
  assert.equal((await sandbox.entries({ id, kind: 'message' })).length, 1);
});

test('A contact that cannot decrypt asks again and then has the message.', async () => {
  await sandbox.call('POST', '/api/contacts', { number: '5511911111117', behaviour: { retry_first: true } });
  const id = await one.send('5511911111117', { text: 'again' });
  assert.equal((await sandbox.entry({ id, kind: 'message' })).text, 'again');
  assert.equal((await sandbox.entries({ id, kind: 'retry_request' })).length, 1);
});

test('A gateway that cannot decrypt gets the message again in a fresh session.', async () => {
  await arrived(await receive('5511911111118', { text: 'a session' }));
  await sandbox.call('POST', '/api/faults', { kind: 'undecryptable', account: ACCOUNT, count: 1 });
  const id = await receive('5511911111118', { text: 'at the second attempt' });
  await until('it arrives', () => one.received('at the second attempt').length === 1);
  await sandbox.entry({ id, kind: 'gateway_retry' });
  await sandbox.entry({ id, kind: 'inbound_acked' });
  await arrived(await receive('5511911111118', { text: 'and on' }));
});

test('A nack carries its code and the contact gets nothing.', async () => {
  await sandbox.call('POST', '/api/faults', { kind: 'nack', code: 463, account: ACCOUNT, count: 1 });
  const id = await one.send('5511911111119', { text: 'refused' });
  await until('the nack', () => one.ack(id)?.error === '463');
  assert.equal((await sandbox.entries({ id, kind: 'message' })).length, 0);
  const next = await one.send('5511911111119', { text: 'accepted' });
  await sandbox.entry({ id: next, kind: 'message' });
});

test('A number that is not on WhatsApp is reported so.', async () => {
  await sandbox.call('POST', '/api/contacts', { number: '5511911111120', behaviour: { registered: false } });
  const answers = await one.socket.onWhatsApp('5511911111120', '5511911111121');
  // Baileys leaves out those who are not.
  assert.deepEqual(answers, [{ jid: jid('5511911111121'), exists: true }]);
});

test('A phone that is off holds its receipts back until it is on.', async () => {
  await sandbox.call('POST', '/api/contacts', { number: '5511911111122', behaviour: { deliver: false } });
  const id = await one.send('5511911111122', { text: 'wait' });
  await sandbox.entry({ id, kind: 'message' });
  assert.ok(one.status(id) < 3);
  await sandbox.call('PATCH', '/api/contacts/5511911111122', { behaviour: { deliver: true } });
  await until('it is read', () => one.status(id) === 4);
});

test('Accounts talk to each other through their gateways, and the other phone has the message as well.', async () => {
  const id = await one.send(OTHER, { text: 'between us' });
  await until('it arrives', () => two.received('between us').length === 1);
  await sandbox.entry({ id, kind: 'message', contact: OTHER });
  await two.send(ACCOUNT, { text: 'and back' });
  await until('it arrives', () => one.received('and back').length === 1);
});

test('Replies, reactions, locations, contacts, polls, edits and deletions reach the contact as what they are.', async () => {
  const to = '5511911111123';
  const first = await one.send(to, { text: 'first' });
  const key = { remoteJid: jid(to), fromMe: true, id: first };
  const quoted = { key, message: { conversation: 'first' } };
  const cases: [string, string, string][] = [
    [await one.send(to, { text: 'reply' }, { quoted }), 'text', 'reply'],
    [await one.send(to, { react: { text: '👍', key } }), 'reaction', '👍'],
    [await one.send(to, { location: { degreesLatitude: -23.5, degreesLongitude: -46.6 } }), 'location', '-23.5,-46.6'],
    [
      await one.send(to, {
        contacts: { displayName: 'Bia', contacts: [{ displayName: 'Bia', vcard: 'BEGIN:VCARD\nEND:VCARD' }] },
      }),
      'contact',
      'Bia',
    ],
    [await one.send(to, { poll: { name: 'Lunch?', values: ['yes', 'no'], selectableCount: 1 } }), 'poll', 'Lunch?'],
    [await one.send(to, { text: 'corrected', edit: key }), 'edit', 'corrected'],
    [await one.send(to, { delete: key }), 'revoke', first],
  ];
  for (const [id, type, text] of cases) {
    const entry = await sandbox.entry({ id, kind: 'message' });
    assert.deepEqual([entry.type, entry.text], [type, text]);
  }
});

test('A contact can reply, react, edit, delete, ask and share.', async () => {
  const contact = '5511911111124';
  const first = await receive(contact, { text: 'first' });
  const reply = await arrived(await receive(contact, { text: 'reply', quoted_id: first }));
  assert.equal(reply.message?.extendedTextMessage?.contextInfo?.stanzaId, first);
  const reaction = await arrived(await receive(contact, { type: 'reaction', reaction: '❤️', quoted_id: first }));
  assert.equal(reaction.message?.reactionMessage?.text, '❤️');
  const location = await arrived(await receive(contact, { type: 'location', latitude: 1.5, longitude: 2.5 }));
  assert.equal(location.message?.locationMessage?.degreesLatitude, 1.5);
  const poll = await arrived(await receive(contact, { type: 'poll', text: 'Dinner?', options: ['a', 'b'] }));
  assert.equal(poll.message?.pollCreationMessageV3?.name, 'Dinner?');
  const card = await arrived(await receive(contact, { type: 'contact', text: 'Caio' }));
  assert.equal(card.message?.contactMessage?.displayName, 'Caio');
  const edit = await arrived(await receive(contact, { type: 'edit', text: 'corrected', quoted_id: first }));
  assert.equal(edit.message?.protocolMessage?.editedMessage?.conversation, 'corrected');
  const revoke = await arrived(await receive(contact, { type: 'revoke', quoted_id: first }));
  assert.equal(revoke.message?.protocolMessage?.key?.id, first);
});

test("A chat is shown as the contact's phone shows it: answers, faces, edits, deletions and how far each came.", async () => {
  const contact = '5511911111180';
  const view = async () => (await sandbox.call('GET', `/api/phones/${ACCOUNT}/chats/${contact}`)).messages;
  await sandbox.call('GET', `/api/phones/${ACCOUNT}/chats/${contact}`, undefined, 404);
  const first = await receive(contact, { text: 'is it open?' });
  const typo = await receive(contact, { text: 'helo' });
  const regret = await receive(contact, { text: 'forget it' });
  await arrived(regret);
  await receive(contact, { type: 'edit', text: 'hello', quoted_id: typo });
  await receive(contact, { type: 'revoke', quoted_id: regret });
  const key = { remoteJid: jid(contact), fromMe: false, id: first };
  await one.socket.readMessages([key]);
  const question = { key, message: { conversation: 'is it open?' } };
  const answer = await one.send(contact, { text: 'it is' }, { quoted: question });
  await one.send(contact, { react: { text: '👍', key } });
  await sandbox.entry({ id: answer, kind: 'message' });
  await receive(contact, { type: 'reaction', reaction: '🙏', quoted_id: answer });
  const last = await until('all of it is there', async () => {
    const shown = await view();
    return shown.length === 4 && shown[0].status === 'read' && shown[0].reactions.account === '👍' ? shown : undefined;
  });
  assert.deepEqual(
    last.map((each: Record<string, unknown>) => [each.text, each.own, each.edited, each.deleted]),
    [
      ['is it open?', true, false, false],
      ['hello', true, true, false],
      ['forget it', true, false, true],
      ['it is', false, false, false],
    ],
  );
  assert.deepEqual([last[3].quoted, last[3].reactions.contact], [first, '🙏']);
  const { chats } = await sandbox.call('GET', `/api/phones/${ACCOUNT}/chats`);
  assert.equal(chats[0].number, contact);
  assert.deepEqual((await sandbox.call('GET', '/api/phones/5511900000099/chats')).chats, []);
});

test('The summary counts what each account sent and received.', async () => {
  const summary = (await sandbox.call('GET', '/api/journal/summary'))[ACCOUNT];
  assert.ok(summary.distinct_ids > 10 && summary.repeats === 1 && summary.nacks === 1, JSON.stringify(summary));
  assert.equal(summary.inbound_pending, 0);
  const ids = async (kind: string) =>
    new Set((await sandbox.entries({ account: ACCOUNT, kind })).map((entry) => entry.id));
  const [queued, acked] = [await ids('inbound'), await ids('inbound_acked')];
  assert.deepEqual(
    [...queued].filter((id) => !acked.has(id)),
    [],
  );
});

test('No query of Baileys went unhandled.', async () => {
  assert.deepEqual((await sandbox.call('GET', '/api/state')).unhandled, {});
});

test('A contact whose phone was installed again gets the next message after asking for it.', async () => {
  const to = '5511911111127';
  await sandbox.entry({ id: await one.send(to, { text: 'old phone' }), kind: 'message' });
  await sandbox.call('POST', `/api/contacts/${to}/reinstall`, {});
  const id = await one.send(to, { text: 'new phone' });
  assert.equal((await sandbox.entry({ id, kind: 'message' })).text, 'new phone');
  assert.equal((await sandbox.entries({ id, kind: 'decrypt_failed' })).length, 1);
});

test('Typing and calls of a contact are seen by the gateway.', async () => {
  const contact = '5511911111128';
  const events: string[] = [];
  one.socket.ev.on('presence.update', ({ presences }) =>
    events.push(...Object.values(presences).map((each) => each.lastKnownPresence)),
  );
  one.socket.ev.on('call', (calls) => events.push(...calls.map(({ status }) => status)));
  await sandbox.call('POST', `/api/contacts/${contact}/presence`, { to: ACCOUNT, state: 'composing' });
  const { id } = await sandbox.call('POST', `/api/contacts/${contact}/call`, { to: ACCOUNT });
  await sandbox.call('POST', `/api/contacts/${contact}/call`, { to: ACCOUNT, id, end: true });
  await until('all were seen', () => events.length === 3);
  assert.deepEqual(events, ['composing', 'offer', 'terminate']);
});
