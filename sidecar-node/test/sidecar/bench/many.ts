/**
 * Many sessions at once: `many.ts [sessions] [texts each] [rounds] [[--node-flag …] sidecar-node] …`. CPU a message of
 * the sidecar and of the sandbox, and the sidecar's memory. Sidecars of several trees, or of one with other flags, take
 * turns on one sandbox, so that a change is measured against what it changes on a machine that others load too.
 * `--cpu-prof --cpu-prof-dir=…` writes a profile as a sidecar shuts down.
 */
import { type ChildProcess, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Frame } from '../../../src/frames.ts';
import { Sandbox } from '../sandbox.ts';
import { Worker } from '../worker.ts';

const print = (...parts: string[]): void => void process.stdout.write(`${parts.join(' ')}\n`);
const [sessions = '40', texts = '25', rounds = '3', ...programs] = process.argv.slice(2);
const [SESSIONS, TEXTS, ROUNDS] = [Number(sessions), Number(texts), Number(rounds)];
const OWN = join(import.meta.dirname, '../../..');
const TICK_MS = 1000 / Number(spawnSync('getconf', ['CLK_TCK']).stdout.toString());

function cpuMs(pid: number | string): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

/** Of the thread that runs JavaScript alone: without the collector's and the compiler's helpers. */
const mainMs = (pid: number): number => cpuMs(`${pid}/task/${pid}`);

function rssMb(pid: number): number {
  return Number(/^Rss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1]) / 1024;
}

const sandbox = await Sandbox.start();

class Side {
  readonly name: string;
  readonly #worker: Worker;
  readonly #index: number;
  #ref = 1e6;
  #sent = 0;
  readonly cpu: number[] = [];

  constructor(flags: string[], tree: string, index: number) {
    this.name = [...flags, tree].join(' ');
    this.#index = index;
    this.#worker = new Worker(undefined, [...flags, join(tree, 'src/main.ts')]);
    this.#worker.setMaxListeners(0);
  }

  get pid(): number {
    return (this.#worker.child as ChildProcess).pid as number;
  }

  async pair(): Promise<void> {
    // Long, for a machine on which much else runs.
    await this.#worker.hello(sandbox.config, false);
    this.#worker.send({ type: 'lease', valid_ms: 600_000 });
    for (let n = 0; n < SESSIONS; n++) {
      await sandbox.pair(this.#worker, `t/s${n}`, `+5511${String(60_000_000 + this.#index * 1e6 + n)}`);
      this.#worker.frames.length = 0;
    }
  }

  /** Sends all and waits until the contact has read each. */
  async send(count: number): Promise<void> {
    const wanted = SESSIONS * count;
    let [acked, read] = [0, 0];
    const done = new Promise<void>((resolve, reject) => {
      const look = (frame: Frame): void => {
        this.#worker.frames.length = 0;
        if (frame.type === 'result' && !frame.ok) reject(new Error(JSON.stringify(frame)));
        if (frame.type === 'result') acked++;
        const data = frame.data as { status?: string; message_ids?: string[] } | undefined;
        if (frame.kind === 'status' && data?.status === 'read') read += data.message_ids?.length ?? 0;
        if (acked < wanted || read < wanted) return;
        this.#worker.off('frame', look);
        resolve();
      };
      this.#worker.on('frame', look);
    });
    for (let n = 0; n < count; n++)
      for (let s = 0; s < SESSIONS; s++)
        this.#worker.send({
          type: 'act',
          session: `t/s${s}`,
          incarnation: 2,
          ref: ++this.#ref,
          action: 'send',
          id: `3EB0${String(++this.#sent).padStart(18, '0')}`,
          to: { pn: '+5511988880001' },
          content: { type: 'text', text: { body: `text ${n}` } },
        });
    await done;
  }

  async end(): Promise<void> {
    this.#worker.send({ type: 'shutdown' });
    await this.#worker.exited;
  }
}

const sides: Side[] = [];
let flags: string[] = [];
for (const word of programs.length > 0 ? programs : [OWN]) {
  if (word.startsWith('--')) flags.push(word);
  else {
    sides.push(new Side(flags, word, sides.length));
    flags = [];
  }
}
for (const side of sides) {
  const empty = rssMb(side.pid);
  await side.pair();
  print(side.name, `memory: started ${empty.toFixed(0)}, paired ${rssMb(side.pid).toFixed(0)} MB`);
  await side.send(3);
}
for (let round = 0; round < ROUNDS; round++)
  for (const side of sides) {
    const [before, main, theirs, began] = [cpuMs(side.pid), mainMs(side.pid), cpuMs(sandbox.pid), performance.now()];
    await side.send(TEXTS);
    const count = SESSIONS * TEXTS;
    const cpu = (cpuMs(side.pid) - before) / count;
    side.cpu.push(cpu);
    print(
      side.name,
      `sidecar ${cpu.toFixed(2)} ms (${((mainMs(side.pid) - main) / count).toFixed(2)} in JavaScript), sandbox ${((cpuMs(sandbox.pid) - theirs) / count).toFixed(2)} ms,`,
      `${((count / (performance.now() - began)) * 1000).toFixed(0)}/s, memory ${rssMb(side.pid).toFixed(0)} MB`,
    );
  }
for (const side of sides) {
  print(side.name, `median ${(side.cpu.toSorted((a, b) => a - b)[side.cpu.length >> 1] ?? 0).toFixed(2)} ms a message`);
  await side.end();
}
sandbox.stop();
