/**
 * A copy in memory of its own, for what is kept: Node cuts small buffers from pools of 64 KB, and one of 32 bytes that
 * stays keeps its whole pool.
 */
export function unpooled(bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  copy.set(bytes);
  return copy;
}
