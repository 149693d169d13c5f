/** Every kind of content, both ways, through the real Baileys. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { decode, encode } from '@msgpack/msgpack';
import { proto } from 'baileys/WAProto/index.js';
import { type JournalEntry, Sandbox, until } from './sandbox.ts';
import { Worker } from './worker.ts';

const ME = '+5511955550001';
const CONTACT = '+5511944440001';
let sandbox: Sandbox;
let worker: Worker;
let directory: string;
let last = 0;

before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'sidecar-media-'));
  sandbox = await Sandbox.start();
  worker = new Worker();
  await worker.hello(sandbox.config);
  await sandbox.pair(worker, 't/a', ME);
});
after(() => {
  worker.kill();
  sandbox.stop();
  rmSync(directory, { recursive: true, force: true });
});

const newId = (): string => `3EB0${String(++last).padStart(18, '0')}`;

async function act(
  action: string,
  content: Record<string, unknown>,
  more: Record<string, unknown> = {},
): Promise<string> {
  const id = newId();
  const result = await worker.act('t/a', 2, action, { id, to: { pn: CONTACT }, content, ...more });
  assert.equal(result.ok, true, JSON.stringify(result));
  return id;
}

/** Sends, and returns what the contact's phone decrypted. */
async function sent(
  action: string,
  content: Record<string, unknown>,
  more: Record<string, unknown> = {},
): Promise<{ id: string; entry: JournalEntry; message: proto.IMessage }> {
  const id = await act(action, content, more);
  const entry = await sandbox.entry(({ kind, id: of }) => kind === 'message' && of === id);
  return { id, entry, message: proto.Message.fromObject(entry.content as object) };
}

async function received(body: Record<string, unknown>, kind = 'message'): Promise<Record<string, unknown>> {
  const { ids } = (await sandbox.post(`/api/contacts/${encodeURIComponent(CONTACT)}/send`, { to: ME, ...body })) as {
    ids: string[];
  };
  return (await worker.event(kind, ({ id }) => id === ids[0])).data as Record<string, unknown>;
}

test('text: mentions, and a reply to a known and to an unknown message', async () => {
  const first = await sent('send', { type: 'text', text: { body: 'first' }, mentions: [{ pn: '+5511933330001' }] });
  assert.deepEqual(first.message.extendedTextMessage?.contextInfo?.mentionedJid, ['5511933330001@s.whatsapp.net']);
  const reply = await sent(
    'send',
    { type: 'text', text: { body: 'reply' } },
    { context: { message_id: first.id, from_self: true } },
  );
  const info = reply.message.extendedTextMessage?.contextInfo;
  assert.equal(info?.stanzaId, first.id);
  assert.equal(info?.quotedMessage?.extendedTextMessage?.text, 'first');
  const other = await sent(
    'send',
    { type: 'text', text: { body: 'reply' } },
    { context: { message_id: 'ABCD', participant: CONTACT } },
  );
  assert.equal(other.message.extendedTextMessage?.contextInfo?.stanzaId, 'ABCD');
  assert.equal(other.message.extendedTextMessage?.contextInfo?.participant, `${CONTACT.slice(1)}@s.whatsapp.net`);
});

test('location, contacts and poll', async () => {
  const location = await sent('send', {
    type: 'location',
    location: { latitude: -23.5, longitude: -46.6, name: 'Sé' },
  });
  assert.deepEqual(
    [location.message.locationMessage?.degreesLatitude, location.message.locationMessage?.name],
    [-23.5, 'Sé'],
  );
  const card = { name: { formatted_name: 'Ana' }, phones: [{ phone: '+55 11 91111-1111' }] };
  const one = await sent('send', { type: 'contacts', contacts: [card] });
  assert.match(one.message.contactMessage?.vcard ?? '', /FN:Ana\nTEL;TYPE=CELL;waid=5511911111111:\+55 11 91111-1111/);
  const two = await sent('send', { type: 'contacts', contacts: [card, card] });
  assert.equal(two.message.contactsArrayMessage?.contacts?.length, 2);
  const poll = await sent('send', {
    type: 'poll',
    poll: { name: 'Quando?', options: ['hoje', 'amanhã'], selectable: 1 },
  });
  assert.equal(poll.message.pollCreationMessageV3?.options?.length, 2);
});

