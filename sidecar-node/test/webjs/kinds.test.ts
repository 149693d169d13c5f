/** What the engine sends and tells, kind by kind, as the contact sees it in the sandbox's journal. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type JournalEntry, Sandbox, until } from '../sidecar/sandbox.ts';
import { Worker } from '../sidecar/worker.ts';
import { CHROMIUM, MS, pair } from './browsers.ts';

const skip = CHROMIUM ? false : 'no Chromium is here';
const ME = '+5511990000002';
const FRIEND = '+5511988887771';
const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);
let sandbox: Sandbox;
let worker: Worker;
let profiles: string;

before(async () => {
  if (skip) return;
  sandbox = await Sandbox.start();
  profiles = mkdtempSync(join(tmpdir(), 'webjs-test-'));
  worker = new Worker();
  await worker.hello({ ...sandbox.config, engines: ['webjs'], profiles, chromium: CHROMIUM });
  await sandbox.post('/api/contacts', { number: ME, profile: { business: { description: 'Loja' } } });
  await onPhone(['label_edit', '3'], { labelEditAction: { name: 'New order', color: 2, predefinedId: 3 } });
  await onPhone(['label_edit', '4'], { labelEditAction: { name: 'Gone', color: 2, deleted: true } });
  await pair(sandbox, worker, 't/a', ME);
});
after(() => {
  worker?.kill();
  sandbox?.stop();
  if (profiles) rmSync(profiles, { recursive: true, force: true, maxRetries: 5 });
});

let last = 0;
const id = (): string => `3EB0${String(++last).padStart(18, '0')}`;
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

type Data = Record<string, unknown>;

async function send(content: Data, more: Data = {}): Promise<{ sent: string; entry: JournalEntry }> {
  const sent = id();
  const result = await worker.act('t/a', 2, 'send', { id: sent, to: { pn: FRIEND }, content, ...more });
  assert.deepEqual([result.ok, result.message_id, result.code], [true, sent, undefined], JSON.stringify(result));
  const entry = await sandbox.entry(({ kind, id: of }) => kind === 'message' && of === sent);
  return { sent, entry };
}

async function receive(body: Data): Promise<string> {
  const { ids } = await sandbox.post(`/api/contacts/${FRIEND}/send`, { to: ME, ...body });
  return (ids as string[])[0] as string;
}

const onPhone = (index: string[], action: Data) =>
  sandbox.post(`/api/phones/${encodeURIComponent(ME)}/state`, { collection: 'regular', index, action });

const told = async (kind: string, match: (data: Data) => boolean): Promise<Data> =>
  (await worker.event(kind, match, 0, MS)).data as Data;

test('files go out whole, of every kind', { skip }, async () => {
  const bytes = randomBytes(300_000);
  for (const [type, mime, data] of [
    ['image', 'image/png', PNG],
    ['video', 'video/mp4', bytes],
    ['audio', 'audio/mpeg', bytes],
    ['voice', 'audio/ogg; codecs=opus', bytes],
    ['document', 'application/pdf', bytes],
    ['sticker', 'image/webp', bytes],
  ] as const) {
    const body = { mime_type: mime, data, ...(type === 'document' ? { filename: 'relatório.pdf', caption: 'r' } : {}) };
    const { sent } = await send({ type, [type]: body });
    const entry = await until(async () =>
      (await sandbox.journal()).find((each) => each.id === sent && each.kind === 'message' && each.media),
    );
    assert.equal(entry.type, type);
    assert.equal((entry.media as Data).sha256, sha256(data), type);
    if (type === 'document')
      assert.equal(
        ((entry.content as Data).documentMessage as Data).fileName,
        'relatório.pdf',
        JSON.stringify(entry.content),
      );
  }
});

test('a file that comes in is told with its hash, and fetched whole', { skip }, async () => {
  const bytes = randomBytes(700_000);
  const sent = await receive({
    type: 'document',
    media_base64: bytes.toString('base64'),
    filename: 'a.bin',
    text: 'look',
    mime_type: 'application/x-test',
  });
  const { type, document, media } = (await told('message', ({ id: of }) => of === sent)) as {
    type: string;
    document: Data;
    media: Data;
  };
  assert.deepEqual([type, document.filename, document.caption], ['document', 'a.bin', 'look']);
  assert.deepEqual([media.sha256, media.size, media.mime_type], [sha256(bytes), bytes.length, 'application/x-test']);
  const result = await worker.act('t/a', 2, 'media.get', { content: { source: media.source } });
  assert.ok(Buffer.from((result.data as { data: Uint8Array }).data).equals(bytes));
});

test('places, cards, polls, mentions and answers', { skip }, async () => {
  const place = await send({
    type: 'location',
    location: { latitude: -23.5, longitude: -46.6, name: 'Sé', address: 'SP' },
  });
  assert.equal(place.entry.type, 'location');
  const located = (place.entry.content as Data).locationMessage as Data;
  assert.deepEqual([located.degreesLatitude, located.name, located.address], [-23.5, 'Sé', 'SP']);
  const card = { name: { formatted_name: 'Ana' }, phones: [{ phone: '+5511977776666' }] };
  const one = await send({ type: 'contacts', contacts: [card] });
  assert.deepEqual([one.entry.type, one.entry.text], ['contact', 'Ana']);
  const two = await send({ type: 'contacts', contacts: [card, card] });
  assert.equal(two.entry.type, 'contacts');
  const poll = await send({ type: 'poll', poll: { name: 'Lunch?', options: ['a', 'b', 'c'], selectable: 2 } });
  const asked = (poll.entry.content as Data).pollCreationMessageV3 as Data;
  assert.deepEqual(
    [poll.entry.text, asked.selectableOptionsCount, (asked.options as unknown[]).length],
    ['Lunch?', 2, 3],
  );
  const question = await receive({ type: 'text', text: 'when?' });
  await told('message', ({ id: of }) => of === question);
  const answer = await send(
    { type: 'text', text: { body: 'now @5511977776666' }, mentions: ['+5511977776666'] },
    { context: { message_id: question } },
  );
  const info = ((answer.entry.content as Data).extendedTextMessage as Data).contextInfo as Data;
  assert.deepEqual([info.stanzaId, info.mentionedJid], [question, ['5511977776666@s.whatsapp.net']]);
});

test('edits, deletes and reactions, both ways', { skip }, async () => {
  const { sent } = await send({ type: 'text', text: { body: 'frist' } });
  const act = (action: string, content: Data) =>
    worker.act('t/a', 2, action, { id: id(), to: { pn: FRIEND }, content });
  const about = { message_id: sent };
  assert.equal((await act('edit', { ...about, type: 'text', text: { body: 'first' } })).ok, true);
  await sandbox.entry(({ kind, type, text }) => kind === 'message' && type === 'edit' && text === 'first');
  assert.equal((await act('react', { ...about, emoji: '👍' })).ok, true);
  await sandbox.entry(({ kind, type, text }) => kind === 'message' && type === 'reaction' && text === '👍');
  assert.equal((await act('delete', about)).ok, true);
  await sandbox.entry(({ kind, type, text }) => kind === 'message' && type === 'revoke' && text === sent);
  const missing = await act('react', { message_id: '3EB0NONE', emoji: '👍' });
  assert.deepEqual([missing.ok, missing.code], [false, 'E_MESSAGE_NOT_FOUND']);

  const theirs = await receive({ type: 'text', text: 'thrid' });
  await told('message', ({ id: of }) => of === theirs);
  await receive({ type: 'edit', text: 'third', quoted_id: theirs });
  const edit = await told('edit', ({ message_id }) => message_id === theirs);
  assert.deepEqual(edit.text, { body: 'third' });
  const mine = await send({ type: 'text', text: { body: 'react to this' } });
  await receive({ type: 'reaction', reaction: '❤️', quoted_id: mine.sent });
  assert.equal((await told('reaction', ({ message_id }) => message_id === mine.sent)).emoji, '❤️');
  await receive({ type: 'revoke', quoted_id: theirs });
  const gone = await told('delete', ({ message_id }) => message_id === theirs);
  assert.equal((gone.from as Data).pn, FRIEND);
});

test('votes are told by the names of the options, and taken back, of a chat and of a group', { skip }, async () => {
  const poll = { type: 'poll', poll: { name: 'Lunch?', options: ['a', 'b', 'c'], selectable: 2 } };
  const { sent } = await send(poll);
  for (const options of [['c', 'a'], ['b'], []]) {
    const vote = await receive({ type: 'poll_vote', quoted_id: sent, options });
    const { message_id, options: names, from, from_self } = await told('poll_vote', ({ id: of }) => of === vote);
    assert.deepEqual([message_id, names, from_self], [sent, options.toSorted(), false]);
    assert.equal((from as Data).pn, FRIEND);
  }
  const { id: group } = await sandbox.post('/api/groups', { subject: 'V', owner: ME, participants: [ME, FRIEND] });
  const asked = await send(poll, { to: { group: String(group).split('@')[0] } });
  const { ids } = await sandbox.post(`/api/contacts/${FRIEND}/send`, {
    to: group,
    type: 'poll_vote',
    quoted_id: asked.sent,
    options: ['b'],
  });
  const { chat, options, from } = await told('poll_vote', ({ id: of }) => of === (ids as string[])[0]);
  assert.deepEqual([(chat as Data).group, options, (from as Data).pn], [String(group).split('@')[0], ['b'], FRIEND]);
});

test('a vote goes out under its id, and is checked against the poll before', { skip }, async () => {
  const { id: group } = await sandbox.post('/api/groups', { subject: 'W', owner: ME, participants: [ME, FRIEND] });
  for (const [place, to] of [
    [ME, { pn: FRIEND }],
    [group, { group: String(group).split('@')[0] }],
  ]) {
    const body = { to: place, type: 'poll', text: 'q', options: ['x', 'y', 'z'] };
    const { ids } = await sandbox.post(`/api/contacts/${FRIEND}/send`, body);
    const [poll] = ids as string[];
    await told('message', ({ id: of }) => of === poll);
    const vote = (options: string[], of = poll, sent = id()) =>
      worker.act('t/a', 2, 'vote', { id: sent, to, content: { message_id: of, options } });
    for (const options of [['y'], ['z'], []]) {
      const { ok, message_id } = await vote(options);
      assert.equal(ok, true);
      const entry = await sandbox.entry(({ kind, id: of }) => kind === 'message' && of === message_id);
      assert.deepEqual([entry.type, entry.chosen], ['poll_vote', options]);
    }
    for (const [options, of, code] of [
      [['w'], poll, 'E_INVALID_FIELD'],
      [['x', 'y'], poll, 'E_INVALID_FIELD'],
      [['x'], '3EB0NONE', 'E_MESSAGE_NOT_FOUND'],
    ] as const) {
      const refused = await vote([...options], of);
      assert.deepEqual([refused.ok, refused.code], [false, code]);
    }
  }
});

test('labels are listed, put on chats and taken off, and what the phone does with them is told', { skip }, async () => {
  const to = { pn: FRIEND };
  const ask = async (verb: string, content: Data) => {
    const { ok, data, code } = await worker.act('t/a', 2, `label.${verb}`, { to, content });
    return ok ? data : code;
  };
  const first = { label_id: '3', name: 'New order', color: 2 };
  assert.deepEqual(await ask('list', {}), [first], 'from before the pairing');
  await onPhone(['label_edit', '12'], { labelEditAction: { name: 'VIP', color: 7 } });
  assert.equal((await told('label', ({ label_id, change }) => label_id === '12' && change === 'put')).name, 'VIP');
  for (const [verb, labeled] of [
    ['add', true],
    ['remove', false],
  ] as const) {
    assert.deepEqual(await ask(verb, { label_id: '12' }), {});
    const jid = `${FRIEND.slice(1)}@s.whatsapp.net`;
    const seen = await sandbox.entry(({ kind, index, action }) => {
      const association = (action as Data | undefined)?.labelAssociationAction as Data | undefined;
      return kind === 'state' && String(index) === `label_jid,12,${jid}` && (association?.labeled ?? false) === labeled;
    });
    assert.ok(seen);
    const event = await told('label', ({ label_id, change }) => label_id === '12' && change === verb);
    assert.equal((event.chat as Data).pn, FRIEND);
    assert.deepEqual(await ask(verb, { label_id: '12' }), {}, 'again: nothing to do');
  }
  assert.equal(await ask('add', { label_id: '4' }), 'E_LABEL_NOT_FOUND');
  assert.equal(await ask('add', { label_id: '12', message_id: '3EB0' }), 'E_UNSUPPORTED_TYPE');
  await onPhone(['label_edit', '12'], { labelEditAction: { name: 'VIP', color: 7, deleted: true } });
  await told('label', ({ label_id, change }) => label_id === '12' && change === 'delete');
  assert.deepEqual(await ask('list', {}), [first]);
});

test('other kinds that come in have the shapes of a command', { skip }, async () => {
  const place = await receive({ type: 'location', latitude: 1.5, longitude: 2.5, text: 'here' });
  assert.deepEqual((await told('message', ({ id: of }) => of === place)).location, {
    latitude: 1.5,
    longitude: 2.5,
    name: 'here',
  });
  const card = await receive({ type: 'contact', text: 'Rui' });
  const { contacts } = (await told('message', ({ id: of }) => of === card)) as {
    contacts: { name: Data; phones: Data[] }[];
  };
  assert.deepEqual([contacts[0]?.name.formatted_name, contacts[0]?.phones[0]?.phone], ['Rui', FRIEND]);
  const poll = await receive({ type: 'poll', text: 'q', options: ['x', 'y'] });
  assert.deepEqual((await told('message', ({ id: of }) => of === poll)).poll, {
    name: 'q',
    options: ['x', 'y'],
    selectable: 1,
  });
});

test('a group: written to, read from, and its senders told', { skip }, async () => {
  const { id: group } = await sandbox.post('/api/groups', { subject: 'G', owner: ME, participants: [ME, FRIEND] });
  const short = String(group).split('@')[0];
  const result = await worker.act('t/a', 2, 'send', {
    id: id(),
    to: { group: short },
    content: { type: 'text', text: { body: 'to all' } },
  });
  assert.equal(result.ok, true, JSON.stringify(result));
  await sandbox.entry(({ kind, text, group: of }) => kind === 'message' && text === 'to all' && of === group);
  const { ids } = await sandbox.post(`/api/contacts/${FRIEND}/send`, { to: group, type: 'text', text: 'from one' });
  const { chat, from } = (await told('message', ({ id: of }) => of === (ids as string[])[0])) as {
    chat: Data;
    from: Data;
  };
  assert.deepEqual([chat.group, from.pn], [short, FRIEND]);
  assert.match(String(from.lid), /^\d+$/);
});

test('what cannot be sent is refused under its code, and the next one goes', { skip }, async () => {
  const nobody = '+5511900000009';
  await sandbox.post('/api/contacts', { number: nobody, behaviour: { registered: false } });
  const text = { type: 'text', text: { body: 'x' } };
  for (const [more, code] of [
    [{ to: { pn: nobody }, content: text }, 'E_NOT_ON_WHATSAPP'],
    [{ to: { group: '120363999999999999' }, content: text }, 'E_GROUP_NOT_FOUND'],
    [{ to: { pn: FRIEND }, content: { type: 'smell', smell: {} } }, 'E_UNSUPPORTED_TYPE'],
    [{ to: { pn: FRIEND }, content: { type: 'text', text: {} } }, 'E_MISSING_FIELD'],
    [{ to: {}, content: text }, 'E_INVALID_RECIPIENT'],
  ] as const) {
    const result = await worker.act('t/a', 2, 'send', { id: id(), ...more });
    assert.deepEqual([result.ok, result.code, result.uncertain], [false, code, false], JSON.stringify(result));
  }
  await sandbox.post('/api/faults', { kind: 'nack', account: ME, code: 463 });
  const refused = await worker.act('t/a', 2, 'send', { id: id(), to: { pn: FRIEND }, content: text });
  assert.deepEqual([refused.code, refused.uncertain], ['E_WHATSAPP_REJECTED', false]);
  const known = await worker.act('t/a', 2, 'check_numbers', { content: { numbers: [FRIEND, nobody] } });
  assert.deepEqual(known.data, [
    { number: FRIEND, exists: true },
    { number: nobody, exists: false },
  ]);
  await send(text);
});

test('typing, reading and being there show at WhatsApp', { skip }, async () => {
  const to = { pn: FRIEND };
  for (const state of ['available', 'composing', 'paused'])
    assert.equal((await worker.act('t/a', 2, 'presence', { to, content: { state } })).ok, true);
  await sandbox.entry(({ kind, type }) => kind === 'presence' && type === 'composing');
  const sent = await receive({ type: 'text', text: 'read me' });
  await told('message', ({ id: of }) => of === sent);
  assert.equal((await worker.act('t/a', 2, 'read', { to, content: { message_ids: [sent] } })).ok, true);
  await sandbox.entry(({ kind, id: of, type }) => kind === 'gateway_receipt' && of === sent && type === 'read');
});
