import './quiet.ts';
import '../src/node_crypto.ts';
import { randomBytes } from 'node:crypto';
import { renameSync, writeFileSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { parseArgs } from 'node:util';
import { quickenKeys } from '../src/engines/baileys/quick/seams.ts';
import { cleanTrials } from '../src/engines/baileys/trials.ts';
import { log, logError } from './log.ts';
import { startServer } from './server.ts';

quickenKeys();
cleanTrials();

const { values } = parseArgs({
  options: {
    'data-dir': { type: 'string' },
    bind: { type: 'string', default: '127.0.0.1' },
    name: { type: 'string', default: '127.0.0.1' },
    'ws-port': { type: 'string', default: '0' },
    'http-port': { type: 'string', default: '0' },
    'media-port': { type: 'string', default: '0' },
    'ready-file': { type: 'string' },
    'exit-with-stdin': { type: 'boolean', default: false },
    'qr-first-ms': { type: 'string', default: '60000' },
    'qr-next-ms': { type: 'string', default: '20000' },
    history: { type: 'boolean', default: false },
    'skip-own-copies': { type: 'boolean', default: false },
    'page-chooses-ids': { type: 'boolean', default: false },
  },
});

const dataDir = values['data-dir'];
if (!dataDir) {
  process.stderr.write(
    'usage: node sandbox/main.ts --data-dir DIR [--ws-port N] [--http-port N] [--media-port N] [--ready-file FILE]\n',
  );
  process.exit(2);
}

// One connection's failure must not take the others along; whatever reaches this was not foreseen, and is logged.
process.on('uncaughtException', (error) => logError('uncaught', error));
process.on('unhandledRejection', (error) => logError('unhandled', error));

const server = await startServer({
  dataDir,
  bind: values.bind,
  name: values.name,
  wsPort: Number(values['ws-port']),
  httpPort: Number(values['http-port']),
  mediaPort: Number(values['media-port']),
  qrFirstMs: Number(values['qr-first-ms']),
  qrNextMs: Number(values['qr-next-ms']),
  openOwnCopies: !values['skip-own-copies'],
  pageChoosesIds: values['page-chooses-ids'],
  history: values.history,
}).catch((error: unknown) => {
  logError('start', error);
  process.exit(1);
});

const stop = (): void => {
  server.stop();
  process.exit(0);
};
process.on('SIGTERM', stop);
process.on('SIGINT', stop);
if (values['exit-with-stdin']) process.stdin.on('end', stop).on('error', stop).resume();

const ready = JSON.stringify({ ...server.ready, pid: process.pid });
if (values['ready-file']) {
  const temporary = `${values['ready-file']}.${randomBytes(4).toString('hex')}`;
  writeFileSync(temporary, ready, { mode: 0o600 });
  renameSync(temporary, values['ready-file']);
}
process.stdout.write(`${ready}\n`);
flushCompileCache();
log('ready', { http_url: server.ready.http_url });