test('react, edit, delete, read and presence', async () => {
  const theirs = await received({ type: 'text', text: 'react to me' });
  const reaction = await sent('react', { message_id: theirs.id, emoji: '👍' });
  assert.deepEqual(
    [reaction.message.reactionMessage?.text, reaction.message.reactionMessage?.key?.fromMe],
    ['👍', false],
  );
  const alias = await sent('send', { type: 'reaction', reaction: { message_id: theirs.id, emoji: '' } });
  assert.equal(alias.message.reactionMessage?.text, '');
  const ours = await sent('send', { type: 'text', text: { body: 'typo' } });
  const own = await sent('react', { message_id: ours.id, emoji: '✅' });
  assert.equal(own.message.reactionMessage?.key?.fromMe, true);
  const edit = await sent('edit', { message_id: ours.id, type: 'text', text: { body: 'fixed' } });
  assert.equal(edit.entry.type, 'edit');
  const revoke = await sent('delete', { message_id: ours.id });
  assert.deepEqual([revoke.entry.type, revoke.entry.text], ['revoke', ours.id]);
  await act('read', { message_ids: [theirs.id] });
  await sandbox.entry(
    ({ kind, id, type }) => kind === 'gateway_receipt' && id === theirs.id && String(type).startsWith('read'),
  );
  await act('presence', { state: 'composing' });
  await sandbox.entry(({ kind, type }) => kind === 'presence' && type === 'composing');
  await act('presence', { state: 'available' }, { to: {} });
});

for (const [type, field, body] of [
  ['image', 'imageMessage', { caption: 'uma foto', mime_type: 'image/png' }],
  ['video', 'videoMessage', { mime_type: 'video/mp4' }],
  ['audio', 'audioMessage', {}],
  ['voice', 'audioMessage', {}],
  ['document', 'documentMessage', { filename: 'a.pdf', mime_type: 'application/pdf' }],
  ['sticker', 'stickerMessage', {}],
] as const) {
  test(`${type}: from bytes and from a file, received by the contact`, async () => {
    const bytes = randomBytes(40_000);
    const path = join(directory, type);
    writeFileSync(path, bytes);
    const hash = createHash('sha256').update(bytes).digest('hex');
    for (const source of [{ data: bytes }, { path }]) {
      const { message, entry } = await sent('send', { type, [type]: { ...body, ...source } });
      const media = message[field] as { fileSha256: Uint8Array; ptt?: boolean };
      assert.equal(Buffer.from(media.fileSha256).toString('hex'), hash);
      if (type === 'voice') assert.equal(media.ptt, true);
      const seen = JSON.stringify(entry);
      assert.ok(!seen.includes('"media_error"'), seen);
    }
  });

  test(`${type}: received, fetched into the result and into a file`, async () => {
    const bytes = randomBytes(30_000);
    const data = await received({ type, media_base64: bytes.toString('base64'), text: 'legenda', filename: 'x.bin' });
    assert.equal(data.type, type);
    const media = data.media as { size: number; sha256: string; source: Uint8Array };
    const hash = createHash('sha256').update(bytes).digest('hex');
    assert.deepEqual([media.size, media.sha256], [bytes.length, hash]);
    const inline = await worker.act('t/a', 2, 'media.get', { content: { source: media.source } });
    assert.equal(inline.ok, true, JSON.stringify(inline));
    assert.ok(bytes.equals(Buffer.from((inline.data as { data: Uint8Array }).data)));
    const path = join(directory, `${type}.got`);
    const filed = await worker.act('t/a', 2, 'media.get', { content: { source: media.source, path } });
    assert.equal((filed.data as { sha256: string }).sha256, hash);
    assert.ok(bytes.equals(readFileSync(path)));
  });
}

