/** Memory a paired idle session costs beyond the base: pairs N accounts in one sidecar, lets them rest. */
import { readFileSync } from 'node:fs';
import { Sandbox } from '../sandbox.ts';
import { Worker } from '../worker.ts';

const print = (...parts: string[]): void => void process.stdout.write(`${parts.join(' ')}\n`);
const COUNT = Number(process.argv[2] ?? 100);

function pss(pid: number): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  return Number(/^Rss:\s+(\d+)/m.exec(text)?.[1]) / 1024;
}

const sandbox = await Sandbox.start();
const worker = new Worker();
await worker.hello(sandbox.config);
const pid = worker.child.pid as number;
const rest = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
await sandbox.pair(worker, 't/warm', '+5511600000000');
await rest(12_000);
const base = pss(pid);
for (let n = 0; n < COUNT; n += 10) {
  await Promise.all(
    Array.from({ length: Math.min(10, COUNT - n) }, (_, k) =>
      sandbox.pair(worker, `t/s${n + k}`, `+5511${String(610000000 + n + k)}`),
    ),
  );
  worker.frames.length = 0;
}
await rest(45_000);
const full = pss(pid);
worker.frames.length = 0;
const stats = await worker.next(({ type }) => type === 'stats');
print(
  JSON.stringify({
    base,
    full,
    per_session: (full - base) / COUNT,
    heap: Number(stats.heap) / 1048576,
    loop_lag_ms: stats.loop_lag_ms,
  }),
);
worker.kill();
sandbox.stop();
