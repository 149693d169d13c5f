/** One WhatsApp account in a browser of its own, from `open` to `closed`. It never starts again: the worker decides. */
import { mkdir } from 'node:fs/promises';
import { errorText } from '../../logs.ts';
import type { ActFrame, Closed, How, OpenFrame } from '../../protocol.ts';
import { Answers } from '../answers.ts';
import type { EngineSession, Link, SessionStats } from '../port.ts';
import { Account } from './account.ts';
import { reap } from './browser.ts';
import { closedBy, PASSING } from './closing.ts';
import { Deadlines } from './deadlines.ts';
import type { Setting } from './engine.ts';
import { hasSynced, isPrepared, socketState, tellSynced } from './in_page.ts';
import type { Client, Page } from './library.ts';
import { OwnBrowser } from './own_browser.ts';
import { Pairing } from './pairing.ts';
import { Profile } from './profile.ts';
import { Units } from './units.ts';
import { Watermark } from './watermark.ts';

/** From the start of the browser to a QR, a code or an open session. */
const START_MS = 90_000;
/** A page that has lost its socket reconnects by itself; after so long it is started anew. */
const OFFLINE_MS = 25_000;
/** After a pairing nobody waits, and without a stored profile it is worth nothing. */
const FIRST_CLOSE_MS = 45_000;
/** What a page may take to load anew. */
const NAVIGATION_MS = 10_000;

export class WebjsSession implements EngineSession {
  #units: Units;
  /** Counts what is told. */
  #link: Link;
  #setting: Setting;
  #frame: OpenFrame;
  #profile: Profile;
  #browser: OwnBrowser | undefined;
  #account: Account | undefined;
  #watermark: Watermark;
  #answers: Answers;
  #deadlines = new Deadlines((closed) => this.destroy(closed));
  #pairing: Pairing;
  #isOpen = false;
  #authenticated = false;
  #frameAt = Date.now();
  #closing: Closed | undefined;
  #closed = false;

  constructor(frame: OpenFrame, given: Link, setting: Setting) {
    this.#frame = frame;
    this.#setting = setting;
    this.#units = new Units(given);
    this.#link = this.#units.link;
    this.#profile = new Profile(setting.profiles, frame.session, frame.creds ?? undefined);
    this.#watermark = new Watermark(this.#link);
    this.#answers = new Answers(this.#link);
    this.#pairing = new Pairing(this.#link, this.#deadlines);
    given.state('connecting');
    this.#start().catch((error: unknown) => this.#startFailed(error));
  }

