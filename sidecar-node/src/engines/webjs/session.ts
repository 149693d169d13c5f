/** One WhatsApp account in a browser of its own, from `open` to `closed`. It never starts again: the worker decides. */
import { mkdir } from 'node:fs/promises';
import { errorText } from '../../logs.ts';
import type { ActFrame, Closed, How, OpenFrame, Result, Settings } from '../../protocol.ts';
import { Acks } from '../baileys/acks.ts';
import type { EngineSession, Link, SessionStats } from '../port.ts';
import { Actions } from './actions.ts';
import { Asks } from './asks.ts';
import { kill, launchOptions, memoryOf, proxyAccount, reap, userAgent } from './browser.ts';
import { closedBy, PASSING } from './closing.ts';
import type { Setting } from './engine.ts';
import {
  hasSynced,
  isPrepared,
  type Mark,
  messagesSince,
  presetIds,
  socketState,
  tellSynced,
  watchMarks,
} from './in_page.ts';
import { Inbound } from './inbound.ts';
import type { Client, Model, Page } from './library.ts';
import { People } from './people.ts';
import { Profile } from './profile.ts';
import { Units } from './units.ts';
import { Watermark } from './watermark.ts';

const FIRST_QR_MS = 60_000;
const NEXT_QR_MS = 20_000;
/** WhatsApp asks for a new code after so long. */
const CODE_MS = 180_000;
/** From the start of the browser to a QR, a code or an open session. */
const START_MS = 90_000;
/** A page that has lost its socket reconnects by itself; after so long it is started anew. */
const OFFLINE_MS = 25_000;
/** A browser that was asked to end has so long: the worker waits five seconds for all of it. */
const CLOSE_MS = 3_500;
/** After a pairing nobody waits, and without a stored profile it is worth nothing. */
const FIRST_CLOSE_MS = 45_000;
/** What a page may take to load anew. */
const NAVIGATION_MS = 10_000;
const MEMORY_EVERY_MS = 5_000;
/** Messages asked for at a time, after a time away. */
const CATCH_UP = 250;
const OURS_KEPT = 2_048;

export class WebjsSession implements EngineSession {
  #units: Units;
  /** Counts what is told. */
  #link: Link;
  #setting: Setting;
  #settings: Settings;
  #frame: OpenFrame;
  #profile: Profile;
  #client: Client | undefined;
  #people: People | undefined;
  #actions: Actions | undefined;
  #asks: Asks | undefined;
  #inbound: Inbound | undefined;
  #watermark: Watermark;
  #acks = new Acks();
  #acting = new Set<number>();
  #ours = new Set<string>();
  #me = { pn: '', lid: undefined as string | undefined, name: undefined as string | undefined };
  #timers = new Map<string, NodeJS.Timeout>();
  #attempt = 0;
  #isOpen = false;
  #authenticated = false;
  #frameAt = Date.now();
  #closing: Closed | undefined;
  #closed = false;

  constructor(frame: OpenFrame, given: Link, setting: Setting) {
    this.#frame = frame;
    this.#setting = setting;
    this.#settings = frame.settings ?? {};
    this.#units = new Units(given);
    this.#link = this.#units.link;
    this.#profile = new Profile(setting.profiles, frame.session, frame.creds ?? undefined);
    this.#watermark = new Watermark(this.#link);
    given.state('connecting');
    this.#start().catch((error: unknown) => this.#startFailed(error));
  }

