/** Statuses and channels, by the real Baileys in a real sidecar against the local WhatsApp. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { after, before, test } from 'node:test';
import { decode, encode } from '@msgpack/msgpack';
import { type JournalEntry, Sandbox, until } from './sandbox.ts';
import { Worker } from './worker.ts';

const [ACCOUNT, ANA, BIA, CAIO] = ['+5511900000071', '+5511911111171', '+5511911111172', '+5511911111173'];
const STATUS = 'status@broadcast';
let sandbox: Sandbox;
let worker: Worker;

before(async () => {
  sandbox = await Sandbox.start();
  worker = new Worker();
  await worker.hello(sandbox.config);
  await sandbox.pair(worker, 't/a', ACCOUNT);
});
after(() => {
  worker.kill();
  sandbox.stop();
});

type Told = Record<string, unknown>;
let last = 0;
const newId = (): string => `3EB0${String(++last).padStart(18, '0')}`;
const bare = (number: string): string => number.slice(1);
const people = (...numbers: string[]) => numbers.map((pn) => ({ pn }));

async function post(content: Record<string, unknown>, action = 'send', group = STATUS) {
  const id = newId();
  return { id, result: await worker.act('t/a', 2, action, { id, to: { group }, content }) };
}

/** What Baileys keeps of files on their way. */
const uploads = (): string[] => readdirSync(tmpdir()).filter((name) => /^image3EB0[0-9A-F]+$/.test(name));

const asked = (verb: string, content: Record<string, unknown>) => worker.act('t/a', 2, verb, { id: 'ask', content });

async function ask(verb: string, content: Record<string, unknown>): Promise<Record<string, unknown>> {
  const { ok, data, code, detail } = await asked(verb, content);
  assert.ok(ok, `${code} ${detail}`);
  return data as Record<string, unknown>;
}

/** Another process goes on with the session; `meanwhile` nobody does. */
async function relink(meanwhile: () => Promise<void> = async () => {}): Promise<void> {
  await until(() => worker.uncommitted.length === 0 || undefined);
  worker.kill();
  await worker.exited;
  await meanwhile();
  const { stored } = worker;
  worker = new Worker();
  for (const [session, rows] of stored) worker.stored.set(session, rows);
  await worker.hello(sandbox.config);
  worker.open('t/a', 2);
  await worker.state('t/a', 'open');
}

async function shown(id: string, contact: string): Promise<JournalEntry> {
  return sandbox.entry((entry) => entry.kind === 'message' && entry.id === id && entry.contact === bare(contact));
}

async function readersOf(id: string): Promise<unknown[]> {
  const entries = await sandbox.journal();
  return entries.filter((entry) => entry.kind === 'message' && entry.id === id).map(({ contact }) => contact);
}

test('A status is shown to its audience and to nobody else; its readers are told one by one.', async () => {
  const { id, result } = await post({ type: 'text', text: { body: 'Feriado' }, audience: people(ANA, BIA) });
  assert.deepEqual([result.ok, result.message_id], [true, id]);
  for (const contact of [ANA, BIA]) {
    const entry = await shown(id, contact);
    assert.deepEqual([entry.text, entry.group], ['Feriado', STATUS]);
  }
  assert.deepEqual(await readersOf(id), [bare(ANA), bare(BIA)]);
  await until(() => {
    const read = worker.frames.flatMap(({ kind, data }) =>
      kind === 'status' ? [data as Record<string, unknown>] : [],
    );
    const readers = read.filter(
      ({ message_ids, status }) => status === 'read' && (message_ids as string[]).includes(id),
    );
    return new Set(readers.map(({ by }) => (by as { lid: string }).lid)).size === 2 || undefined;
  });
});

