/**
 * Gives memory back while nothing happens. V8 lets garbage lie as long as the machine has room, and pairing alone
 * leaves a megabyte and a half an account: a sidecar at rest would look, and be billed, several times its size.
 */
import { performance } from 'node:perf_hooks';
import v8 from 'node:v8';
import vm from 'node:vm';

const EVERY_MS = 5_000;
/** Garbage worth a collection, in bytes. */
const WORTH = 16 * 1024 * 1024;
/** Share of the time the loop may have been busy for a collection not to be felt. */
const IDLE = 0.25;

/** While a large file passes: its parts are garbage at once, which V8, counting its own heap, lets lie. */
const TIDY_MS = 50;

type Collect = (options?: { type: 'minor' }) => void;

let collector: Collect | undefined;
let passing = 0;
let tidying: NodeJS.Timeout | undefined;

function collect(options?: { type: 'minor' }): void {
  if (!collector) {
    v8.setFlagsFromString('--expose-gc');
    collector = vm.runInNewContext('gc') as Collect;
  }
  collector(options);
}

/** Does `work` with a large file, and keeps young garbage low meanwhile. */
export async function tidily<T>(work: () => Promise<T>): Promise<T> {
  if (passing++ === 0) tidying = setInterval(() => collect({ type: 'minor' }), TIDY_MS);
  try {
    return await work();
  } finally {
    if (--passing === 0) clearInterval(tidying);
  }
}

export function startTrimming(): void {
  let floor = 0;
  let previous = performance.eventLoopUtilization();
  setInterval(() => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, previous);
    previous = now;
    const { heapUsed, external } = process.memoryUsage();
    if (utilization > IDLE || heapUsed + external < floor + WORTH) return;
    collect();
    const after = process.memoryUsage();
    floor = after.heapUsed + after.external;
  }, EVERY_MS).unref();
}
