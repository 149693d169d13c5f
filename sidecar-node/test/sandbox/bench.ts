/**
 * Measures the sandbox under bare Baileys sockets: `node test/sandbox/bench.ts [companions] [messages each] [flags…]`.
 * Prints wall-clock rates, which Baileys itself bounds, and the sandbox's own CPU time per message, which is the
 * figure that tells how many it could take.
 */
import { readFileSync } from 'node:fs';
import { Gateway, SandboxProcess, until } from './harness.ts';

const [companions = '4', each = '500', ...flags] = process.argv.slice(2);
const [count, perCompanion] = [Number(companions), Number(each)];
const IN_FLIGHT = 100;
const CONTACTS = Number(process.env.BENCH_CONTACTS ?? 20);

const sandbox = await new SandboxProcess(flags).start();
const cpuMs = (): number => {
  const fields = readFileSync(`/proc/${sandbox.ready.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
};
const memory = async (): Promise<number> => (await sandbox.call('GET', '/api/state')).counts.memory_bytes / 1e6;
const measure = async (what: string, messages: number, work: () => Promise<unknown>): Promise<void> => {
  const [cpu, started] = [cpuMs(), Date.now()];
  await work();
  const [spent, took] = [cpuMs() - cpu, Date.now() - started];
  console_(
    `${what}: ${messages} in ${took} ms = ${Math.round((messages / took) * 1000)}/s; sandbox CPU ${spent} ms = ${(spent / messages).toFixed(3)} ms each`,
  );
};
const console_ = (line: string): void => void process.stdout.write(`${line}\n`);

console_(`memory at start ${(await memory()).toFixed(0)} MB`);
const gateways: Gateway[] = [];
await measure('pair and log in', count, async () => {
  for (let index = 0; index < count; index++)
    gateways.push(await new Gateway(sandbox).pair(`55119${String(10_000_000 + index)}`));
});
console_(`memory with ${count} companions ${(await memory()).toFixed(0)} MB`);
const contact = (gateway: number, index: number): string =>
  `55219${String(gateway).padStart(4, '0')}${String(index % CONTACTS).padStart(4, '0')}`;
await measure('first messages', count * CONTACTS, () =>
  Promise.all(
    gateways.map(async (gateway, which) => {
      for (let index = 0; index < CONTACTS; index++) await gateway.send(contact(which, index), { text: 'hello' });
    }),
  ),
);
const acked = (gateway: Gateway): number => gateway.acks.length;
await measure('texts out', count * perCompanion, () =>
  Promise.all(
    gateways.map(async (gateway, which) => {
      const target = acked(gateway) + perCompanion;
      for (let index = 0; index < perCompanion; index++) {
        await gateway.send(contact(which, index), { text: `text ${index}` });
        const sent = index + 1;
        if (sent % IN_FLIGHT === 0)
          await until('acks', () => acked(gateway) >= target - perCompanion + sent - IN_FLIGHT, 60_000);
      }
      await until('all acks', () => acked(gateway) >= target, 60_000);
    }),
  ),
);
const inbound = gateways.map(({ messages }) => messages.filter(({ key }) => !key.fromMe).length);
await measure('texts in', count * perCompanion, () =>
  Promise.all(
    gateways.map(async (gateway, which) => {
      await sandbox.call('POST', `/api/contacts/${contact(which, 0)}/send`, {
        to: `55119${10_000_000 + which}`,
        text: 'in',
        count: perCompanion,
      });
      await until(
        'all arrive',
        () => gateway.messages.filter(({ key }) => !key.fromMe).length >= (inbound[which] ?? 0) + perCompanion,
        120_000,
      );
    }),
  ),
);
const summary = await sandbox.call('GET', '/api/journal/summary');
const { counts } = await sandbox.call('GET', '/api/state');
console_(`heap ${(counts.heap_bytes / 1e6).toFixed(0)} MB, ${counts.contacts} contacts`);
const total = Object.values(summary).reduce((sum, { distinct_ids }) => sum + distinct_ids, 0);
console_(`distinct messages decrypted ${total}; memory at the end ${(await memory()).toFixed(0)} MB`);
if (process.env['BENCH_SNAPSHOT']) {
  process.kill(sandbox.ready.pid, 'SIGUSR2');
  await new Promise((resolve) => setTimeout(resolve, 4000));
}
for (const gateway of gateways) await gateway.close();
await sandbox.dispose();
process.exit(0);
