import type { ServerResponse } from 'node:http';
import type { Sandbox } from './sandbox.ts';

const HEARTBEAT_MS = 15_000;
/** A reader this far behind is told to read the journal instead of being sent each entry. */
const HIGH_WATER = 1024 * 1024;

/** `GET /api/events`: journal entries as 'entry', and 'change' when the state is worth reading again. */
export function followEvents(sandbox: Sandbox, response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  response.write(': hello\n\n');
  let changed = false;
  const onEntry = (seq: number): void => {
    if (response.writableLength > HIGH_WATER) return onChange();
    response.write(`event: entry\ndata: ${JSON.stringify(sandbox.journal.entry(seq))}\n\n`);
  };
  const onChange = (): void => {
    if (changed) return;
    changed = true;
    setTimeout(() => {
      changed = false;
      response.write('event: change\ndata: {}\n\n');
    }, 100);
  };
  const heartbeat = setInterval(() => response.write(': alive\n\n'), HEARTBEAT_MS);
  sandbox.journal.events.on('entry', onEntry);
  sandbox.events.on('change', onChange);
  response.on('close', () => {
    clearInterval(heartbeat);
    sandbox.journal.events.off('entry', onEntry);
    sandbox.events.off('change', onChange);
  });
}
