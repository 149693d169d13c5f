import { EventEmitter } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { AppState } from './app_state.ts';
import { type ServerIdentity, serverIdentity } from './certificate.ts';
import { Channels } from './channels.ts';
import { type Companion, Companions, sessionAddress } from './companions.ts';
import type { DeviceConnection } from './device_connection.ts';
import { Faults } from './faults.ts';
import { Groups } from './groups.ts';
import { Journal } from './journal.ts';
import { logError } from './log.ts';
import { MediaHost } from './media_host.ts';
import { Pairing } from './pairing.ts';
import { People, type Person } from './people.ts';
import { Phones } from './phones.ts';
import { Profiles } from './profiles.ts';
import { Queue } from './queue.ts';
import { Relay } from './relay.ts';
import { SenderKeys } from './sender_keys.ts';
import { type Bundle, Signal } from './signal.ts';
import { Store } from './store.ts';
import { Pages } from './web/pages.ts';
import { type Node, node, SERVER } from './wire.ts';

export interface SandboxOptions {
  readonly dataDir: string;
  /** Address that the listeners bind to; anything but loopback is for a network of containers. */
  readonly bind: string;
  /** Host name under which clients reach them. */
  readonly name: string;
  readonly wsPort: number;
  readonly httpPort: number;
  readonly mediaPort: number;
  readonly qrFirstMs: number;
  readonly qrNextMs: number;
  /** false: copies for the account's own phone are counted but not decrypted, which saves a fifth of the work. */
  readonly openOwnCopies: boolean;
  /** The page of WhatsApp Web does not let its message ids be preset. */
  readonly pageChoosesIds: boolean;
  /** The phone sends its chats to a device that was just linked. */
  readonly history: boolean;
}

/** Baileys uploads more one-time prekeys when told that fewer than this many are left. */
const PREKEYS_LOW = 5;

/** Everything that the parts of this WhatsApp share. */
export class Sandbox {
  readonly options: SandboxOptions;
  readonly store: Store;
  readonly identity: ServerIdentity;
  readonly people: People;
  readonly companions: Companions;
  readonly signal: Signal;
  readonly senderKeys: SenderKeys;
  readonly groups: Groups;
  readonly channels: Channels;
  readonly profiles: Profiles;
  readonly appState: AppState;
  readonly journal: Journal;
  readonly queue: Queue;
  readonly faults = new Faults();
  readonly media: MediaHost;
  readonly phones: Phones;
  readonly relay: Relay;
  readonly pairing: Pairing;
  readonly pages: Pages;
  /** Emits 'change' when phones, companions, connections, contacts or faults changed. */
  readonly events = new EventEmitter();
  readonly connections = new Set<DeviceConnection>();
  readonly unhandled = new Map<string, number>();
  /** By account, then by device. */
  readonly #online = new Map<string, Map<number, DeviceConnection>>();
  readonly #watchers = new Map<string, Set<string>>();
  readonly #woken = new Set<Companion>();

  constructor(options: SandboxOptions) {
    this.options = options;
    mkdirSync(options.dataDir, { recursive: true, mode: 0o700 });
    this.store = new Store(join(options.dataDir, 'sandbox.sqlite'));
    this.identity = serverIdentity(this.store);
    this.people = new People(this.store);
    this.companions = new Companions(this.store, this.people);
    this.signal = new Signal(this.store, this.people);
    this.senderKeys = new SenderKeys(this.store);
    this.groups = new Groups(this);
    this.channels = new Channels(this);
    this.profiles = new Profiles(this);
    this.appState = new AppState(this);
    this.journal = new Journal(this.store);
    this.queue = new Queue(this.store);
    this.media = new MediaHost(this);
    this.phones = new Phones(this);
    this.relay = new Relay(this);
    this.pairing = new Pairing(this);
    this.pages = new Pages(this);
    this.events.setMaxListeners(0);
    this.journal.events.setMaxListeners(0);
  }

  connectionOf(companion: Companion): DeviceConnection | undefined {
    return this.#online.get(companion.number)?.get(companion.device);
  }

  connectionsOf(account: string | undefined): DeviceConnection[] {
    const accounts =
      account === undefined
        ? [...this.#online.values()]
        : [this.#online.get(account) ?? new Map<number, DeviceConnection>()];
    return accounts.flatMap((devices) => [...devices.values()]);
  }

  /** Makes this the companion's connection and returns the one it replaces. */
  goOnline(companion: Companion, connection: DeviceConnection): DeviceConnection | undefined {
    const previous = this.connectionOf(companion);
    const devices = this.#online.get(companion.number) ?? new Map<number, DeviceConnection>();
    this.#online.set(companion.number, devices.set(companion.device, connection));
    this.events.emit('change');
    return previous;
  }

  goOffline(companion: Companion, connection: DeviceConnection): void {
    if (this.connectionOf(companion) === connection) this.#online.get(companion.number)?.delete(companion.device);
    this.events.emit('change');
  }

  /** Has the companion's connection deliver what was queued, once that is safe. */
  wake(companion: Companion): void {
    this.#woken.add(companion);
    if (this.#woken.size > 1) return;
    this.store.committed().then(
      () => {
        const woken = [...this.#woken];
        this.#woken.clear();
        for (const each of woken) this.connectionOf(each)?.deliver();
      },
      (error: unknown) => logError('commit', error),
    );
  }

  /** What another device needs to start a session with this companion. */
  bundleOf(companion: Companion): Bundle {
    const preKey = this.companions.takePreKey(companion);
    const left = this.companions.preKeyCount(companion);
    if (left < PREKEYS_LOW) {
      const count: Node = node('count', { value: String(left) });
      this.connectionOf(companion)?.notify('encrypt', {}, [count]);
    }
    return {
      registrationId: companion.registrationId,
      identityKey: companion.identityKey,
      signedPreKey: companion.signedPreKey,
      preKey,
    };
  }

  /** What another device needs to start a session with a person's primary phone. */
  phoneBundle(person: Person): Bundle {
    const id = person.nextPreKey++;
    this.people.save(person);
    return this.people.keysOf(person).bundle(id);
  }

  /** Unlinks a device as its phone's user does: it is told at once if connected, else at its next login. */
  unlink(companion: Companion): void {
    const connection = this.connectionOf(companion);
    this.companions.remove(companion);
    this.signal.forget(sessionAddress(companion));
    this.journal.append({ kind: 'unlink', account: companion.number, device: companion.device });
    connection?.streamError('401', node('conflict', { type: 'device_removed' }));
    this.deviceListChanged(companion.number, 'remove', companion.device);
    this.events.emit('change');
  }

  /** Remembers that an account asked for somebody's devices, and so keeps a list of them. */
  watchDevices(number: string, account: string): void {
    const watchers = this.#watchers.get(number);
    if (watchers) watchers.add(account);
    else this.#watchers.set(number, new Set([account]));
  }

  /** Tells the account's other devices, and who keeps a list of them, that a device was linked or unlinked. */
  deviceListChanged(number: string, change: 'add' | 'remove', device: number): void {
    const accounts = new Set([number, ...(this.#watchers.get(number) ?? [])]);
    for (const connection of [...accounts].flatMap((account) => this.connectionsOf(account))) {
      if (connection.companion?.number === number && connection.companion.device === device) continue;
      const jid = `${number}:${device}@${SERVER}`;
      connection.notify('devices', { from: `${number}@${SERVER}` }, [node(change, {}, [node('device', { jid })])]);
    }
  }

  countUnhandled(what: string): void {
    this.unhandled.set(what, (this.unhandled.get(what) ?? 0) + 1);
  }
}
