import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Engine, EngineSession, Link } from '../../src/engines/port.ts';
import type { Frame } from '../../src/frames.ts';
import { Host, scope } from '../../src/host.ts';
import type { OpenFrame } from '../../src/protocol.ts';

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A host with an engine whose sessions do what a test tells them. */
function scripted(behaviour: Partial<EngineSession> = {}) {
  const sent: Frame[] = [];
  const logs: string[] = [];
  const links = new Map<string, Link>();
  const engine: Engine = {
    version: '1',
    capabilities: [],
    open: (frame, link) => {
      links.set(frame.session, link);
      return {
        act: () => {},
        committed: () => {},
        press: () => {},
        close: () => link.closed({ reason: 'stopped' }),
        destroy: (closed) => link.closed(closed),
        stats: () => ({ held_frames: 0, uncommitted: 0, last_frame_at: 0 }),
        ...behaviour,
      };
    },
  };
  const host = new Host(
    (frame) => sent.push(frame),
    (_level, event) => logs.push(event),
    { fake: engine },
    64,
  );
  const open = (session: string, incarnation = 1): void =>
    host.open({ session, incarnation, engine: 'fake' } as OpenFrame);
  const closed = (session: string): unknown =>
    sent.find((frame) => frame.session === session && frame.state === 'closed')?.reason;
  return { host, sent, logs, links, open, closed };
}

test('an engine that throws ends its own session; the others go on', () => {
  const { host, open, closed } = scripted({
    act: () => {
      throw new Error('broken');
    },
  });
  open('t/a');
  open('t/b');
  host.act({ session: 't/a', incarnation: 1, ref: 1 });
  assert.equal(closed('t/a'), 'engine_error');
  assert.equal(closed('t/b'), undefined);
});

test('an error outside every try is charged to the session whose code it was', async () => {
  const { host, open, closed } = scripted({
    act: () => {
      void Promise.resolve().then(() => {
        const session = scope.getStore();
        assert.equal(session?.session, 't/a');
        if (session) host.fail(session, new Error('stray'));
      });
    },
  });
  open('t/a');
  open('t/b');
  host.act({ session: 't/a', incarnation: 1, ref: 1 });
  await tick();
  assert.equal(closed('t/a'), 'engine_error');
  assert.equal(closed('t/b'), undefined);
});

test('units are numbered from 1 in each open, and nothing follows a closed', () => {
  const { host, sent, links, open } = scripted();
  for (const round of [1, 2]) {
    open('t/a', round);
    const link = links.get('t/a') as Link;
    assert.equal(link.event('message', {}), 1);
    assert.equal(link.keysSet(undefined, []), 2);
    host.close({ session: 't/a', incarnation: round, how: 'stop' });
    const count = sent.length;
    link.event('message', {});
    link.state('open');
    assert.equal(sent.length, count);
  }
});

test('reads are answered by their reference, refused by a code, and ended by the close', async () => {
  const { host, sent, links, open } = scripted();
  open('t/a');
  const link = links.get('t/a') as Link;
  const [one, two, three] = [
    link.keysGet('session', ['x']),
    link.keysGet('session', ['y']),
    link.keysGet('session', ['z']),
  ];
  const refs = sent.filter(({ type }) => type === 'keys_get').map(({ ref }) => ref);
  host.keys({ session: 't/a', incarnation: 1, ref: refs[1], code: 'E_STORAGE_UNAVAILABLE' });
  host.keys({ session: 't/a', incarnation: 1, ref: refs[0], rows: [['x', Uint8Array.of(1)]] });
  assert.deepEqual(await one, [['x', Uint8Array.of(1)]]);
  await assert.rejects(two, /E_STORAGE_UNAVAILABLE/);
  host.close({ session: 't/a', incarnation: 1, how: 'stop' });
  await assert.rejects(three, /closed/);
});

test('a flood of logs of one session is cut', () => {
  const { logs, links, open } = scripted();
  open('t/a');
  for (let n = 0; n < 1000; n++) links.get('t/a')?.log('error', 'noise');
  assert.equal(logs.length, 20);
});

test('shutdown waits for every session', async () => {
  const { host, open, closed, links } = scripted({ close: () => {} });
  open('t/a');
  let done = false;
  void host.shutdown().then(() => {
    done = true;
  });
  await tick();
  assert.equal(done, false);
  links.get('t/a')?.closed({ reason: 'stopped' });
  await tick();
  assert.equal(done, true);
  assert.equal(closed('t/a'), 'stopped');
});
