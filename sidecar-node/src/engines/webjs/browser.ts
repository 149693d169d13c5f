/** Chromium: found, checked, started for one session, measured, and never left behind. Linux: by /proc. */
import { execFile } from 'node:child_process';
import { access, readdir, readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { Settings } from '../../protocol.ts';

const run = promisify(execFile);

const USUAL = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome-stable',
  '/usr/bin/google-chrome',
];
/** Older ones lack what the library's driver speaks. */
const OLDEST = 120;
const VERSION = /\b(\d+)\.\d+\.\d+\.\d+\b/;
const ANSWER_MS = 20_000;
/** Megabytes of V8's heap in a page: what WhatsApp Web needs on an account with many chats, twice. */
const PAGE_HEAP_MB = 512;

export interface Chromium {
  path: string;
  major: number;
}

/** The one that `setting` names, else the usual ones. Throws an Error that says what is missing. */
export async function findChromium(setting: string | undefined): Promise<Chromium> {
  const path = setting ?? (await firstThere(USUAL));
  if (!path) throw new Error(`no Chromium is here (looked for ${USUAL[0]}): install it, or name it by PWW_CHROMIUM`);
  let said: string;
  try {
    said = (await run(path, ['--version'], { timeout: ANSWER_MS, env: environment('/tmp') })).stdout;
  } catch {
    throw new Error(`the browser ${path} cannot be run`);
  }
  const major = Number(VERSION.exec(said)?.[1] ?? 0);
  if (major < OLDEST)
    throw new Error(`Chromium ${OLDEST} or newer is needed; ${path} is ${major || 'of no known version'}`);
  return { path, major };
}

async function firstThere(paths: string[]): Promise<string | undefined> {
  for (const path of paths) {
    const there = await access(path).then(
      () => true,
      () => false,
    );
    if (there) return path;
  }
  return undefined;
}

/** A browser needs a home of its own; of ours it is given nothing. */
function environment(home: string): Record<string, string> {
  return { HOME: home, PATH: '/usr/local/bin:/usr/bin:/bin', LANG: 'C.UTF-8', TMPDIR: '/tmp' };
}

/** Puppeteer's options for one session. `sandbox`: the origin (http) that the page is from when it is not WhatsApp's. */
export function launchOptions(chromium: Chromium, home: string, settings: Settings, sandbox?: string): object {
  const proxy = settings.proxy ? new URL(settings.proxy) : undefined;
  return {
    executablePath: chromium.path,
    headless: true,
    // By a pipe and not a port: nobody else can drive it, and it ends when the pipe does, however we end.
    pipe: true,
    handleSIGINT: false,
    handleSIGTERM: false,
    handleSIGHUP: false,
    env: environment(home),
    args: [
      ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--disable-extensions',
      '--disable-sync',
      '--disable-component-update',
      '--no-first-run',
      '--mute-audio',
      '--renderer-process-limit=1',
      '--disk-cache-size=33554432',
      `--js-flags=--max-old-space-size=${PAGE_HEAP_MB}`,
      // It has no TLS, and lies on loopback or in a network of containers.
      ...(sandbox
        ? [
            '--disable-features=LocalNetworkAccessChecks',
            `--unsafely-treat-insecure-origin-as-secure=${sandbox},${sandbox.replace(/^http/, 'ws')}`,
          ]
        : []),
      ...(proxy ? [`--proxy-server=${proxy.protocol}//${proxy.host}`] : []),
    ],
  };
}

/** The name and password that a proxy asks for, if its address has them. */
export function proxyAccount(settings: Settings): { username: string; password: string } | undefined {
  const proxy = settings.proxy ? new URL(settings.proxy) : undefined;
  if (!proxy?.username) return undefined;
  return { username: decodeURIComponent(proxy.username), password: decodeURIComponent(proxy.password) };
}

/** As WhatsApp Web sees it: this very Chromium, not its headless form. */
export const userAgent = ({ major }: Chromium): string =>
  `Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/${major}.0.0.0 Safari/537.36`;

async function processes(): Promise<number[]> {
  return (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
}

const read = (pid: number, what: string): Promise<string> => readFile(`/proc/${pid}/${what}`, 'utf8').catch(() => '');

/** Kills every browser that uses a profile in `folder`: of a sidecar that was killed, or of an owner that lapsed. */
export async function reap(folder: string): Promise<number> {
  let killed = 0;
  for (const pid of await processes()) {
    const profile = (await read(pid, 'cmdline')).split('\0').find((word) => word.startsWith('--user-data-dir='));
    if (pid === process.pid || !`${profile?.slice('--user-data-dir='.length)}/`.startsWith(`${folder}/`)) continue;
    killed += kill(pid) ? 1 : 0;
  }
  return killed;
}

export function kill(pid: number | undefined): boolean {
  try {
    return pid !== undefined && process.kill(pid, 'SIGKILL');
  } catch {
    return false;
  }
}

/** Bytes of memory that a browser's processes have for themselves, shared ones by their share. */
export async function memoryOf(browser: number): Promise<number> {
  const parents = new Map<number, number>();
  for (const pid of await processes()) {
    const stat = await read(pid, 'stat');
    parents.set(pid, Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
  }
  const family = new Set([browser]);
  for (let size = 0; size !== family.size; ) {
    size = family.size;
    for (const [pid, parent] of parents) if (family.has(parent)) family.add(pid);
  }
  let kilobytes = 0;
  for (const pid of family) kilobytes += Number(/^Pss:\s+(\d+)/m.exec(await read(pid, 'smaps_rollup'))?.[1] ?? 0);
  return kilobytes * 1024;
}
