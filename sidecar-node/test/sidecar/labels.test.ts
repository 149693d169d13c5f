/** Labels of a business account, through the real Baileys. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Sandbox } from './sandbox.ts';
import { Worker } from './worker.ts';

let sandbox: Sandbox;
before(async () => {
  sandbox = await Sandbox.start();
});
after(() => sandbox.stop());

let last = 0;
const number = (): string => `+55119${String(70000000 + ++last)}`;
type Data = Record<string, unknown>;

async function paired(t: { after(work: () => void): void }, me: string): Promise<Worker> {
  const worker = new Worker(t);
  await worker.hello(sandbox.config);
  await sandbox.pair(worker, 't/a', me);
  return worker;
}

const onPhone = (me: string, id: string, label: Data) =>
  sandbox.post(`/api/phones/${encodeURIComponent(me)}/state`, {
    collection: 'regular',
    index: ['label_edit', id],
    action: { labelEditAction: label },
  });

async function ask(worker: Worker, verb: string, content: Data, more: Data = {}, incarnation = 2): Promise<unknown> {
  const { ok, data, code } = await worker.act('t/a', incarnation, `label.${verb}`, { content, ...more });
  return ok ? data : code;
}

test('labels that were there before the pairing are listed; new ones get ids of their own', async (t) => {
  const me = number();
  await onPhone(me, '3', { name: 'New order', color: 2, predefinedId: 3 });
  await onPhone(me, '8', { name: 'Gone', color: 1, deleted: true });
  const worker = await paired(t, me);
  assert.deepEqual(await ask(worker, 'list', {}), [{ label_id: '3', name: 'New order', color: 2 }]);
  const made = await Promise.all(['A', 'B', 'C'].map((name) => ask(worker, 'put', { name, color: 4 })));
  assert.deepEqual(
    made.map((label) => (label as Data).label_id),
    ['9', '10', '11'],
    'a deleted one keeps its id, and none is given twice',
  );
  assert.deepEqual(await ask(worker, 'put', { label_id: '9', name: 'Paid' }), {
    label_id: '9',
    name: 'Paid',
    color: 4,
  });
  assert.equal(await ask(worker, 'put', { label_id: '8', name: 'x' }), 'E_LABEL_NOT_FOUND');
  assert.deepEqual(await ask(worker, 'delete', { label_id: '10' }), {});
  assert.equal(await ask(worker, 'add', { label_id: '10' }, { to: { pn: number() } }), 'E_LABEL_NOT_FOUND');
  const names = ((await ask(worker, 'list', {})) as Data[]).map(({ name }) => name);
  assert.deepEqual(names.sort(), ['C', 'New order', 'Paid']);
  await worker.event('label', ({ label_id, change }) => label_id === '10' && change === 'delete');
});

test('what is known of labels outlives the process, and what the phone does meanwhile is learned', async (t) => {
  const me = number();
  const worker = await paired(t, me);
  const { label_id: id } = (await ask(worker, 'put', { name: 'VIP' })) as Data;
  worker.kill();
  await worker.exited;
  await onPhone(me, String(id), { name: 'Very important', color: 7 });
  const second = new Worker(t);
  for (const [session, rows] of worker.stored) second.stored.set(session, rows);
  await second.hello(sandbox.config);
  second.open('t/a', 3);
  await second.state('t/a', 'open');
  await second.event('label', ({ name }) => name === 'Very important');
  assert.deepEqual(await ask(second, 'list', {}, {}, 3), [{ label_id: id, name: 'Very important', color: 7 }]);
});
