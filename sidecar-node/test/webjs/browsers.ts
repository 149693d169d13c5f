/** Browsers for tests: one at a time, and everything waits as long as a busy machine may take. */
import { existsSync } from 'node:fs';
import type { Sandbox } from '../sidecar/sandbox.ts';
import type { Worker } from '../sidecar/worker.ts';

export const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find((path) => existsSync(path)) ?? '';
export const MS = 90_000;

const stateOf = (worker: Worker, session: string, from: number, ...states: string[]) =>
  worker.next(
    (frame) => frame.type === 'state' && frame.session === session && states.includes(String(frame.state)),
    from,
    MS,
  );

export async function open(worker: Worker, session: string, incarnation: number, more = {}): Promise<void> {
  const from = worker.frames.length;
  worker.open(session, incarnation, { engine: 'webjs', ...more });
  const state = await stateOf(worker, session, from, 'open', 'closed');
  if (state.state !== 'open') throw new Error(`closed: ${JSON.stringify(state)} ${worker.output}`);
}

/** Pairs a new session and resolves when it is open, as incarnation 2. */
export async function pair(sandbox: Sandbox, worker: Worker, session: string, number: string): Promise<void> {
  worker.open(session, 1, { engine: 'webjs' });
  const shown = await stateOf(worker, session, 0, 'qr', 'closed');
  if (shown.state !== 'qr') throw new Error(`closed: ${JSON.stringify(shown)} ${worker.output}`);
  await sandbox.post(`/api/phones/${number}/scan`, { qr: shown.code });
  await stateOf(worker, session, 0, 'closed');
  await open(worker, session, 2);
}