test('A status is taken back from whom it was shown to, also by a later link.', async () => {
  const { id } = await post({ type: 'text', text: { body: 'Engano' }, audience: people(ANA, CAIO) });
  await shown(id, CAIO);
  await relink();
  const { id: gone, result } = await post({ message_id: id }, 'delete');
  assert.equal(result.ok, true);
  for (const contact of [ANA, CAIO]) {
    const entry = await shown(gone, contact);
    assert.deepEqual([entry.type, entry.text], ['revoke', id]);
  }
  assert.deepEqual(await readersOf(gone), [bare(ANA), bare(CAIO)]);
});

test('A phone that cannot read a status gets it again, alone.', async () => {
  const DORA = '+5511911111174';
  await sandbox.post('/api/contacts', { number: DORA, behaviour: { retry_first: true } });
  const { id } = await post({ type: 'text', text: { body: 'De novo' }, audience: people(ANA, DORA) });
  const entry = await shown(id, DORA);
  assert.deepEqual([entry.text, entry.group], ['De novo', STATUS]);
  await sandbox.entry(({ kind, id: of, contact }) => kind === 'retry_request' && of === id && contact === bare(DORA));
  await shown(id, ANA);
  const again = (await sandbox.journal()).filter(({ kind, id: of }) => kind === 'repeat' && of === id);
  assert.deepEqual(
    again.filter(({ contact }) => contact !== bare(DORA)),
    [],
  );
});

test('What nobody may see is refused, and a deletion of what is not known.', async () => {
  assert.equal((await post({ type: 'text', text: { body: 'x' } })).result.code, 'E_EMPTY_AUDIENCE');
  const unknown = await post({ message_id: '3EB0FFFFFFFFFFFFFFFFFF' }, 'delete');
  assert.equal(unknown.result.code, 'E_MESSAGE_NOT_FOUND');
});

test('A channel is made, posted in and taken back from; its followers see it.', async () => {
  const made = await ask('channel.create', { name: 'Ofertas', description: 'Todo dia' });
  const channel = made.channel as string;
  assert.deepEqual([made.role, made.muted, made.subscribers], ['owner', false, 0]);
  await sandbox.post(`/api/channels/follow`, { channel, by: ANA });
  const { id, result } = await post({ type: 'text', text: { body: 'Pão a R$ 1' } }, 'send', channel);
  assert.deepEqual([result.ok, result.message_id], [true, id]);
  const entry = await shown(id, ANA);
  assert.deepEqual([entry.text, entry.group], ['Pão a R$ 1', channel]);
  const gone = await post({ message_id: id }, 'delete', channel);
  assert.equal(gone.result.ok, true);
  await sandbox.entry(({ type, id: of, contact }) => type === 'revoke' && of === id && contact === bare(ANA));
  assert.equal((await ask('channel.get', { channel })).subscribers, 1);
});

test('Files in a channel: posted where channels keep them, unencrypted; followers open them.', async () => {
  const { channel } = (await ask('channel.create', { name: 'Fotos' })) as { channel: string };
  await sandbox.post('/api/channels/follow', { channel, by: ANA });
  const file = Buffer.from('what any follower may open');
  const sha256 = createHash('sha256').update(file).digest('hex');
  for (const type of ['image', 'video', 'audio', 'voice', 'document', 'sticker']) {
    const { id, result } = await post({ type, [type]: { data: file, caption: 'Novo' } }, 'send', channel);
    assert.deepEqual([result.ok, result.message_id], [true, id], `${type} ${result.code} ${result.detail}`);
    const entry = await sandbox.entry(({ id: of, contact, media }) => of === id && contact === bare(ANA) && !!media);
    assert.equal(entry.type, type);
    assert.equal((entry.media as { sha256: string }).sha256, sha256);
  }
});

test('A file that WhatsApp does not take fails its post, and leaves nothing behind.', async () => {
  const { channel } = (await ask('channel.create', { name: 'Fotos' })) as { channel: string };
  const before = uploads();
  const refused = await post({ type: 'image', image: { path: '/nowhere/a.png' } }, 'send', channel);
  assert.equal(refused.result.code, 'E_MEDIA_NOT_FOUND');
  await sandbox.post('/api/faults', { kind: 'nack', account: ACCOUNT, code: 479, count: 1 });
  const nacked = await post({ type: 'image', image: { data: Buffer.from('a') } }, 'send', channel);
  assert.deepEqual([nacked.result.code, nacked.result.detail], ['E_WHATSAPP_REJECTED', '479']);
  await until(() => uploads().every((name) => before.includes(name)) || undefined);
});

