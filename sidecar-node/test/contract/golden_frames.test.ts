// The golden frames of PROTOCOL.md, read and rewritten byte for byte; tests/contract/make_golden_frames.py wrote them.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { encode } from '@msgpack/msgpack';
import { FrameReader } from '../../src/frames.ts';

const folder = new URL('../../../tests/contract/golden/frames/', import.meta.url);
const names = readdirSync(folder).filter((name) => name.endsWith('.frame'));

test('there are golden frames of both sides', () => {
  for (const side of ['worker.', 'sidecar.']) assert.ok(names.filter((name) => name.startsWith(side)).length > 8);
});

for (const name of names) {
  test(`${name} is read by its type and rewritten to equal bytes`, () => {
    const raw = readFileSync(new URL(name, folder));
    const [frame, ...more] = [...new FrameReader().push(raw)];
    assert.equal(more.length, 0);
    assert.equal(frame?.type, name.split('.')[1]);
    assert.deepEqual(Buffer.from(encode(frame)), raw.subarray(4));
  });
}
