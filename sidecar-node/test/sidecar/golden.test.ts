/** The frames that both sides of the protocol read and rewrite: tests/contract/golden/frames. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { type Frame, FrameReader, FrameWriter } from '../../src/frames.ts';

const FOLDER = new URL('../../../tests/contract/golden/frames/', import.meta.url);

for (const name of readdirSync(FOLDER)) {
  test(`golden ${name} is read; what the sidecar sends is rewritten byte for byte`, async () => {
    const bytes = readFileSync(new URL(name, FOLDER));
    const [frame, ...more] = [...new FrameReader().push(bytes)];
    assert.equal(more.length, 0);
    assert.equal(frame?.type, name.split('.')[1]);
    if (!name.startsWith('sidecar.')) return;
    const pipe = new PassThrough();
    const writer = new FrameWriter(pipe);
    writer.send(frame as Frame);
    writer.flush();
    assert.deepEqual(pipe.read(), bytes);
  });
}