test('media that cannot be had: named codes, and the session lives on', async () => {
  const bad = await worker.act('t/a', 2, 'media.get', { content: { source: Buffer.from([0xc1]) } });
  assert.equal(bad.code, 'E_MEDIA_NOT_FOUND');
  const missing = await worker.act('t/a', 2, 'send', {
    id: newId(),
    to: { pn: CONTACT },
    content: { type: 'image', image: { path: '/nonexistent' } },
  });
  assert.deepEqual([missing.code, missing.uncertain], ['E_MEDIA_NOT_FOUND', false]);
  await act('send', { type: 'text', text: { body: 'still here' } });
});

test('a contact has no machine asked for a file but WhatsApp', async () => {
  let asked = 0;
  const machine = createServer((socket) => {
    asked++;
    socket.destroy();
  });
  await new Promise<void>((resolve) => machine.listen(0, '127.0.0.1', resolve));
  const { port } = machine.address() as AddressInfo;
  const { media } = await received({ type: 'image', media_base64: randomBytes(100).toString('base64') });
  const source = decode((media as { source: Uint8Array }).source) as Record<string, unknown>;
  try {
    for (const changed of [
      { path: undefined, url: `https://127.0.0.1:${port}/a` },
      { path: undefined, url: `https://127.0.0.1:${port}/a`, key: new Uint8Array(0) },
      { path: `@127.0.0.1:${port}/a` },
    ]) {
      const content = { source: encode({ ...source, ...changed }, { ignoreUndefined: true }) };
      const result = await worker.act('t/a', 2, 'media.get', { content });
      assert.deepEqual([result.ok, result.code], [false, 'E_MEDIA_NOT_FOUND']);
    }
    assert.equal(asked, 0);
  } finally {
    machine.close();
  }
});

test('unsupported and malformed content is refused, certainly not sent', async () => {
  const refuse = async (content: Record<string, unknown>, to: unknown = { pn: CONTACT }): Promise<unknown[]> => {
    const result = await worker.act('t/a', 2, 'send', { id: newId(), to, content });
    return [result.ok, result.code, result.uncertain];
  };
  assert.deepEqual(await refuse({ type: 'hologram' }), [false, 'E_UNSUPPORTED_TYPE', false]);
  assert.deepEqual(await refuse({ type: 'text', text: {} }), [false, 'E_MISSING_FIELD', false]);
  assert.deepEqual(await refuse({ type: 'text', text: { body: 'x' } }, {}), [false, 'E_INVALID_RECIPIENT', false]);
  assert.equal((await worker.act('t/a', 2, 'fly', {})).code, 'E_UNSUPPORTED_TYPE');
});

test('check_numbers tells who is on WhatsApp', async () => {
  await sandbox.post('/api/contacts', { number: '+5511900000404', behaviour: { registered: false } });
  const result = await worker.act('t/a', 2, 'check_numbers', { content: { numbers: [CONTACT, '+5511900000404'] } });
  assert.deepEqual(result.data, [
    { number: CONTACT, exists: true },
    { number: '+5511900000404', exists: false },
  ]);
});

test('received: location, contact, poll, reaction, edit, delete, reply', async () => {
  const location = await received({ type: 'location', latitude: 1.5, longitude: 2.5, text: 'aqui' });
  assert.deepEqual(location.location, { latitude: 1.5, longitude: 2.5, name: 'aqui' });
  const contact = await received({ type: 'contact', text: 'Bia' });
  assert.deepEqual((contact.contacts as { name: unknown }[])[0]?.name, { formatted_name: 'Bia' });
  const poll = await received({ type: 'poll', text: 'Qual?', options: ['a', 'b'] });
  assert.deepEqual(poll.poll, { name: 'Qual?', options: ['a', 'b'], selectable: 1 });
  const ours = await act('send', { type: 'text', text: { body: 'reply to me' } });
  const reply = await received({ type: 'text', text: 'sim', quoted_id: ours });
  assert.equal((reply.context as { message_id: string }).message_id, ours);
  const reaction = await received({ type: 'reaction', quoted_id: ours, reaction: '🎉' }, 'reaction');
  assert.deepEqual([reaction.message_id, reaction.emoji], [ours, '🎉']);
  const theirs = await received({ type: 'text', text: 'errado' });
  const edit = await received({ type: 'edit', quoted_id: theirs.id, text: 'certo' }, 'edit');
  assert.deepEqual([edit.message_id, edit.type, edit.text], [theirs.id, 'text', { body: 'certo' }]);
  const revoke = await received({ type: 'revoke', quoted_id: theirs.id }, 'delete');
  assert.equal(revoke.message_id, theirs.id);
});