  async #start(): Promise<void> {
    await mkdir(this.#setting.profiles, { recursive: true, mode: 0o700 });
    await reap(this.#profile.folder);
    if (!(await this.#profile.prepare(this.#link)))
      return this.destroy({ reason: 'logged_out', detail: 'the profile is neither here nor in the store' });
    const web = await this.#setting.webVersion();
    if (this.#closing) return;
    const browser = new OwnBrowser(this.#setting, this.#frame, this.#profile.folder, web);
    const { client } = browser;
    this.#browser = browser;
    this.#listen(client);
    this.#deadlines.set('start', START_MS, { reason: 'timed_out', detail: 'the page did not start' });
    await client.initialize();
    client.pupBrowser?.on('disconnected', () => this.#pageGone('the browser ended'));
    if (this.#closing) return browser.kill();
    browser.measure(this.#setting.memoryBytes, (used) => void this.#tooLarge(used));
    browser.listen(this.#setting.silenceMs, () => this.#pageGone('the page does not answer'));
    await this.#hearSync(client);
  }

  /** A page whose login is refused throws it away and loads anew, under the library's hands. */
  async #startFailed(error: unknown): Promise<void> {
    const until = Date.now() + (/navigation|destroyed/.test(String(error)) ? NAVIGATION_MS : 0);
    let isOut = false;
    while (!isOut && Date.now() < until && !this.#closed) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      const page = this.#browser?.client.pupPage;
      const state = await page?.evaluate(socketState).catch(() => '');
      isOut = page?.url().includes('post_logout=1') === true || state?.startsWith('UNPAIRED') === true;
    }
    this.destroy(isOut ? await this.#unlinked() : { reason: 'engine_error', detail: errorText(error) });
  }

  /** A page that synced before the library listened is told of once more. */
  async #hearSync(client: Client): Promise<void> {
    if (!(await client.pupPage?.evaluate(hasSynced))) return;
    // What the page told meanwhile has been heard by now.
    await new Promise((resolve) => setImmediate(resolve));
    if (!this.#authenticated) await client.pupPage?.evaluate(tellSynced);
  }

  #listen(client: Client): void {
    client.on('qr', (code: string) => this.#showQr(code));
    client.on('code', (code: string) => this.#showCode(code));
    client.on('authenticated', () => {
      this.#authenticated = true;
    });
    client.on('ready', () => {
      this.#opened(client).catch((error: unknown) =>
        this.destroy({ reason: 'engine_error', detail: errorText(error) }),
      );
    });
    client.on('change_state', (state: string) => this.#stateChanged(state));
    client.on('disconnected', (state: string) => this.destroy(this.#closing ?? closedBy(String(state))));
    client.on('auth_failure', () => this.destroy({ reason: 'bad_session' }));
  }

  #showQr(code: string): void {
    if (this.#frame.creds) {
      void this.#unlinked().then((closed) => this.destroy(closed));
      return;
    }
    this.#deadlines.clear('start');
    this.#pairing.qr(code);
  }

  /** A device that was linked and shows a QR has been unlinked, unless somebody took its profile away. */
  async #unlinked(): Promise<Closed> {
    if (await this.#profile.isIntact()) return closedBy('LOGOUT');
    return { reason: 'engine_error', detail: 'the profile was removed' };
  }

  #showCode(code: string): void {
    this.#deadlines.clear('start');
    this.#pairing.code(code);
  }

  async #opened(client: Client): Promise<void> {
    this.#frameSeen();
    const page = client.pupPage;
    if (this.#isOpen || this.#closing || !page) return;
    page.on('error', () => this.#pageGone('the page crashed'));
    this.#pairing.done();
    this.#isOpen = true;
    const creds = await this.#profile.opened();
    this.#link.keysSet(creds, []);
    // A login is worth nothing until it is stored: the browser ends once, so that its profile can be.
    if (!this.#profile.hasSnapshot) return await this.#restart();
    await this.#watermark.load();
    const account = new Account({
      library: this.#setting.library,
      client,
      page,
      link: this.#link,
      units: this.#units,
      watermark: this.#watermark,
      seen: () => this.#frameSeen(),
      failed: (error) => this.destroy({ reason: 'engine_error', detail: errorText(error) }),
    });
    this.#account = account;
    await account.begin();
    page.on('framenavigated', () => void this.#navigated(page));
    this.#watermark.begin();
    if (this.#closing) return;
    this.#deadlines.clear('start');
    this.#link.state('open', { me: account.me });
  }

  /** WhatsApp Web loads itself anew when it has a new version: what was laid into the page is gone. */
  async #navigated(page: Page): Promise<void> {
    if (this.#closing || (await page.evaluate(isPrepared).catch(() => false))) return;
    this.destroy({ reason: 'connection_lost', detail: 'the page was loaded anew' });
  }

  #frameSeen(): void {
    this.#frameAt = Date.now();
  }

  #stateChanged(state: string): void {
    this.#frameSeen();
    if (state === 'CONNECTED') this.#deadlines.clear('offline');
    else if (PASSING.has(state) && !this.#deadlines.has('offline'))
      this.#deadlines.set('offline', OFFLINE_MS, { reason: 'connection_lost', detail: state });
  }

  #pageGone(detail: string): void {
    // One that we end ourselves is waited for.
    if (!this.#closing) this.destroy({ reason: 'connection_lost', detail });
  }

  async #tooLarge(used: number): Promise<void> {
    if (this.#closing) return;
    this.#link.log('warn', 'browser_too_large', { megabytes: Math.round(used / 2 ** 20) });
    this.#closing = { reason: 'engine_error', detail: 'the browser used more memory than it may' };
    this.#account?.stop();
    await this.#windDown('stop').catch(() => {});
    this.destroy(this.#closing);
  }

  committed(unit: number): void {
    this.#units.committed(unit);
  }

  press(blocked: boolean): void {
    this.#units.press(blocked);
  }

  // Actions.

  act(frame: ActFrame): void {
    const { ref } = frame;
    if (!this.#account || this.#closing) {
      this.#link.result(ref, { ok: false, code: 'E_SESSION_NOT_READY', detail: '', uncertain: false });
      return;
    }
    this.#answers.give(ref, this.#account.act(frame));
  }

  // The end.

  close(how: How): void {
    if (this.#closing) return;
    this.#closing = { reason: how === 'logout' ? 'logged_out' : 'stopped' };
    this.#account?.stop();
    this.#windDown(how)
      .catch((error: unknown) => this.#link.log('warn', 'close_failed', { error: errorText(error) }))
      .finally(() => this.destroy(this.#closing as Closed));
  }

  /** Ends the browser in order and stores its profile; after a pairing, and at a stop. */
  async #windDown(how: How): Promise<void> {
    const browser = this.#browser;
    if (!browser || how === 'handover') return;
    if (how === 'logout') return await browser.logOut();
    if (!this.#isOpen) return;
    if (this.#watermark.isDue) this.#watermark.save();
    if (await browser.end()) await this.#store();
  }

  async #restart(): Promise<void> {
    this.#closing = { reason: 'restart_required' };
    this.#watermark.begin();
    const stored = (await this.#browser?.end(FIRST_CLOSE_MS)) && (await this.#store());
    this.destroy(stored ? this.#closing : { reason: 'engine_error', detail: 'the profile could not be stored' });
  }

  async #store(): Promise<boolean> {
    for (const { rows, creds } of await this.#profile.snapshot()) this.#link.keysSet(creds, rows);
    return true;
  }

  destroy(closed: Closed): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#closing = closed;
    this.#account?.end();
    this.#deadlines.clearAll();
    if (this.#watermark.isDue && closed.reason !== 'lease_lapsed') this.#watermark.save();
    this.#watermark.stop();
    this.#browser?.kill();
    if (closed.reason === 'logged_out') this.#profile.wipe().catch(() => {});
    // What waited for an ack is answered first, by microtasks.
    setImmediate(() => {
      this.#answers.end();
      this.#link.closed(closed);
    });
  }

  stats(): SessionStats {
    return { held_frames: 0, uncommitted: this.#units.uncommitted, last_frame_at: this.#frameAt };
  }
}