test("A channel's file is fetched as it was posted; what is no longer what the post says is refused.", async () => {
  const { id: channel } = (await sandbox.post('/api/channels', { owner: BIA, name: 'Fotos dela' })) as { id: string };
  await ask('channel.follow', { channel });
  const file = Buffer.from('a picture of hers');
  const said = { to: channel, type: 'image', media_base64: file.toString('base64'), text: 'Praia' };
  const { ids } = (await sandbox.post(`/api/contacts/${bare(BIA)}/send`, said)) as { ids: string[] };
  const { data } = (await worker.event('post', ({ id: of }) => of === ids[0])) as { data: Record<string, unknown> };
  const media = data.media as { source: Uint8Array; size: number };
  assert.deepEqual([data.type, data.image, media.size], ['image', { caption: 'Praia' }, file.length]);
  const got = await ask('media.get', { source: media.source });
  assert.deepEqual(Buffer.from(got.data as Uint8Array), file);
  const source = decode(media.source) as Record<string, unknown>;
  const fetched = async (changed: object) =>
    (await asked('media.get', { source: encode({ ...source, ...changed }, { ignoreUndefined: true }) })).code;
  assert.equal(await fetched({ sha256: Buffer.alloc(32) }), 'E_MEDIA_CORRUPT');
  assert.equal(await fetched({ sha256: undefined }), 'E_MEDIA_CORRUPT');
  assert.equal(await fetched({ path: `/m1/v/t24/${'A'.repeat(43)}` }), 'E_MEDIA_EXPIRED');
});

test('A post is corrected by another text, told as a correction of it.', async () => {
  const { channel } = (await ask('channel.create', { name: 'Preços' })) as { channel: string };
  await sandbox.post('/api/channels/follow', { channel, by: ANA });
  const { id } = await post({ type: 'text', text: { body: 'Pão a R$ 1' } }, 'send', channel);
  const corrected = await post({ message_id: id, type: 'text', text: { body: 'Pão a R$ 2' } }, 'edit', channel);
  assert.deepEqual([corrected.result.ok, corrected.result.message_id], [true, corrected.id]);
  const entry = await sandbox.entry(
    ({ type, id: of, contact }) => type === 'edit' && of === id && contact === bare(ANA),
  );
  assert.equal(entry.text, 'Pão a R$ 2');
  const file = await post({ message_id: id, type: 'image', image: { caption: 'x' } }, 'edit', channel);
  assert.equal(file.result.code, 'E_UNSUPPORTED_TYPE');
});

test('A post, its correction and its end are told one by one when they come at once.', async () => {
  const { id: channel } = (await sandbox.post('/api/channels', { owner: BIA, name: 'Aos poucos' })) as { id: string };
  await ask('channel.follow', { channel });
  let id = '';
  await relink(async () => {
    const say = (body: object) => sandbox.post(`/api/contacts/${bare(BIA)}/send`, { to: channel, ...body });
    [id = ''] = ((await say({ text: 'Chuva' })) as { ids: string[] }).ids;
    await say({ type: 'edit', quoted_id: id, text: 'Sol' });
    await say({ type: 'revoke', quoted_id: id });
  });
  await worker.event('post', ({ type, message_id }) => type === 'deleted' && message_id === id);
  const told = worker.frames.flatMap(({ kind, data }) => (kind === 'post' ? [data as Told] : []));
  assert.deepEqual(
    told.filter((each) => each.channel === channel).map(({ type, text, message_id }) => [type, text, message_id]),
    [
      ['text', { body: 'Chuva' }, undefined],
      ['text', { body: 'Sol' }, id],
      ['deleted', undefined, id],
    ],
  );
});

