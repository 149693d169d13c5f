import { type Companion, companionJid, companionLid, isPage } from './companions.ts';
import type { Connection } from './connection.ts';
import type { DeviceConnection } from './device_connection.ts';
import { skmsgOf } from './groups.ts';
import { logError } from './log.ts';
import { answerDevice } from './peer_requests.ts';
import type { Person } from './people.ts';
import type { Sandbox } from './sandbox.ts';
import { ackOf, encryptions, forwardedAttrs, receiptAckOf } from './stanzas.ts';
import { mayRead, readersOf, type Shared, sharedOf } from './statuses.ts';
import { child, children, lidJid, type Node, node, parseJid, pnJid, seconds } from './wire.ts';

/** The server between linked devices and phones: takes stanzas, passes them on, acknowledges. */
export class Relay {
  readonly #sandbox: Sandbox;

  constructor(sandbox: Sandbox) {
    this.#sandbox = sandbox;
  }

  /** A <message> from a linked device. It is acknowledged once everything that follows from it is committed. */
  async message(connection: Connection, from: Companion, stanza: Node, position: number): Promise<void> {
    const { people, store } = this.#sandbox;
    const { to = '', id = '' } = stanza.attrs;
    const account = from.number;
    if (to.endsWith('@newsletter')) return await this.#toChannel(connection, from, stanza, position);
    const group = sharedOf(this.#sandbox, to);
    const refused = this.refusal(from, to, id, position);
    if (refused) {
      await store.committed();
      connection.send(ackOf(stanza, String(refused)));
      return;
    }
    for (const { jid, ciphertext } of encryptions(stanza)) {
      const person = people.ofJid(jid);
      const device = parseJid(jid)?.device ?? 0;
      if (!person || (group && !mayRead(this.#sandbox, group, person))) continue;
      if (device > 0) this.#forward(from, person, device, stanza, jid, ciphertext);
      else if (person.number === account && stanza.attrs.category === 'peer')
        await answerDevice(this.#sandbox, from, id, ciphertext);
      else if (person.number === account) await this.#sandbox.phones.ownCopy(person, from, id, ciphertext);
      else await this.#sandbox.phones.receive(person, from, { stanza, ciphertext, position, group });
    }
    if (group) await this.#toReaders(from, group, stanza, position);
    // Not awaited: the next stanza need not wait for this commit, and acks keep their order.
    void store
      .committed()
      .then(() => {
        this.acknowledge(connection, account, () => connection.send(ackOf(stanza)));
        this.#sandbox.wake(from);
      })
      .catch((error: unknown) => logError('commit', error));
  }

  async #toChannel(connection: Connection, from: Companion, stanza: Node, position: number): Promise<void> {
    const taken = await this.publish(from, stanza, position);
    const ack = ackOf(stanza, 'refused' in taken ? String(taken.refused) : undefined);
    if ('serverId' in taken) ack.attrs.server_id = taken.serverId;
    this.acknowledge(connection, from.number, () => connection.send(ack));
  }

  /** In a channel, where nothing is encrypted, the server takes it as it is, and says under which number. */
  async publish(from: Companion, stanza: Node, position: number): Promise<{ serverId: string } | { refused: number }> {
    const { channels, faults, journal, store } = this.#sandbox;
    const { id = '' } = stanza.attrs;
    const fault = faults.take('nack', from.number);
    const taken = fault ? { refused: fault.code } : await channels.post(from, stanza, position);
    const about = { account: from.number, device: from.device, id, position };
    if ('refused' in taken) journal.append({ kind: 'nack', ...about, type: String(taken.refused) });
    await store.committed();
    return taken;
  }

  /** A <receipt> from a linked device: it settles what it names, and a retry receipt has the message sent again. */
  async receipt(connection: Connection, from: Companion, stanza: Node): Promise<void> {
    const { people, store } = this.#sandbox;
    const { type, to = '', recipient, participant } = stanza.attrs;
    const sender = people.ofJid((sharedOf(this.#sandbox, to) && participant) || recipient || to);
    if (type === 'retry') await this.#sendAgain(connection, from, sender, stanza);
    else if (type === 'server-error') await this.#askForFile(connection, stanza);
    else this.#settle(connection, from, sender?.number ?? '', stanza);
    await store.committed();
    connection.send(receiptAckOf(stanza));
  }

  async #sendAgain(connection: Connection, from: Companion, sender: Person | undefined, stanza: Node): Promise<void> {
    const { id = '', to = '' } = stanza.attrs;
    const contact = sender?.number ?? '';
    connection.expectNack(id);
    const device = parseJid(to)?.device ?? 0;
    const sendingDevice = device > 0 ? this.#sandbox.companions.find(contact, device) : undefined;
    if (sendingDevice) return this.#passOn(from, sendingDevice, stanza);
    const count = child(stanza, 'retry')?.attrs.count ?? '1';
    const about = { account: from.number, contact, device: from.device, id };
    this.#sandbox.journal.append({ kind: 'gateway_retry', ...about, type: count });
    if (sender) await this.#sandbox.phones.sendAgain(sender, from, id, stanza);
  }

  /** A device found a message's file gone: the phone that sent it is asked to upload it again. */
  async #askForFile(connection: Connection, stanza: Node): Promise<void> {
    const { id = '' } = stanza.attrs;
    const about = child(stanza, 'rmr');
    const answer = await this.#sandbox.media.uploadAgain(id);
    const said = answer
      ? node('encrypt', {}, [node('enc_p', {}, answer.ciphertext), node('enc_iv', {}, answer.iv)])
      : node('error', { code: '2' });
    connection.notify('mediaretry', { id }, [...(about ? [about] : []), said]);
  }

  #settle(connection: Connection, from: Companion, contact: string, stanza: Node): void {
    const { journal, companions } = this.#sandbox;
    const type = stanza.attrs.type ?? 'delivered';
    const more = children(child(stanza, 'list')).map(({ attrs }) => attrs.id ?? '');
    for (const id of [stanza.attrs.id ?? '', ...more]) {
      const about = { account: from.number, contact, device: from.device, id };
      if (connection.settle('message', 'peer', id)) continue;
      if (connection.settle('message', '', id)) journal.append({ kind: 'inbound_acked', ...about });
      else journal.append({ kind: 'gateway_receipt', ...about, type });
    }
    if (type !== 'read' && type !== 'played') return;
    for (const companion of companions.of(contact)) this.#passOn(from, companion, stanza);
  }

  /** An <ack> from a linked device. */
  ack(connection: Connection, from: Companion, stanza: Node): void {
    const { class: kind, id = '', type = '', to = '', error } = stanza.attrs;
    if (kind === 'receipt') connection.settle('receipt', type, id);
    if (kind === 'notification') connection.settle('notification', '', id);
    if (kind === 'message' && connection.settle('message', 'peer', id)) return;
    if (kind !== 'message' || (error && connection.takeNack(id)) || !connection.settle('message', '', id)) return;
    const contact = this.#sandbox.people.ofJid(to)?.number ?? '';
    this.#sandbox.journal.append({
      kind: 'inbound_acked',
      account: from.number,
      contact,
      device: from.device,
      id,
      ...(error ? { detail: { error: Number(error) } } : {}),
    });
  }

  presence(from: Companion, stanza: Node): void {
    const { name, type, to } = stanza.attrs;
    if (name && stanza.tag === 'presence') {
      const person = this.#sandbox.people.find(from.number);
      if (person && person.name !== name) {
        person.name = name;
        this.#sandbox.people.save(person);
      }
    }
    const state = stanza.tag === 'chatstate' ? (children(stanza)[0]?.tag ?? '') : (type ?? 'available');
    const contact = to ? (this.#sandbox.people.ofJid(to)?.number ?? '') : '';
    this.#sandbox.journal.append({ kind: 'presence', account: from.number, contact, device: from.device, type: state });
  }

  /** Why the server refuses a message, as a nack's number; 0 when it takes it. A refusal goes into the journal. */
  refusal(from: Companion, to: string, id: string, position: number): number {
    const { faults, people, journal } = this.#sandbox;
    const recipient = people.ofJid(to);
    const nack = faults.take('nack', from.number, recipient?.number);
    const known = sharedOf(this.#sandbox, to) || (recipient && people.behaviourOf(recipient).registered);
    const refused = nack ? nack.code : known ? 0 : 404;
    if (refused) {
      const about = { account: from.number, contact: recipient?.number ?? '', device: from.device, id, position };
      journal.append({ kind: 'nack', ...about, type: String(refused) });
    }
    return refused;
  }

  /** Has `ack` tell the device that its message was taken, unless a fault says otherwise. */
  acknowledge(connection: DeviceConnection, account: string, ack: () => void): void {
    const { faults } = this.#sandbox;
    if (faults.take('ack_lost_close', account)) return connection.destroy();
    if (faults.take('drop_ack', account)) return;
    const delay = faults.take('ack_delay', account);
    if (delay) setTimeout(ack, delay.delayMs);
    else ack();
  }

  /** The part of a message to many that all of them decrypt alike. */
  async #toReaders(from: Companion, group: Shared, stanza: Node, position: number): Promise<void> {
    const ciphertext = skmsgOf(stanza);
    if (!ciphertext) return;
    for (const phone of readersOf(this.#sandbox, group, stanza)) {
      const { number } = phone;
      if (number !== from.number)
        await this.#sandbox.phones.receive(phone, from, { stanza, ciphertext, position, group });
      const keys = new Set(encryptions(stanza).map(({ jid }) => jid));
      for (const companion of this.#sandbox.companions.of(number)) {
        // A device that was sent the sender's key gets both in one stanza, from #forward.
        // A page gets its copy from its account's own phone.
        if (isPage(companion)) continue;
        if (companion === from || keys.has(companionJid(companion)) || keys.has(companionLid(companion))) continue;
        this.#forward(from, phone, companion.device, stanza, companionLid(companion), ciphertext);
      }
    }
  }

  /** Hands a receipt on to a linked device of whoever sent the message. */
  #passOn(from: Companion, to: Companion, stanza: Node): void {
    if (to.number === from.number) return;
    const { id = '', type } = stanza.attrs;
    const byLid = stanza.attrs.to?.endsWith('@lid') ?? false;
    const device = type === 'retry' ? from.device : 0;
    const jid = byLid ? lidJid(from.lid, device) : pnJid(from.number, device);
    this.#sandbox.queue.add(to, 'receipt', id, node('receipt', { from: jid, id, type, t: seconds() }, stanza.content));
    this.#sandbox.wake(to);
  }

  /** Hands a ciphertext on to a linked device, of the same account or of another. */
  #forward(from: Companion, person: Person, device: number, stanza: Node, target: string, ciphertext: Node): void {
    const companion = this.#sandbox.companions.find(person.number, device);
    if (!companion) return;
    const group = sharedOf(this.#sandbox, stanza.attrs.to);
    const chat = this.#sandbox.people.ofJid(stanza.attrs.to ?? '');
    const own = person.number === from.number;
    const attrs = forwardedAttrs(stanza, from, {
      byLid: target.endsWith('@lid'),
      name: this.#sandbox.people.find(from.number)?.name,
      group: group?.id,
      ownChat: own ? chat : undefined,
    });
    const identity = child(stanza, 'device-identity');
    const shared = group && ciphertext.attrs.type !== 'skmsg' ? skmsgOf(stanza) : undefined;
    const content = [ciphertext, shared, identity].filter((part) => part !== undefined);
    // Only its devices can read it, so the journal tells no more than that it passed.
    this.#sandbox.journal.append({
      kind: 'inbound',
      account: person.number,
      contact: own ? (chat?.number ?? '') : from.number,
      device,
      id: stanza.attrs.id ?? '',
      type: own ? 'device_sent' : 'forwarded',
    });
    this.#sandbox.queue.add(companion, 'message', stanza.attrs.id ?? '', node('message', attrs, content));
    this.#sandbox.wake(companion);
  }
}
