/** Statuses and channels: posted, taken back, told; a post whose end nobody saw is never posted again. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Frame } from '../../src/frames.ts';
import { type JournalEntry, Sandbox, until } from '../sidecar/sandbox.ts';
import { Worker } from '../sidecar/worker.ts';
import { CHROMIUM, MS, open, pair } from './browsers.ts';

const skip = CHROMIUM ? false : 'no Chromium is here';
const ME = '+5511990000004';
const FRIEND = '+5511988887774';
const NEWS = '+5511988887775';
let sandbox: Sandbox;
let worker: Worker;
let profiles: string;
let incarnation = 2;

const config = (): Frame => ({ ...sandbox.config, engines: ['webjs'], profiles, chromium: CHROMIUM });

before(async () => {
  if (skip) return;
  sandbox = await Sandbox.start();
  profiles = mkdtempSync(join(tmpdir(), 'webjs-test-'));
  worker = new Worker();
  await worker.hello(config());
  await pair(sandbox, worker, 't/a', ME);
  // Statuses go to the people of its chats.
  await sandbox.post(`/api/contacts/${FRIEND}/send`, { to: ME, text: 'oi' });
  await worker.event('message', ({ from }) => (from as Data).pn === FRIEND, 0, MS);
});
after(() => {
  worker?.kill();
  sandbox?.stop();
  if (profiles) rmSync(profiles, { recursive: true, force: true, maxRetries: 5 });
});

type Data = Record<string, unknown>;
const STATUS = { group: 'status@broadcast' };
let last = 0;
const id = (): string => `3EB0${String(++last).padStart(18, '0')}`;
const act = (action: string, more: Data) => worker.act('t/a', incarnation, action, more);
const words = (body: string) => ({ type: 'text', text: { body } });
const shown = (of: string): Promise<JournalEntry> =>
  sandbox.entry(({ kind, id: each }) => kind === 'message' && each === of);
const told = async (match: (data: Data) => boolean): Promise<Data> =>
  (await worker.event('post', match, 0, MS)).data as Data;

async function posted(to: Data, content: Data): Promise<string> {
  const sent = id();
  const result = await act('send', { id: sent, to, content });
  assert.deepEqual([result.ok, result.message_id], [true, sent], JSON.stringify(result));
  return sent;
}

async function refused(to: Data, content: Data): Promise<string> {
  const { ok, code, uncertain } = await act('send', { id: id(), to, content });
  assert.deepEqual([ok, uncertain], [false, false]);
  return String(code);
}

test(
  'a status of words and one with a file are seen by the people of its chats, and taken back',
  { skip },
  async () => {
    const said = await posted(STATUS, { type: 'text', text: { body: 'fechados', background: '#aa3355' } });
    const { content } = await shown(said);
    const { text, backgroundArgb } = (content as Data).extendedTextMessage as Data;
    assert.deepEqual([text, backgroundArgb], ['fechados', 0xffaa3355]);
    await worker.event(
      'status',
      ({ status, message_ids }) => status === 'read' && (message_ids as string[]).includes(said),
      0,
      MS,
    );
    const bytes = randomBytes(100_000);
    const film = await posted(STATUS, {
      type: 'video',
      video: { mime_type: 'video/mp4', data: bytes, caption: 'hoje' },
    });
    const entry = await until(async () => (await sandbox.journal()).find((each) => each.id === film && each.media));
    assert.equal((entry.media as Data).sha256, createHash('sha256').update(bytes).digest('hex'));
    const gone = id();
    const result = await act('delete', { id: gone, to: STATUS, content: { message_id: said } });
    assert.deepEqual([result.ok, result.message_id], [true, gone], JSON.stringify(result));
    assert.deepEqual(((e) => [e.type, e.text])(await shown(gone)), ['revoke', said]);
    // As after a crash: the same command finds it done; another one finds nothing.
    const same = await act('delete', { id: gone, to: STATUS, content: { message_id: said } });
    assert.deepEqual([same.ok, same.message_id], [true, gone]);
    const other = await act('delete', { id: id(), to: STATUS, content: { message_id: said } });
    assert.equal(other.code, 'E_MESSAGE_NOT_FOUND');
    await sandbox.post('/api/faults', { kind: 'nack', account: ME, code: 400 });
    assert.equal(await refused(STATUS, words('not wanted')), 'E_WHATSAPP_REJECTED');
    assert.ok(!worker.frames.some(({ kind, data }) => kind === 'status' && (data as Data).status === 'failed'));
    assert.equal(
      await refused(STATUS, { type: 'poll', poll: { name: 'x', options: ['a', 'b'] } }),
      'E_UNSUPPORTED_TYPE',
    );
    assert.equal(await refused(STATUS, { ...words('@5511'), mentions: ['+5511977776666'] }), 'E_UNSUPPORTED_TYPE');
  },
);

test('a status of a contact is told, and that it was taken back; nothing of it is a message', { skip }, async () => {
  const say = async (more: Data) =>
    (
      (await sandbox.post(`/api/contacts/${NEWS}/send`, { to: ME, status: true, ...more })).ids as string[]
    )[0] as string;
  const first = await say({ text: 'promoção' });
  const { place, channel, from, text } = await told(({ id: of }) => of === first);
  assert.deepEqual([place, channel, (from as Data).pn, text], ['status', null, NEWS, { body: 'promoção' }]);
  const end = await say({ type: 'revoke', quoted_id: first });
  const gone = await told(({ type, message_id }) => type === 'deleted' && message_id === first);
  assert.deepEqual([gone.id, gone.place], [end, 'status']);
  const about = worker.frames.filter(({ kind, data }) => kind === 'message' && (data as Data)?.id === first);
  assert.deepEqual(about, []);
});

test('a channel: made, posted in, taken back from, and deleted', { skip }, async () => {
  const made = (await act('channel.create', { content: { name: 'Ofertas', description: 'do dia' } })).data as Data;
  assert.deepEqual([made.name, made.description, made.role, made.subscribers], ['Ofertas', 'do dia', 'owner', 0]);
  await sandbox.post('/api/channels/follow', { channel: made.channel, by: FRIEND });
  const there = { group: made.channel };
  const said = await posted(there, words('pão a R$ 1'));
  assert.equal((await shown(said)).text, 'pão a R$ 1');
  for (const [type, mime_type] of [
    ['image', 'image/png'],
    ['voice', 'audio/ogg; codecs=opus'],
    ['sticker', 'image/webp'],
  ] as const) {
    const data = randomBytes(50_000);
    const file = await posted(there, { type, [type]: { mime_type, data } });
    const seen = await until(async () => (await sandbox.journal()).find((each) => each.id === file && each.media));
    assert.deepEqual(
      [seen.type, (seen.media as Data).sha256, ((seen.content as Data)[`${type}Message`] as Data)?.mediaKey],
      [type, createHash('sha256').update(data).digest('hex'), undefined],
    );
  }
  const poll = await posted(there, { type: 'poll', poll: { name: 'pão?', options: ['sim', 'não'] } });
  assert.deepEqual(((e) => [e.type, e.text])(await shown(poll)), ['poll', 'pão?']);
  await sandbox.post('/api/faults', { kind: 'nack', account: ME, code: 400 });
  assert.equal(await refused(there, words('not wanted')), 'E_WHATSAPP_REJECTED');
  const result = await act('delete', { id: id(), to: there, content: { message_id: said } });
  assert.equal(result.ok, true, JSON.stringify(result));
  const isWithdrawal = ({ kind, type, id: of }: JournalEntry) => kind === 'message' && type === 'revoke' && of === said;
  await sandbox.entry(isWithdrawal);
  assert.equal((await act('delete', { id: id(), to: there, content: { message_id: said } })).ok, true);
  assert.equal((await sandbox.journal()).filter(isWithdrawal).length, 1);
  const found = (await act('channel.get', { content: { channel: made.channel } })).data as Data;
  assert.deepEqual({ ...found, subscribers: 0 }, made);
  assert.equal((await act('channel.delete', { content: { channel: made.channel } })).ok, true);
  assert.equal((await act('channel.get', { content: { channel: made.channel } })).code, 'E_CHANNEL_NOT_FOUND');
  assert.equal(await refused(there, words('into nothing')), 'E_CHANNEL_NOT_FOUND');
});

test('a channel of others: found by its link, followed, told, muted, left', { skip }, async () => {
  const { id: channel, invite } = await sandbox.post('/api/channels', { owner: NEWS, name: 'Notícias' });
  const say = async (more: Data) =>
    ((await sandbox.post(`/api/contacts/${NEWS}/send`, { to: channel, ...more })).ids as string[])[0] as string;
  const ask = async (action: string, content: Data = {}) => {
    const result = await act(action, { content: { channel, ...content } });
    assert.equal(result.ok, true, JSON.stringify(result));
    return result.data as Data;
  };
  const found = (await act('channel.get', { content: { code: invite } })).data as Data;
  assert.deepEqual([found.channel, found.name, found.role], [channel, 'Notícias', 'guest']);
  await ask('channel.follow');
  const first = await say({ text: 'chuva à tarde' });
  const { place, channel: of, from, from_self, text } = await told(({ id: each }) => each === first);
  assert.deepEqual(
    [place, of, (from as Data).pn, from_self, text],
    ['channel', channel, null, false, { body: 'chuva à tarde' }],
  );
  await say({ type: 'edit', quoted_id: first, text: 'sol à tarde' });
  const corrected = await told(({ message_id }) => message_id === first);
  assert.deepEqual([corrected.type, corrected.text], ['text', { body: 'sol à tarde' }]);
  const bytes = randomBytes(60_000);
  const film = await say({ type: 'video', media_base64: bytes.toString('base64') });
  const { media } = await told(({ id: each }) => each === film);
  const kept = await act('media.get', { content: { source: (media as Data).source } });
  assert.ok(Buffer.from((kept.data as { data: Uint8Array }).data).equals(bytes));
  await say({ type: 'revoke', quoted_id: first });
  await told(({ type, message_id }) => type === 'deleted' && message_id === first);
  await ask('channel.mute');
  assert.deepEqual(((c) => [c.role, c.muted])(await ask('channel.get')), ['subscriber', true]);
  await ask('channel.mute', { muted: false });
  assert.equal((await ask('channel.get')).muted, false);
  assert.equal(await refused({ group: channel }, words('posso?')), 'E_NOT_CHANNEL_ADMIN');
  assert.equal((await act('channel.delete', { content: { channel } })).code, 'E_NOT_CHANNEL_ADMIN');
  await ask('channel.unfollow');
  assert.equal((await ask('channel.get')).role, 'guest');
  assert.equal((await act('channel.get', { content: { code: '0029Vanobody' } })).code, 'E_CHANNEL_NOT_FOUND');
});

test('killed before the ack: tried again the post is unknown, and nobody sees it twice', { skip }, async () => {
  // Its phone is off: nothing but the server's ack tells that a post arrived.
  await sandbox.post('/api/contacts', { number: FRIEND, behaviour: { deliver: false } });
  const made = (await act('channel.create', { content: { name: 'Outra' } })).data as Data;
  await sandbox.post('/api/channels/follow', { channel: made.channel, by: FRIEND });
  const { id: news } = await sandbox.post('/api/channels', { owner: NEWS, name: 'Jornal' });
  assert.equal((await act('channel.follow', { content: { channel: news } })).ok, true);
  const counted = async (of: string): Promise<number> =>
    (await sandbox.journal()).filter(({ kind, id: each }) => (kind === 'message' || kind === 'repeat') && each === of)
      .length;
  const say = async (to: unknown, text: string, more: Data = {}): Promise<string[]> =>
    (await sandbox.post(`/api/contacts/${NEWS}/send`, { to, text, ...more })).ids as string[];
  const trials: [string, Data, Data][] = [];
  for (const to of [STATUS, { group: made.channel }]) {
    await sandbox.post('/api/faults', { kind: 'drop_ack', account: ME });
    trials.push([id(), to, words(`once ${last}`)]);
    const [sent, , content] = trials.at(-1) as (typeof trials)[0];
    worker.send({ type: 'act', session: 't/a', incarnation, ref: 0, action: 'send', id: sent, to, content });
    await until(async () => (await counted(sent)) === 1);
    // Told, but not stored when it dies: the page has it.
    worker.autoCommit = false;
    const [unheard] = to === STATUS ? await say(ME, 'a status', { status: true }) : await say(news, 'a post');
    await told(({ id: of }) => of === unheard);
    const stored = worker.stored;
    worker.kill();
    // What is posted meanwhile is told by the next one.
    const [missed] = await say(news, 'edition');
    worker = new Worker();
    for (const [session, rows] of stored) worker.stored.set(session, rows);
    await worker.hello(config());
    await open(worker, 't/a', ++incarnation);
    for (const each of [missed, unheard]) await told(({ id: of }) => of === each);
    const again = await act('send', { id: sent, to, content });
    assert.deepEqual([again.ok, again.code, again.uncertain], [false, 'E_ACK_TIMEOUT', true], JSON.stringify(again));
  }
  for (const [sent] of trials) assert.equal(await counted(sent), 1);
});