  async #start(): Promise<void> {
    const { library, chromium, profiles } = this.#setting;
    await mkdir(profiles, { recursive: true, mode: 0o700 });
    await reap(this.#profile.folder);
    if (!(await this.#profile.prepare(this.#link)))
      return this.destroy({ reason: 'logged_out', detail: 'the profile is neither here nor in the store' });
    const cache = await this.#setting.webVersion();
    if (this.#closing) return;
    const { pairing } = this.#frame;
    const byCode = pairing?.method === 'code' && pairing.phone_number;
    const client = new library.Client({
      authStrategy: new library.LocalAuth({ dataPath: this.#profile.folder }),
      puppeteer: launchOptions(
        chromium,
        this.#profile.folder,
        this.#settings,
        cache.type === 'local' ? cache.origin : undefined,
      ),
      ...(cache.type === 'local' ? { webVersion: cache.version } : {}),
      webVersionCache: cache,
      userAgent: userAgent(chromium),
      proxyAuthentication: proxyAccount(this.#settings),
      deviceName: this.#settings.browser?.[0],
      browserName: this.#settings.browser?.[1],
      ...(byCode ? { pairWithPhoneNumber: { phoneNumber: byCode.replace(/\D/g, ''), intervalMs: CODE_MS } } : {}),
    });
    this.#client = client;
    this.#people = new People(client);
    this.#listen(client);
    this.#after('start', START_MS, { reason: 'timed_out', detail: 'the page did not start' });
    await client.initialize();
    client.pupBrowser?.on('disconnected', () => this.#browserGone());
    if (this.#closing) return this.#kill();
    this.#watchMemory();
    await this.#hearSync(client);
  }

  /** A page whose login is refused throws it away and loads anew, under the library's hands. */
  async #startFailed(error: unknown): Promise<void> {
    const until = Date.now() + (/navigation|destroyed/.test(String(error)) ? NAVIGATION_MS : 0);
    let isOut = false;
    while (!isOut && Date.now() < until && !this.#closed) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      const page = this.#client?.pupPage;
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
    this.#clear('start');
    this.#attempt++;
    const life = this.#attempt === 1 ? FIRST_QR_MS : NEXT_QR_MS;
    this.#link.state('qr', { code, expires_at: Date.now() + life, attempt: this.#attempt });
    // WhatsApp shows no more codes after six; the page cannot be asked for another one.
    this.#after('pairing', life + NEXT_QR_MS, { reason: 'pairing_timeout' });
  }

  /** A device that was linked and shows a QR has been unlinked, unless somebody took its profile away. */
  async #unlinked(): Promise<Closed> {
    if (await this.#profile.isIntact()) return closedBy('LOGOUT');
    return { reason: 'engine_error', detail: 'the profile was removed' };
  }

  #showCode(code: string): void {
    this.#clear('start');
    this.#link.state('pairing_code', { code, expires_at: Date.now() + CODE_MS });
    this.#after('pairing', CODE_MS + NEXT_QR_MS, { reason: 'pairing_timeout' });
  }

  async #opened(client: Client): Promise<void> {
    this.#frameSeen();
    const page = client.pupPage;
    if (this.#isOpen || this.#closing || !page) return;
    this.#clear('pairing');
    this.#isOpen = true;
    await this.#learnMe(client);
    const creds = await this.#profile.opened();
    this.#link.keysSet(creds, []);
    // A login is worth nothing until it is stored: the browser ends once, so that its profile can be.
    if (!this.#profile.hasSnapshot) return await this.#restart(client);
    await this.#watermark.load();
    const { since } = this.#watermark;
    this.#makeParts(client, (skip) => page.evaluate(messagesSince, since, skip, CATCH_UP));
    if (this.#actions) this.#actions.presets = await page.evaluate(presetIds);
    if (!this.#actions?.presets) this.#link.log('warn', 'ids_not_preset');
    const inbound = this.#inbound;
    await page.exposeFunction('pwwMarked', (mark: Mark) => inbound?.marked(mark));
    await page.evaluate(watchMarks);
    page.on('framenavigated', () => void this.#navigated(page));
    this.#watermark.begin();
    if (this.#closing) return;
    this.#clear('start');
    const { pn, lid, name } = this.#me;
    this.#link.state('open', {
      me: { pn: `+${pn.split('@')[0]}`, lid: lid?.split('@')[0] ?? null, ...(name ? { name } : {}) },
    });
  }

  /** WhatsApp Web loads itself anew when it has a new version: what was laid into the page is gone. */
  async #navigated(page: Page): Promise<void> {
    if (this.#closing || (await page.evaluate(isPrepared).catch(() => false))) return;
    this.destroy({ reason: 'connection_lost', detail: 'the page was loaded anew' });
  }

  async #learnMe(client: Client): Promise<void> {
    const pn = `${client.info.wid.user}@c.us`;
    const lid = (await this.#people?.other(pn)) ?? undefined;
    this.#me = { pn, lid, name: client.info.pushname };
  }

  #makeParts(client: Client, missed: (skip: number) => Promise<Model[]>): void {
    const people = this.#people ?? new People(client);
    const me = (): { pn: string; lid: string | undefined } => this.#me;
    this.#inbound = new Inbound({
      link: this.#link,
      people,
      watermark: this.#watermark,
      me,
      isOurs: (id) => this.#ours.has(id) || this.#actions?.unnamed === true,
      acked: (id, ack) => this.#acked(id, ack),
      room: () => {
        this.#frameSeen();
        return this.#units.room();
      },
      failed: (error) => this.destroy({ reason: 'engine_error', detail: errorText(error) }),
    });
    this.#inbound.catchUp(missed, CATCH_UP);
    this.#inbound.listen(client);
    this.#actions = new Actions({
      library: this.#setting.library,
      client,
      link: this.#link,
      acks: this.#acks,
      people,
      me,
      durable: (unit) => this.#units.durable(unit),
      ours: (id) => this.#remember(id),
    });
    const actions = this.#actions;
    this.#asks = new Asks({
      client,
      people,
      me,
      library: this.#setting.library,
      find: (chat, id) => actions.find(chat, id),
    });
  }

  #remember(id: string): void {
    this.#ours.add(id);
    if (this.#ours.size > OURS_KEPT) this.#ours.delete(this.#ours.values().next().value as string);
  }

  #acked(id: string, ack: number): boolean {
    this.#frameSeen();
    return ack === 0 ? false : this.#acks.received(ack < 0 ? { id, error: String(ack) } : { id });
  }

  #frameSeen(): void {
    this.#frameAt = Date.now();
  }

  #stateChanged(state: string): void {
    this.#frameSeen();
    if (state === 'CONNECTED') this.#clear('offline');
    else if (PASSING.has(state) && !this.#timers.has('offline'))
      this.#after('offline', OFFLINE_MS, { reason: 'connection_lost', detail: state });
  }

  #browserGone(): void {
    // One that we end ourselves is waited for.
    if (!this.#closing) this.destroy({ reason: 'connection_lost', detail: 'the browser ended' });
  }

  #watchMemory(): void {
    const limit = this.#setting.memoryBytes;
    const look = async (): Promise<void> => {
      const pid = this.#client?.pupBrowser?.process()?.pid;
      if (!pid || this.#closing) return;
      const used = await memoryOf(pid);
      if (used <= limit) return;
      this.#link.log('warn', 'browser_too_large', { megabytes: Math.round(used / 2 ** 20) });
      this.#closing = { reason: 'engine_error', detail: 'the browser used more memory than it may' };
      this.#actions?.stop();
      await this.#windDown('stop');
      this.destroy(this.#closing);
    };
    const timer = setInterval(() => look().catch(() => {}), MEMORY_EVERY_MS);
    this.#timers.set('memory', timer);
  }

  #after(name: string, ms: number, closed: Closed): void {
    this.#clear(name);
    this.#timers.set(
      name,
      setTimeout(() => this.destroy(closed), ms),
    );
  }