test('A poll in a channel is shown to its followers.', async () => {
  const { channel } = (await ask('channel.create', { name: 'Enquetes' })) as { channel: string };
  await sandbox.post('/api/channels/follow', { channel, by: ANA });
  const poll = { name: 'Qual?', options: ['Pão', 'Bolo'] };
  const { id, result } = await post({ type: 'poll', poll }, 'send', channel);
  assert.equal(result.ok, true);
  const entry = await shown(id, ANA);
  assert.deepEqual([entry.type, entry.text], ['poll', 'Qual?']);
});

test("Somebody else's channel is found by its link, followed, muted and left, and only read.", async () => {
  const { id, invite } = await sandbox.post('/api/channels', { owner: BIA, name: 'Notícias' });
  const channel = id as string;
  assert.deepEqual((await ask('channel.get', { code: invite })).role, 'guest');
  await ask('channel.follow', { channel });
  await ask('channel.mute', { channel });
  const { role, muted, name } = await ask('channel.get', { channel });
  assert.deepEqual([role, muted, name], ['subscriber', true, 'Notícias']);
  const say = (body: object) => sandbox.post(`/api/contacts/${bare(BIA)}/send`, { to: channel, ...body });
  const { ids } = (await say({ text: 'Chuva' })) as { ids: string[] };
  const { data } = (await worker.event('post', ({ id: of }) => of === ids[0])) as { data: Record<string, unknown> };
  assert.deepEqual(
    [data.place, data.channel, data.text, data.from_self],
    ['channel', channel, { body: 'Chuva' }, false],
  );
  await sandbox.entry(({ kind, id: of }) => kind === 'inbound_acked' && of === ids[0]);
  await say({ type: 'edit', quoted_id: ids[0], text: 'Sol' });
  const changed = (await worker.event('post', ({ message_id }) => message_id === ids[0])) as { data: Told };
  assert.deepEqual([changed.data.type, changed.data.text], ['text', { body: 'Sol' }]);
  assert.match(String(changed.data.id), new RegExp(`^${ids[0]}\\.edited\\.[0-9a-f]{12}$`));
  await say({ type: 'revoke', quoted_id: ids[0] });
  await worker.event('post', ({ type, message_id }) => type === 'deleted' && message_id === ids[0]);
  const refused = await post({ type: 'text', text: { body: 'eu também' } }, 'send', channel);
  assert.equal(refused.result.code, 'E_NOT_CHANNEL_ADMIN');
  await ask('channel.mute', { channel, muted: false });
  await ask('channel.unfollow', { channel });
  assert.equal((await ask('channel.get', { channel })).role, 'guest');
});

test('What is no channel, and a command that WhatsApp does not let be done, have codes of their own.', async () => {
  const nowhere = '120363000000000000@newsletter';
  assert.equal((await asked('channel.get', { channel: nowhere })).code, 'E_CHANNEL_NOT_FOUND');
  assert.equal((await asked('channel.follow', { channel: nowhere })).code, 'E_CHANNEL_NOT_FOUND');
  const { id } = await sandbox.post('/api/channels', { owner: BIA, name: 'Dela' });
  assert.equal((await asked('channel.delete', { channel: id })).code, 'E_NOT_CHANNEL_ADMIN');
  assert.equal((await post({ type: 'text', text: { body: 'x' } }, 'send', nowhere)).result.code, 'E_CHANNEL_NOT_FOUND');
});

test("A status from the account's own phone is told as ours.", async () => {
  const said = { to: ACCOUNT, status: true, text: 'Do celular' };
  const { ids } = (await sandbox.post(`/api/contacts/${bare(ACCOUNT)}/send`, said)) as { ids: string[] };
  const { data } = (await worker.event('post', ({ id: of }) => of === ids[0])) as { data: Record<string, unknown> };
  assert.deepEqual([data.from_self, (data.from as { pn: string }).pn], [true, ACCOUNT]);
});
