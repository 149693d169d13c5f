import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { encode } from '@msgpack/msgpack';
import { type Frame, FrameError, FrameReader, FrameWriter, MAX_FRAME } from '../../src/frames.ts';

function framed(value: unknown): Buffer {
  const body = encode(value);
  const header = Buffer.alloc(4);
  header.writeUInt32BE(body.length);
  return Buffer.concat([header, body]);
}

const sample = [
  { type: 'a', n: 1 },
  { type: 'b', bin: Buffer.alloc(300, 7) },
  { type: 'c', text: 'é'.repeat(500) },
];
const stream = Buffer.concat(sample.map(framed));

function readAll(chunks: Buffer[]): Frame[] {
  const reader = new FrameReader();
  return chunks.flatMap((chunk) => [...reader.push(chunk)]);
}

test('frames are read whatever the chunks they come in', () => {
  for (const size of [1, 2, 3, 5, 7, 64, 1000, stream.length]) {
    const chunks: Buffer[] = [];
    for (let at = 0; at < stream.length; at += size) chunks.push(stream.subarray(at, at + size));
    assert.deepEqual(
      readAll(chunks).map(({ type }) => type),
      ['a', 'b', 'c'],
      `chunks of ${size}`,
    );
  }
});

test('a large frame in many chunks is read once', () => {
  const bytes = framed({ type: 'big', bin: Buffer.alloc(5_000_000, 1) });
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += 65_536) chunks.push(bytes.subarray(at, at + 65_536));
  const [frame] = readAll([...chunks, ...chunks]);
  assert.equal((frame?.bin as Uint8Array).length, 5_000_000);
});

test('a length out of range, garbage and what is no map end the stream', () => {
  const length = (n: number): Buffer => {
    const b = Buffer.alloc(8);
    b.writeUInt32BE(n);
    return b;
  };
  assert.throws(() => readAll([length(0)]), FrameError);
  assert.throws(() => readAll([length(MAX_FRAME + 1)]), FrameError);
  assert.throws(() => readAll([Buffer.from([0, 0, 0, 2, 0xc1, 0xc1])]), FrameError);
  assert.throws(() => readAll([framed([1, 2])]), FrameError);
  assert.throws(() => readAll([framed('text')]), FrameError);
});

test('the frames of one tick leave in one write and come back equal', async () => {
  const pipe = new PassThrough();
  const chunks: Buffer[] = [];
  pipe.on('data', (chunk: Buffer) => chunks.push(chunk));
  const writer = new FrameWriter(pipe);
  for (const frame of sample) writer.send(frame);
  writer.send({ type: 'd', absent: undefined, nothing: null, late: 1_795_373_277_000 });
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(chunks.length, 1);
  const frames = readAll(chunks);
  assert.deepEqual(frames[3], { type: 'd', nothing: null, late: 1_795_373_277_000 });
});

test('a frame beyond the limit is refused before anything of it is written', () => {
  assert.throws(() => new FrameWriter(new PassThrough()).send({ bin: Buffer.alloc(MAX_FRAME) }), RangeError);
});

test('a worker that does not read is noticed, and its catching up too', async () => {
  const pipe = new PassThrough({ highWaterMark: 1024 });
  const seen: boolean[] = [];
  const writer = new FrameWriter(pipe);
  writer.onPressure = (blocked) => seen.push(blocked);
  writer.send({ bin: Buffer.alloc(6_000_000) });
  writer.flush();
  assert.deepEqual(seen, [true]);
  pipe.resume();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(seen, [true, false]);
});
