import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { get } from 'node:https';
import { after, before, test } from 'node:test';
import { type DownloadableMessage, downloadContentFromMessage, type MediaType } from 'baileys';
import { Gateway, SandboxProcess, until } from './harness.ts';

const ACCOUNT = '5511900000031';
const CONTACT = '5511911111141';
const sandbox = new SandboxProcess();
const gateway = new Gateway(sandbox);
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

before(async () => {
  await sandbox.start();
  await gateway.pair(ACCOUNT);
});
after(async () => {
  await gateway.close();
  await sandbox.dispose();
});

const reach = (path: string, ca?: Buffer) =>
  new Promise<{ status: number; body: Buffer }>((resolve, reject) => {
    get(sandbox.ready.media_url + path, ca ? { ca } : {}, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) }));
    }).on('error', reject);
  });

test('The media host is trusted with its CA and not without.', async () => {
  const ca = readFileSync(sandbox.ready.media_ca);
  assert.equal((await reach('/mms/image/none', ca)).status, 404);
  await assert.rejects(reach('/mms/image/none'), /certificate/);
});

test('Media that the gateway sends is opened by the contact, byte for byte.', async () => {
  const file = randomBytes(70_000);
  const cases = [
    [{ image: file, caption: 'look', jpegThumbnail: '' }, 'image'],
    [{ video: file, jpegThumbnail: '' }, 'video'],
    [{ audio: file, mimetype: 'audio/mpeg', seconds: 1 }, 'audio'],
    [{ document: file, mimetype: 'application/pdf', fileName: 'a.pdf' }, 'document'],
    [{ sticker: file }, 'sticker'],
  ] as const;
  for (const [content, type] of cases) {
    const id = await gateway.send(CONTACT, content as Parameters<typeof gateway.send>[1]);
    const entry = await sandbox.entry({ id, kind: 'message' }, (each) => each.media !== undefined);
    assert.equal(entry.type, type);
    assert.deepEqual([entry.media.sha256, entry.media.size], [sha256(file), file.length], type);
  }
});

test('Media that a contact sends is downloaded by the gateway, byte for byte.', async () => {
  const file = randomBytes(50_000);
  // Baileys downloads with fetch, whose trust cannot be set per request: the test fetches the bytes for it.
  const ca = readFileSync(sandbox.ready.media_ca);
  const plainFetch = globalThis.fetch;
  globalThis.fetch = async (url, init) => {
    if (!String(url).startsWith(sandbox.ready.media_url)) return await plainFetch(url, init);
    const { status, body } = await reach(new URL(String(url)).pathname, ca);
    return new Response(new Uint8Array(body), { status });
  };
  try {
    for (const [type, kind, field] of [
      ['image', 'image', 'imageMessage'],
      ['voice', 'audio', 'audioMessage'],
      ['document', 'document', 'documentMessage'],
    ] as const) {
      const { ids } = await sandbox.call('POST', `/api/contacts/${CONTACT}/send`, {
        to: ACCOUNT,
        type,
        media_base64: file.toString('base64'),
        filename: 'b.bin',
      });
      const message = await until('it arrives', () => gateway.messages.find(({ key }) => key.id === ids[0]));
      const stream = await downloadContentFromMessage(
        message.message?.[field] as DownloadableMessage,
        kind as MediaType,
      );
      const chunks: Buffer[] = [];
      for await (const chunk of stream) chunks.push(chunk as Buffer);
      assert.equal(sha256(Buffer.concat(chunks)), sha256(file), type);
    }
  } finally {
    globalThis.fetch = plainFetch;
  }
});
