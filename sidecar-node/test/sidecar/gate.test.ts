import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BinaryNode } from 'baileys';
import { OutputGate } from '../../src/engines/baileys/gate.ts';
import type { Row } from '../../src/protocol.ts';

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A gate with a scripted session around it: units and frames in the order in which they left. */
function scripted(credit = 64) {
  const log: string[] = [];
  const emitted: Row[][] = [];
  let unit = 0;
  const gate = new OutputGate({
    credit,
    emitKeys: (rows, creds) => {
      emitted.push(rows);
      log.push(`keys ${++unit}${creds ? ' creds' : ''}`);
      return unit;
    },
    pause: (paused) => log.push(paused ? 'pause' : 'resume'),
  });
  return {
    gate,
    log,
    emitted,
    event: () => {
      log.push(`event ${++unit}`);
      gate.emitted(unit);
    },
    frame: (name: string, bytes = 0) =>
      gate.pass({ tag: 'receipt', attrs: {}, content: Buffer.alloc(bytes) } as BinaryNode, () => log.push(name)),
    row: (id = 'a', value = 1): Row => ['session', id, Uint8Array.of(value)],
  };
}

test('with nothing pending frames leave at once and keys follow in the same tick', async () => {
  const { gate, log, frame, row } = scripted();
  assert.equal(frame('message'), false);
  gate.write([row()]);
  assert.deepEqual(log, ['message']);
  await tick();
  assert.deepEqual(log, ['message', 'keys 1']);
});

test('the event, the keys and then the receipt: nothing leaves before both are committed', () => {
  const { gate, log, event, frame, row } = scripted();
  const stanza = gate.arrive();
  gate.write([row()]);
  assert.equal(frame('receipt'), true);
  event();
  assert.deepEqual(log, ['event 1'], 'the keys wait for the end of the handling');
  gate.handled(stanza);
  assert.deepEqual(log, ['event 1', 'keys 2']);
  gate.committed(1);
  assert.deepEqual(log, ['event 1', 'keys 2'], 'the event alone does not open the gate');
  gate.committed(2);
  assert.deepEqual(log, ['event 1', 'keys 2', 'receipt']);
  assert.equal(gate.idle, true);
});

test('a stanza without any unit opens the gate at the end of its handling', () => {
  const { gate, log, frame } = scripted();
  const stanza = gate.arrive();
  frame('ack');
  assert.deepEqual(log, []);
  gate.handled(stanza);
  assert.deepEqual(log, ['ack']);
});

test('steady traffic never keeps an earlier frame: later stanzas do not delay it', () => {
  const { gate, log, event, frame } = scripted();
  const first = gate.arrive();
  event();
  frame('receipt 1');
  gate.arrive();
  gate.handled(first);
  frame('receipt 2');
  gate.committed(1);
  assert.deepEqual(log, ['event 1', 'receipt 1']);
});

test('frames keep their order when stanzas end out of order', () => {
  const { gate, log, frame } = scripted();
  const first = gate.arrive();
  frame('one');
  const second = gate.arrive();
  frame('two');
  gate.handled(second);
  assert.deepEqual(log, []);
  gate.handled(first);
  assert.deepEqual(log, ['one', 'two']);
});

test('rows written while an earlier stanza is handled wait for it, also those of a send', async () => {
  const { gate, log, event, row } = scripted();
  const stanza = gate.arrive();
  gate.write([row('received')]);
  gate.write([row('sent')]);
  await tick();
  assert.deepEqual(log, []);
  event();
  gate.handled(stanza);
  assert.deepEqual(log, ['event 1', 'keys 2']);
});

test('the latest write of a row wins within a unit, and staged rows travel along', async () => {
  const { gate, emitted, row } = scripted();
  gate.stage([['sent', '7', Uint8Array.of(9)]]);
  await tick();
  assert.equal(emitted.length, 0, 'staged rows make no unit of their own');
  gate.write([row('a', 1)]);
  gate.write([row('a', 2), row('b', 3)]);
  await tick();
  assert.deepEqual(emitted, [[row('a', 2), row('b', 3), ['sent', '7', Uint8Array.of(9)]]]);
});

test('reading pauses at the credit and resumes with the commits', () => {
  const { gate, log, event } = scripted(2);
  event();
  event();
  gate.committed(1);
  assert.deepEqual(log, ['event 1', 'event 2', 'pause', 'resume']);
});

test('held bytes pause reading only when no handling could be waiting for an answer', () => {
  const { gate, log, event, frame } = scripted();
  const stanza = gate.arrive();
  event();
  frame('large', 2 * 1024 * 1024);
  assert.deepEqual(log, ['event 1']);
  gate.handled(stanza);
  assert.deepEqual(log, ['event 1', 'pause']);
  gate.committed(1);
  assert.deepEqual(log, ['event 1', 'pause', 'large', 'resume']);
});

test('new prekeys become durable ahead of the rows of a stanza in handling', async () => {
  const { gate, log, emitted, row } = scripted();
  gate.arrive();
  gate.write([row(), ['pre-key', '1', Uint8Array.of(1)], ['pre-key', '2', null]]);
  let durable = false;
  void gate.durable('pre-key').then(() => {
    durable = true;
  });
  assert.deepEqual(emitted, [[['pre-key', '1', Uint8Array.of(1)]]]);
  await tick();
  assert.equal(durable, false);
  gate.committed(1);
  await tick();
  assert.equal(durable, true);
  assert.deepEqual(log, ['keys 1']);
});

test('closed: nothing held leaves any more', async () => {
  const { gate, log, event, frame, row } = scripted();
  const stanza = gate.arrive();
  event();
  frame('receipt');
  gate.write([row()]);
  gate.close();
  gate.handled(stanza);
  gate.committed(1);
  await tick();
  assert.deepEqual(log, ['event 1']);
});

test('whatever the interleaving, no frame leaves before the stanzas ahead of it are settled', () => {
  let seed = 42;
  const random = (n: number): number => {
    seed = (seed * 1103515245 + 12345) & 0x7fffffff;
    return seed % n;
  };
  for (let round = 0; round < 300; round++) {
    const { gate, log, event, frame, row } = scripted(1000);
    const open: number[] = [];
    const madeAfter = new Map<string, number>();
    let [arrived, committed] = [0, 0];
    const steps = [
      () => {
        arrived++;
        open.push(gate.arrive());
      },
      event,
      () => {
        const name = `f${madeAfter.size + 1}`;
        madeAfter.set(name, arrived);
        frame(name);
      },
      () => open.length > 0 && gate.handled(open.splice(random(open.length), 1)[0] as number),
      () => gate.write([row()]),
      () => gate.uncommitted > 0 && gate.committed(++committed),
    ];
    for (let step = 0; step < 60; step++) {
      const before = log.length;
      steps[random(steps.length)]?.();
      for (const line of log.slice(before)) {
        const after = madeAfter.get(line) ?? -1;
        assert.ok(
          open.every((stanza) => stanza > after),
          `${line} left before a stanza was handled`,
        );
      }
    }
    const left = log.filter((line) => line.startsWith('f'));
    assert.deepEqual(
      left,
      left.map((_, at) => `f${at + 1}`),
    );
  }
});
