/**
 * Logging without secrets. libsignal prints whole sessions, private keys included, through `console`; Baileys hands
 * its logger stanzas, numbers and keys. So `console` is silenced before either is imported, and of what Baileys logs
 * only its fixed sentences pass, from `warn` up, with anything that looks like a number or a key removed.
 */

export type LogSink = (level: string, event: string, fields: Record<string, unknown>) => void;

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'];

export function silenceConsole(): void {
  const quiet = (): void => {};
  for (const name of Object.keys(console) as (keyof Console)[]) {
    if (typeof console[name] === 'function') (console as unknown as Record<string, unknown>)[name] = quiet;
  }
}

/** Removes what could be a number, an id or key material; keeps at most 200 characters. */
export function redact(text: string): string {
  return text
    .slice(0, 400)
    .replace(/[A-Za-z0-9+/=_-]*\d{5,}[A-Za-z0-9+/=_-]*/g, '#')
    .replace(/[A-Za-z0-9+/=_-]{24,}/g, '#')
    .replace(/\S+@\S+/g, '#')
    .slice(0, 200);
}

export function errorText(error: unknown): string {
  return error instanceof Error ? redact(`${error.name}: ${error.message}`) : redact(String(error));
}

export function levelFilter(level: string, sink: LogSink): LogSink {
  const least = Math.max(0, LEVELS.indexOf(level));
  return (at, event, fields) => {
    if (LEVELS.indexOf(at) >= least) sink(at, event, fields);
  };
}

export interface PinoLike {
  level: string;
  child(): PinoLike;
  trace(): void;
  debug(): void;
  info(): void;
  warn(fields: unknown, message?: string): void;
  error(fields: unknown, message?: string): void;
  fatal(fields: unknown, message?: string): void;
}

/** A pino look-alike for Baileys: `child()` is itself, `trace` to `info` cost nothing. */
export function baileysLogger(sink: LogSink): PinoLike {
  const quiet = (): void => {};
  const pass =
    (level: string) =>
    (fields: unknown, message?: string): void => {
      const text = message ?? (typeof fields === 'string' ? fields : '');
      // History is off by choice; the addresses it would bring come with the messages.
      if (text.includes('DISABLING ALL SYNC')) return;
      const record = (typeof fields === 'object' && fields !== null ? fields : {}) as Record<string, unknown>;
      const error = record.err ?? record.error ?? record.e;
      sink(level, 'baileys', { message: redact(text), ...(error ? { error: errorText(error) } : {}) });
    };
  const logger: PinoLike = {
    level: 'silent',
    child: () => logger,
    trace: quiet,
    debug: quiet,
    info: quiet,
    warn: pass('warn'),
    error: pass('error'),
    fatal: pass('error'),
  };
  return logger;
}
