/** Latency and CPU a message, sent and received: the sidecar against bare Baileys, in the same run, in turns. */
import { execFile, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Sandbox } from '../sandbox.ts';
import { Worker } from '../worker.ts';

const print = (...parts: string[]): void => void process.stdout.write(`${parts.join(' ')}\n`);
const COUNT = Number(process.argv[2] ?? 500);
const ROUNDS = Number(process.argv[3] ?? 3);
const BARE = fileURLToPath(new URL('./bare.ts', import.meta.url));
const TICK_MS = 1000 / Number(spawnSync('getconf', ['CLK_TCK']).stdout.toString());

function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

const sandbox = await Sandbox.start();
let number = 0;
for (let round = 0; round < ROUNDS; round++) {
  const me = `+55118${String(80000000 + ++number)}`,
    contact = `+55117${String(70000000 + ++number)}`;
  const { ws_url, root_key, http_url } = sandbox.ready;
  const bare = await promisify(execFile)(process.execPath, [
    BARE,
    ws_url,
    root_key,
    http_url,
    me,
    contact,
    String(COUNT),
  ]);
  print('bare   ', bare.stdout.trim());
  const worker = new Worker();
  await worker.hello(sandbox.config);
  const mine = `+55116${String(60000000 + ++number)}`;
  await sandbox.pair(worker, 't/a', mine);
  const send = async (n: number): Promise<void> => {
    const result = await worker.act('t/a', 2, 'send', {
      id: `3EB0${String(n).padStart(18, '0')}`,
      to: { pn: contact },
      content: { type: 'text', text: { body: `message ${n}` } },
    });
    if (!result.ok) throw new Error(JSON.stringify(result));
    worker.frames.length = 0;
  };
  for (let n = 0; n < 50; n++) await send(n);
  const pid = worker.child.pid as number;
  const before = cpuMs(pid);
  const times: number[] = [];
  for (let n = 50; n < 50 + COUNT; n++) {
    const at = performance.now();
    await send(n);
    times.push(performance.now() - at);
  }
  const cpu = (cpuMs(pid) - before) / COUNT;
  times.sort((a, b) => a - b);
  print('sidecar', JSON.stringify({ p50: times[times.length >> 1], p95: times[Math.floor(times.length * 0.95)], cpu }));
  const bareIn = await promisify(execFile)(process.execPath, [
    BARE,
    ws_url,
    root_key,
    http_url,
    `+55115${50000000 + ++number}`,
    contact,
    String(COUNT),
    'receive',
  ]);
  print('bare    in', bareIn.stdout.trim());
  let received = 0;
  let at = 0;
  let cpuAt = 0;
  const all = new Promise<void>((resolve) => {
    worker.on('frame', ({ kind }) => {
      if (kind !== 'message') return;
      if (received++ === 0) {
        at = performance.now();
        cpuAt = cpuMs(pid);
      }
      if (received === COUNT) resolve();
    });
  });
  await sandbox.post(`/api/contacts/${encodeURIComponent(contact)}/send`, {
    to: mine,
    type: 'text',
    text: 'message',
    count: COUNT,
  });
  await all;
  const inbound = { a_second: (COUNT / (performance.now() - at)) * 1000, cpu: (cpuMs(pid) - cpuAt) / COUNT };
  print('sidecar in', JSON.stringify(inbound));
  worker.kill();
}
sandbox.stop();
