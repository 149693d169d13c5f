/** The whatsapp-web.js engine: checks what it needs, then opens a browser for each session. */
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Config } from '../../protocol.ts';
import type { EngineFactory } from '../port.ts';
import { ACTIONS } from './actions.ts';
import { ASKS } from './asks.ts';
import { type Chromium, findChromium } from './browser.ts';
import { KINDS } from './content.ts';
import { type Library, loadLibrary } from './library.ts';
import { POSTS } from './posts.ts';
import { WebjsSession } from './session.ts';

/** The versions that this was tried with; what it reaches for inside the page changes with every minor one. */
const LIBRARY = /^1\.34\./;
const OLDEST_NODE = 22;
const MEMORY_MB = 1_024;
const SILENCE_MS = 90_000;
const SANDBOX_VERSION = 'sandbox';

/** Ways to send that not every engine knows (`contracts/capabilities.py` names them). */
const FEATURES = ['reply', 'view_once', 'gif', 'mentions', 'link_preview', 'delete_for_me'];

export type WebVersion =
  | { type: 'none' }
  | { type: 'local'; path: string; strict: true; version: string; origin: string };

/** What every session of this engine is given. */
export interface Setting {
  library: Library;
  chromium: Chromium;
  /** Folder of the profiles, one a session. */
  profiles: string;
  /** Bytes that a browser may use. */
  memoryBytes: number;
  /** Milliseconds without an answer after which a page hangs. */
  silenceMs: number;
  /** Where the page comes from: WhatsApp itself, or the sandbox. */
  webVersion(): Promise<WebVersion>;
}

export const makeWebjsEngine: EngineFactory = async (config) => {
  if (Number(process.versions.node.split('.')[0]) < OLDEST_NODE)
    throw new Error(`Node ${OLDEST_NODE} or newer is needed; this is ${process.version}`);
  const library = loadLibrary();
  if (!LIBRARY.test(library.version)) throw new Error(`whatsapp-web.js 1.34 is needed; found ${library.version}`);
  const chromium = await findChromium(config.chromium);
  const profiles = config.profiles ?? join(await mkdtemp(join(tmpdir(), 'pww-profiles-')), 'profiles');
  await mkdir(profiles, { recursive: true, mode: 0o700 });
  const setting: Setting = {
    library,
    chromium,
    profiles,
    memoryBytes: (config.browser_memory_mb ?? MEMORY_MB) * 2 ** 20,
    silenceMs: config.page_silence_ms ?? SILENCE_MS,
    webVersion: () => webVersion(config, profiles),
  };
  return {
    version: `${library.version} (Chromium ${chromium.major})`,
    capabilities: [...KINDS, ...ACTIONS, ...ASKS, ...FEATURES, ...POSTS],
    open: (frame, link) => new WebjsSession(frame, link, setting),
  };
};

/** The sandbox's page is laid where the library looks for a version of WhatsApp Web. */
async function webVersion(config: Config, profiles: string): Promise<WebVersion> {
  if (!config.whatsapp_url) return { type: 'none' };
  const url = new URL(config.whatsapp_url.replace(/^ws/, 'http'));
  url.pathname = '/web';
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`the sandbox has no page: ${answer.status}`);
  const path = join(profiles, '.page');
  await mkdir(path, { recursive: true });
  await writeFile(join(path, `${SANDBOX_VERSION}.html`), await answer.text());
  return { type: 'local', path, strict: true, version: SANDBOX_VERSION, origin: url.origin };
}
