/** The sidecar process: wires fd 3 to the host. See PROTOCOL.md. */
// First: it reaches what Baileys and libsignal will use.
import './node_crypto.ts';
import { flushCompileCache } from 'node:module';
import net from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Engine, EngineFactory } from './engines/port.ts';
import { type Frame, FrameError, FrameReader, FrameWriter } from './frames.ts';
import { Host, scope } from './host.ts';
import { errorText, type LogSink, levelFilter, silenceConsole } from './logs.ts';
import { type Config, EXIT, type OpenFrame, PROTOCOL } from './protocol.ts';
import { startTrimming } from './trim.ts';

const STATS_MS = 10_000;
const FATAL_FLUSH_MS = 500;

const socket = new net.Socket({ fd: 3 });
const writer = new FrameWriter(socket);
const reader = new FrameReader();
let host: Host | undefined;
let greeted = false;
/** Frames that came while the engines were being imported. */
let early: Frame[] = [];

function fatal(exit: number, code: string, message: string): void {
  writer.send({ type: 'fatal', code, message });
  writer.flush();
  socket.end(() => process.exit(exit));
  setTimeout(() => process.exit(exit), FATAL_FLUSH_MS);
}

async function hello(frame: Frame): Promise<void> {
  if (frame.type !== 'hello' || frame.protocol !== PROTOCOL) {
    return fatal(EXIT.protocol, 'E_SIDECAR_PROTOCOL', `this sidecar speaks protocol ${PROTOCOL}`);
  }
  const config = (frame.config ?? {}) as Config;
  const log = levelFilter(config.log_level ?? 'info', (level, event, { session, ...fields }) =>
    writer.send({ type: 'log', level, event, session, fields }),
  );
  const engines = await loadEngines(config, log);
  if (!engines) return;
  host = new Host(
    (out) => writer.send(out),
    (level, event, fields, session) => log(level, event, { ...fields, session }),
    engines,
    config.credit ?? 64,
  );
  writer.onPressure = (blocked) => host?.press(blocked);
  const about = Object.entries(engines).map(([name, { version, capabilities }]) => [name, { version, capabilities }]);
  writer.send({
    type: 'hello',
    protocol: PROTOCOL,
    pid: process.pid,
    node: process.version,
    engines: Object.fromEntries(about),
  });
  startStats(host);
  startTrimming();
  flushCompileCache(); // a sidecar that is killed writes nothing at its end
  const queued = early;
  early = [];
  for (const next of queued) dispatch(host, next);
}

/** Imported when asked for: each brings a library that takes its time and its memory. */
const FACTORIES: Record<string, () => Promise<EngineFactory>> = {
  baileys: async () => (await import('./engines/baileys/engine.ts')).makeBaileysEngine,
  webjs: async () => (await import('./engines/webjs/engine.ts')).makeWebjsEngine,
};

async function loadEngines(config: Config, log: LogSink): Promise<Record<string, Engine> | undefined> {
  try {
    const made: Record<string, Engine> = {};
    for (const name of config.engines ?? ['baileys']) {
      const make = await FACTORIES[name]?.();
      if (make) made[name] = await make(config, log);
    }
    return made;
  } catch (error) {
    fatal(EXIT.dependency, 'E_ENGINE_UNAVAILABLE', errorText(error));
    return undefined;
  }
}

function dispatch(to: Host, frame: Frame): void {
  switch (frame.type) {
    case 'lease':
      return to.lease(frame.valid_ms as number);
    case 'open':
      return to.open(frame as unknown as OpenFrame);
    case 'close':
      return to.close(frame);
    case 'act':
      return to.act(frame);
    case 'committed':
      return to.committed(frame);
    case 'keys':
      return to.keys(frame);
    case 'blob':
      return to.blob(frame);
    case 'shutdown': {
      void to.shutdown().then(() => {
        writer.flush();
        socket.end(() => process.exit(0));
      });
      return;
    }
    default:
      return to.log('warn', 'unknown_frame', { frame: String(frame.type).slice(0, 40) });
  }
}

function receive(frame: Frame): void {
  if (!greeted) {
    greeted = true;
    hello(frame).catch((error: unknown) => fatal(EXIT.dependency, 'E_ENGINE_UNAVAILABLE', errorText(error)));
  } else if (host) dispatch(host, frame);
  else early.push(frame);
}

function startStats(of: Host): void {
  const lag = monitorEventLoopDelay({ resolution: 20 });
  lag.enable();
  setInterval(() => {
    const { rss, heapUsed } = process.memoryUsage();
    writer.send({ type: 'stats', rss, heap: heapUsed, loop_lag_ms: Math.round(lag.max / 1e6), sessions: of.stats() });
    lag.reset();
  }, STATS_MS).unref();
}

/** An error outside every try: its session pays when it can be told, else the process (the worker restarts it). */
function stray(error: unknown): void {
  const session = scope.getStore();
  if (session && host) return host.fail(session, error);
  process.stderr.write(`${JSON.stringify({ level: 'fatal', event: 'uncaught', error: errorText(error) })}\n`);
  process.exit(70);
}

silenceConsole();
// Baileys makes an error with its stack for every timeout it arms, several a message; nobody reads them.
Error.stackTraceLimit = 0;
process.on('uncaughtException', stray);
process.on('unhandledRejection', stray);
socket.on('data', (chunk: Buffer) => {
  try {
    for (const frame of reader.push(chunk)) receive(frame);
  } catch (error) {
    if (!(error instanceof FrameError)) throw error;
    process.exit(EXIT.frames);
  }
});
socket.on('error', () => process.exit(0));
socket.on('end', () => process.exit(0));