test('what the account says on another device is told, as from_self', async (t) => {
  const other = new Worker(t);
  await other.hello(sandbox.config);
  await sandbox.pair(other, 't/b', ME);
  const to = '+5511944440077';
  const result = await other.act('t/b', 2, 'send', {
    id: newId(),
    to: { pn: to },
    content: { type: 'text', text: { body: 'do celular' } },
  });
  assert.equal(result.ok, true);
  const { data } = (await worker.event(
    'message',
    ({ text }) => (text as { body?: string })?.body === 'do celular',
  )) as { data: Record<string, unknown> };
  assert.deepEqual(
    [data.from_self, (data.chat as { pn: string }).pn, (data.from as { pn: string }).pn],
    [true, to, ME],
  );
  const own = ((await worker.state('t/a', 'open')).me as { lid: string }).lid;
  const rows = [...(worker.stored.get('t/a')?.rows ?? [])].filter(([key]) => key === `lid-mapping/${to.slice(1)}`);
  for (const [, bin] of rows) assert.ok(!Buffer.from(bin).includes(own), 'the contact was taken for ourselves');
});

test('presence, calls and a caption edited are told and done', async () => {
  const at = `/api/contacts/${encodeURIComponent(CONTACT)}`;
  await sandbox.post(`${at}/presence`, { to: ME, state: 'composing' });
  const presence = await worker.event('presence');
  assert.deepEqual([presence.unit, (presence.data as { state: string }).state], [0, 'composing']);
  const { id } = await sandbox.post(`${at}/call`, { to: ME, video: true });
  const offer = (await worker.event('call', (data) => data.id === id)).data as Record<string, unknown>;
  assert.deepEqual([offer.state, offer.video, (offer.from as { pn: string }).pn], ['offer', true, CONTACT]);
  const ours = await sent('send', { type: 'image', image: { data: randomBytes(1000), caption: 'antes' } });
  const edit = await sent('edit', { message_id: ours.id, type: 'image', image: { caption: 'depois' } });
  assert.equal(edit.message.protocolMessage?.editedMessage?.imageMessage?.caption, 'depois');
  const event = await sent('send', { type: 'event', event: { name: 'Festa', start_at: '2027-01-01T20:00:00Z' } });
  assert.equal(Number(event.message.eventMessage?.startTime), Date.parse('2027-01-01T20:00:00Z') / 1000);
});

test('undecryptable once: told, asked for again, and then received', async () => {
  await received({ type: 'text', text: 'before' });
  await sandbox.post('/api/faults', { kind: 'undecryptable', account: ME, count: 1 });
  const { ids } = (await sandbox.post(`/api/contacts/${encodeURIComponent(CONTACT)}/send`, {
    to: ME,
    type: 'text',
    text: 'secret',
  })) as { ids: string[] };
  await worker.event('undecryptable', ({ id }) => id === ids[0]);
  const { data } = (await worker.event('message', ({ id }) => id === ids[0])) as { data: { text: unknown } };
  assert.deepEqual(data.text, { body: 'secret' });
});

test('a recipient that could not decrypt gets the message again', async () => {
  await act('send', { type: 'text', text: { body: 'before' } });
  await sandbox.post(`/api/contacts/${encodeURIComponent(CONTACT)}/reinstall`, {});
  const { id, entry } = await sent('send', { type: 'text', text: { body: 'again' } });
  assert.equal(entry.text, 'again');
  assert.ok((await sandbox.journal()).some(({ kind, id: of }) => kind === 'retry_request' && of === id));
  await until(() => worker.uncommitted.length === 0 || undefined);
  const rows = [...(worker.stored.get('t/a')?.rows.keys() ?? [])].filter((key) => key.startsWith('sent/'));
  assert.ok(rows.length >= 2 && rows.length <= 1024, `${rows.length} sent rows`);
});
