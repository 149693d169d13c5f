/** A session's own browser with the library's client in it: made, measured, ended. */
import type { OpenFrame } from '../../protocol.ts';
import { kill, launchOptions, memoryOf, proxyAccount, userAgent } from './browser.ts';
import type { Setting, WebVersion } from './engine.ts';
import { isPrepared } from './in_page.ts';
import type { Client } from './library.ts';
import { CODE_MS } from './pairing.ts';

/** A browser that was asked to end has so long: the worker waits five seconds for all of it. */
const CLOSE_MS = 3_500;
const MEMORY_EVERY_MS = 5_000;
/** A page is asked whether it is there this often within the time that it may be silent. */
const ASKED = 3;

export class OwnBrowser {
  readonly client: Client;
  #watches: NodeJS.Timeout[] = [];

  /** `folder`: its profile. */
  constructor({ library, chromium }: Setting, frame: OpenFrame, folder: string, web: WebVersion) {
    const { pairing } = frame;
    const settings = frame.settings ?? {};
    const byCode = pairing?.method === 'code' && pairing.phone_number;
    this.client = new library.Client({
      authStrategy: new library.LocalAuth({ dataPath: folder }),
      puppeteer: launchOptions(chromium, folder, settings, web.type === 'local' ? web.origin : undefined),
      ...(web.type === 'local' ? { webVersion: web.version } : {}),
      webVersionCache: web,
      userAgent: userAgent(chromium),
      proxyAuthentication: proxyAccount(settings),
      deviceName: settings.browser?.[0],
      browserName: settings.browser?.[1],
      ...(byCode ? { pairWithPhoneNumber: { phoneNumber: byCode.replace(/\D/g, ''), intervalMs: CODE_MS } } : {}),
    });
  }

  /** Says once that it uses more memory than `limit`, in bytes. */
  measure(limit: number, grown: (used: number) => void): void {
    const look = async (): Promise<void> => {
      const pid = this.client.pupBrowser?.process()?.pid;
      const used = pid && this.#watches.length > 0 ? await memoryOf(pid) : 0;
      if (used <= limit || this.#watches.length === 0) return;
      this.#rest();
      grown(used);
    };
    this.#watches.push(setInterval(() => look().catch(() => {}), MEMORY_EVERY_MS));
  }

  /** Says once that its page has not answered for `silence` milliseconds: it hangs. */
  listen(silence: number, hung: () => void): void {
    // Counted, not timed: we may have been stopped ourselves.
    let missed = 0;
    const look = (): void => {
      if (missed++ === 0) {
        const answered = (): void => {
          missed = 0;
        };
        const asked = this.client.pupPage?.evaluate(isPrepared) ?? Promise.resolve();
        asked.then(answered, answered);
      } else if (missed > ASKED) {
        this.#rest();
        hung();
      }
    };
    this.#watches.push(setInterval(look, silence / ASKED));
  }

  #rest(): void {
    for (const watch of this.#watches) clearInterval(watch);
    this.#watches = [];
  }

  /** Asks it to end. True when it did so by itself: then its profile is whole. */
  async end(ms = CLOSE_MS): Promise<boolean> {
    this.#rest();
    const browser = this.client.pupBrowser?.process();
    const ended = new Promise<boolean>((resolve) => {
      if (!browser || browser.exitCode !== null) resolve(true);
      browser?.once('exit', (code) => resolve(code === 0));
      setTimeout(() => resolve(false), ms);
    });
    await Promise.race([this.client.destroy(), ended]).catch(() => {});
    return await ended;
  }

  async logOut(): Promise<void> {
    this.#rest();
    const late = new Promise((resolve) => setTimeout(resolve, CLOSE_MS));
    await Promise.race([this.client.logout(), late]);
  }

  kill(): void {
    this.#rest();
    kill(this.client.pupBrowser?.process()?.pid);
  }
}
