/**
 * Framing of the worker's socket: `u32 big-endian length | one MessagePack map`.
 * Both ends are bounded; see PROTOCOL.md.
 */
import type { Duplex } from 'node:stream';
import { Decoder, Encoder } from '@msgpack/msgpack';

export const MAX_FRAME = 16 * 1024 * 1024;
const HEADER = 4;
/** Bytes waiting for the worker above which the sidecar stops producing. */
const HIGH_WATER = 4 * 1024 * 1024;

export type Frame = Record<string, unknown>;

/** The peer's stream can no longer be trusted: the process must end (exit code 65). */
export class FrameError extends Error {
  override name = 'FrameError';
}

export class FrameReader {
  #chunks: Buffer[] = [];
  #size = 0;
  #decoder = new Decoder();

  /** Returns the frames completed by `chunk`. Throws FrameError on a bad length or bytes that do not decode. */
  *push(chunk: Buffer): Generator<Frame> {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    for (;;) {
      if (this.#size < HEADER) return;
      const length = this.#peekLength();
      if (length < 1 || length > MAX_FRAME) throw new FrameError('length out of range');
      if (this.#size < HEADER + length) return;
      yield this.#decode(this.#take(HEADER + length).subarray(HEADER));
    }
  }

  #peekLength(): number {
    if ((this.#chunks[0] as Buffer).length < HEADER) this.#join();
    return (this.#chunks[0] as Buffer).readUInt32BE(0);
  }

  #join(): void {
    this.#chunks = [Buffer.concat(this.#chunks)];
  }

  #take(length: number): Buffer {
    if ((this.#chunks[0] as Buffer).length < length) this.#join();
    const first = this.#chunks[0] as Buffer;
    if (first.length > length) this.#chunks[0] = first.subarray(length);
    else this.#chunks.shift();
    this.#size -= length;
    return first.subarray(0, length);
  }

  #decode(body: Buffer): Frame {
    let value: unknown;
    try {
      value = this.#decoder.decode(body);
    } catch {
      throw new FrameError('not MessagePack');
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new FrameError('not a map');
    return value as Frame;
  }
}

export class FrameWriter {
  #stream: Duplex;
  #encoder = new Encoder({ ignoreUndefined: true });
  #batch: Uint8Array[] = [];
  #scheduled = false;
  #blocked = false;
  /** Called with true when the worker has stopped reading, with false once it caught up. */
  onPressure: (blocked: boolean) => void = () => {};

  constructor(stream: Duplex) {
    this.#stream = stream;
    stream.on('drain', () => this.#press(false));
  }

  /** Queues one frame; frames of one tick leave in one write. Throws RangeError when the frame is too large. */
  send(frame: Frame): void {
    const body = this.#encoder.encode(frame);
    if (body.length > MAX_FRAME) throw new RangeError('frame too large');
    const header = Buffer.allocUnsafe(HEADER);
    header.writeUInt32BE(body.length, 0);
    this.#batch.push(header, body);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.flush());
  }

  flush(): void {
    this.#scheduled = false;
    if (this.#batch.length === 0 || !this.#stream.writable) return;
    const bytes = Buffer.concat(this.#batch);
    this.#batch = [];
    if (!this.#stream.write(bytes) && this.#stream.writableLength > HIGH_WATER) this.#press(true);
  }

  #press(blocked: boolean): void {
    if (blocked === this.#blocked) return;
    this.#blocked = blocked;
    this.onPressure(blocked);
  }
}