  #clear(name: string): void {
    clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
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
    if (!this.#actions || this.#closing) {
      this.#link.result(ref, { ok: false, code: 'E_SESSION_NOT_READY', detail: '', uncertain: false });
      return;
    }
    this.#acting.add(ref);
    const answer = (result: Result): void => {
      if (this.#acting.delete(ref)) this.#link.result(ref, result);
    };
    const result = this.#asks?.run(frame) ?? this.#actions.run(frame);
    result.then(answer, (error: unknown) => {
      answer({ ok: false, code: 'E_INTERNAL', detail: errorText(error), uncertain: true });
    });
  }

  // The end.

  close(how: How): void {
    if (this.#closing) return;
    this.#closing = { reason: how === 'logout' ? 'logged_out' : 'stopped' };
    this.#actions?.stop();
    this.#windDown(how)
      .catch((error: unknown) => this.#link.log('warn', 'close_failed', { error: errorText(error) }))
      .finally(() => this.destroy(this.#closing as Closed));
  }

  /** Ends the browser in order and stores its profile; after a pairing, and at a stop. */
  async #windDown(how: How): Promise<void> {
    const client = this.#client;
    if (!client || how === 'handover') return;
    if (how === 'logout') return await this.#logOut(client);
    if (!this.#isOpen) return;
    if (this.#watermark.isDue) this.#watermark.save();
    if (await this.#endBrowser(client)) await this.#store();
  }

  async #restart(client: Client): Promise<void> {
    this.#closing = { reason: 'restart_required' };
    this.#watermark.begin();
    const stored = (await this.#endBrowser(client, FIRST_CLOSE_MS)) && (await this.#store());
    this.destroy(stored ? this.#closing : { reason: 'engine_error', detail: 'the profile could not be stored' });
  }

  async #store(): Promise<boolean> {
    for (const { rows, creds } of await this.#profile.snapshot()) this.#link.keysSet(creds, rows);
    return true;
  }

  /** True when it ended by itself: then its profile is whole. */
  async #endBrowser(client: Client, ms = CLOSE_MS): Promise<boolean> {
    const browser = client.pupBrowser?.process();
    const ended = new Promise<boolean>((resolve) => {
      if (!browser || browser.exitCode !== null) resolve(true);
      browser?.once('exit', (code) => resolve(code === 0));
      setTimeout(() => resolve(false), ms);
    });
    await Promise.race([client.destroy(), ended]).catch(() => {});
    return await ended;
  }

  async #logOut(client: Client): Promise<void> {
    const late = new Promise((resolve) => setTimeout(resolve, CLOSE_MS));
    await Promise.race([client.logout(), late]);
  }

  #kill(): void {
    kill(this.#client?.pupBrowser?.process()?.pid);
  }

  destroy(closed: Closed): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#closing = closed;
    this.#actions?.stop();
    this.#acks.close();
    for (const name of [...this.#timers.keys()]) this.#clear(name);
    if (this.#watermark.isDue && closed.reason !== 'lease_lapsed') this.#watermark.save();
    this.#watermark.stop();
    this.#kill();
    if (closed.reason === 'logged_out') this.#profile.wipe().catch(() => {});
    // What waited for an ack is answered first, by microtasks; what is still under way may have left.
    setImmediate(() => {
      for (const ref of this.#acting)
        this.#link.result(ref, { ok: false, code: 'E_CONNECTION_LOST', detail: '', uncertain: true });
      this.#acting.clear();
      this.#link.closed(closed);
    });
  }

  stats(): SessionStats {
    return { held_frames: 0, uncommitted: this.#units.uncommitted, last_frame_at: this.#frameAt };
  }
}
