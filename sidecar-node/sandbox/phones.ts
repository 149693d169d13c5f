import { proto } from 'baileys/WAProto/index.js';
import { type Companion, isPage } from './companions.ts';
import { describe, phoneMessageId, stanzaType, unpad } from './content.ts';
import { Duties, type Duty } from './duties.ts';
import type { Group } from './groups.ts';
import type { PeerMessage } from './history.ts';
import { logError } from './log.ts';
import type { Person } from './people.ts';
import { type Posting, post, underSenderKey } from './posting.ts';
import { dutiesOf, pnOrLid, sendReceipt } from './receipts.ts';
import type { Sandbox } from './sandbox.ts';
import { bundleNodes, ciphertextOf, retryKeys } from './stanzas.ts';
import { type Shared, STATUS, sharedOf } from './statuses.ts';
import { chosen } from './votes.ts';
import { child, lidJid, type Node, node, seconds } from './wire.ts';

export interface Arrival {
  readonly stanza: Node;
  readonly ciphertext: Node;
  readonly position: number;
  readonly group?: Shared | undefined;
}

/** What a page sent, on its way to a contact's phone. */
export interface PageArrival {
  readonly id: string;
  readonly position: number;
  /** The chat as the page addressed it. */
  readonly to: string;
  readonly group: Shared | undefined;
}

type Arrived = PageArrival & { account: string; contact: string; device: number };

/** Attempts remembered per message, so that a second retry receipt carries keys, as a phone's does. */
const RETRIES_KEPT = 10_000;
const MAX_RETRIES = 5;

/** The primary phones of everybody: they decrypt, show, send receipts, reply, and send of their own. */
export class Phones {
  readonly #sandbox: Sandbox;
  readonly #duties: Duties;
  readonly #retries = new Map<string, number>();

  constructor(sandbox: Sandbox) {
    this.#sandbox = sandbox;
    this.#duties = new Duties(sandbox.store, (duty) => this.#perform(duty));
  }

  start(): void {
    this.#duties.resume();
  }

  stop(): void {
    this.#duties.stop();
  }

  /** A message arrives at a contact's phone. */
  async receive(phone: Person, from: Companion, { stanza, ciphertext, position, group }: Arrival): Promise<void> {
    const { journal, people } = this.#sandbox;
    const id = stanza.attrs.id ?? '';
    const about = {
      account: from.number,
      contact: phone.number,
      device: from.device,
      id,
      position,
      ...(group ? { detail: { group: group.id } } : {}),
    };
    const behaviour = people.behaviourOf(phone);
    if (behaviour.retry_first && !this.#retries.has(`${phone.number}/first`)) {
      this.#retries.set(`${phone.number}/first`, 1);
      return this.#askAgain(phone, from, stanza, about);
    }
    let plaintext: Buffer;
    let message: proto.Message;
    try {
      plaintext = unpad(await this.#decrypt(phone, from, ciphertext, group));
      message = proto.Message.decode(plaintext);
      const key = message.senderKeyDistributionMessage?.axolotlSenderKeyDistributionMessage;
      if (group && key) await this.#sandbox.senderKeys.learn(phone, group.id, from, key);
    } catch (error) {
      journal.append({ kind: 'decrypt_failed', ...about, text: error instanceof Error ? error.message : '' });
      return this.#askAgain(phone, from, stanza, about);
    }
    this.#arrived(phone, from, message, plaintext, { ...about, to: stanza.attrs.to ?? '', group });
  }

  /** What a page sent arrives: the server made it a message, nothing was encrypted. */
  show(phone: Person, from: Companion, message: proto.IMessage, { id, position, to, group }: PageArrival): void {
    const about = { account: from.number, contact: phone.number, device: from.device, id, position, to, group };
    this.#arrived(phone, from, message, proto.Message.encode(message).finish(), about);
  }

  #arrived(phone: Person, from: Companion, message: proto.IMessage, content: Uint8Array, arrived: Arrived): void {
    const { journal } = this.#sandbox;
    const { to, group, ...known } = arrived;
    const about = { ...known, ...(group ? { detail: { group: group.id } } : {}) };
    const { id } = about;
    const described = describe(message);
    if (group && described.type === 'empty') return;
    const shown = !journal.wasShown(from.number, phone.number, id);
    const disorder =
      shown && described.type === 'text' && journal.outOfOrder(from.number, phone.number, described.text);
    const seq = journal.append({
      kind: shown ? 'message' : 'repeat',
      ...about,
      type: described.type,
      text: described.text,
      content,
      ...(disorder ? { detail: { ...about.detail, out_of_order: 1 } } : {}),
    });
    if (described.media && shown) this.#sandbox.media.show(seq, described.media);
    if (described.type === 'poll_vote')
      journal.annotate(seq, { chosen: chosen(this.#sandbox, phone, from.number, message) ?? null });
    if (shown) this.#handToPages(phone, from, message, id, group);
    for (const [duty, delay] of dutiesOf(this.#sandbox, phone, from, { id, to, described, shown, group }))
      this.#duties.plan(duty, delay);
  }

  /** A page reads what its account's own phone hands on. */
  #handToPages(phone: Person, from: Companion, message: proto.IMessage, id: string, group: Shared | undefined): void {
    const sender = this.#sandbox.people.ensure(from.number);
    for (const page of this.#sandbox.companions.of(phone.number).filter(isPage))
      post(this.#sandbox, sender, page, message, id, { group }).catch((error: unknown) => logError('page', error));
  }

  #decrypt(phone: Person, from: Companion, ciphertext: Node, group: Shared | undefined): Promise<Buffer> {
    return group && ciphertext.attrs.type === 'skmsg'
      ? this.#sandbox.senderKeys.decrypt(phone, group.id, from, ciphertextOf(ciphertext).body)
      : this.#sandbox.signal.decrypt(phone, from, ciphertextOf(ciphertext));
  }

  /** The copy of a sent message that goes to the account's own phone. */
  async ownCopy(phone: Person, from: Companion, id: string, ciphertext: Node): Promise<void> {
    if (!this.#sandbox.options.openOwnCopies) return;
    try {
      await this.#sandbox.signal.decrypt(phone, from, ciphertextOf(ciphertext));
    } catch (error) {
      const text = error instanceof Error ? error.message : '';
      this.#sandbox.journal.append({
        kind: 'own_copy',
        account: from.number,
        device: from.device,
        id,
        type: 'decrypt_failed',
        text,
      });
    }
  }

  /** A contact sends a message to an account: it is queued for each linked device. Durable once `committed()`. */
  async send(phone: Person, account: string, message: proto.IMessage, id = phoneMessageId()): Promise<string> {
    const content = proto.Message.encode(message).finish();
    const { type, text } = describe(message);
    this.#sandbox.journal.append({ kind: 'inbound', account, contact: phone.number, id, type, text, content });
    for (const companion of this.#sandbox.companions.of(account))
      await post(this.#sandbox, phone, companion, message, id, {});
    return id;
  }

  /** Hands what an account's page sent to the devices of another account that read ciphertexts. */
  async sendToKeyed(phone: Person, account: string, message: proto.IMessage, id: string): Promise<void> {
    for (const companion of this.#sandbox.companions.of(account))
      if (!isPage(companion)) await post(this.#sandbox, phone, companion, message, id, {});
  }

  /** A contact's phone sends bytes that are no message: what a broken or hostile client does. */
  async sendRaw(phone: Person, account: string, raw: Buffer, id = phoneMessageId()): Promise<string> {
    this.#sandbox.journal.append({ kind: 'inbound', account, contact: phone.number, id, type: 'raw' });
    for (const companion of this.#sandbox.companions.of(account))
      if (!isPage(companion)) await post(this.#sandbox, phone, companion, {}, id, { raw, type: 'text' });
    return id;
  }

  /** A contact writes to a group: once for every linked device of every other member, under one sender key. */
  async sendToGroup(phone: Person, group: Group, message: proto.IMessage, id = phoneMessageId()): Promise<string> {
    const { journal, companions } = this.#sandbox;
    const { said, key, shared } = await underSenderKey(this.#sandbox, phone, group.id, message);
    for (const { number } of group.members) {
      if (number === phone.number || companions.of(number).length === 0) continue;
      journal.append({ kind: 'inbound', account: number, contact: phone.number, id, ...said });
      for (const companion of companions.of(number))
        if (isPage(companion)) await post(this.#sandbox, phone, companion, message, id, { group });
        else await post(this.#sandbox, phone, companion, key, id, { group, shared, type: stanzaType(message).type });
    }
    return id;
  }

  /** A contact posts a status: to each linked device of those who may see it, under one sender key. */
  async sendStatus(phone: Person, audience: string[], message: proto.IMessage, id = phoneMessageId()): Promise<string> {
    const { journal, companions } = this.#sandbox;
    const { said, key, shared } = await underSenderKey(this.#sandbox, phone, STATUS.id, message);
    for (const account of audience) {
      journal.append({ kind: 'inbound', account, contact: phone.number, id, ...said });
      for (const companion of companions.of(account))
        if (isPage(companion)) await post(this.#sandbox, phone, companion, message, id, { group: STATUS });
        else {
          const { type } = stanzaType(message);
          await post(this.#sandbox, phone, companion, key, id, { group: STATUS, shared, type });
        }
    }
    return id;
  }

  /** The account's own phone sends something to one of its devices. */
  async sendPeer(companion: Companion, { id, message }: PeerMessage): Promise<void> {
    await post(this.#sandbox, this.#sandbox.people.ensure(companion.number), companion, message, id, { peer: true });
  }

  /** The account's own phone lets a device that was just linked read the account's state. */
  async shareStateKey(companion: Companion, again?: Posting): Promise<void> {
    const message = this.#sandbox.appState.keyShare(companion, again !== undefined);
    if (!message) return;
    const phone = this.#sandbox.people.ensure(companion.number);
    await post(this.#sandbox, phone, companion, message, phoneMessageId(), { ...again, peer: true });
  }

  /** A linked device could not decrypt: the same message again, in a fresh session. */
  async sendAgain(phone: Person, to: Companion, id: string, receipt: Node): Promise<void> {
    const count = Number(child(receipt, 'retry')?.attrs.count ?? 1);
    const content = this.#sandbox.journal.find({ kind: 'inbound', account: to.number, contact: phone.number, id });
    const keys = retryKeys(receipt);
    if (count > MAX_RETRIES) return;
    // What the phone says to its own device is not in the journal.
    if (!content && phone.number === to.number)
      return this.shareStateKey(to, { retry: count, ...(keys ? { keys } : {}) });
    if (!content) return;
    this.#sandbox.queue.removeMessage(to, id);
    const group = sharedOf(this.#sandbox, receipt.attrs.to);
    await post(this.#sandbox, phone, to, proto.Message.decode(content), id, {
      retry: count,
      ...(keys ? { keys } : {}),
      ...(group ? { group } : {}),
    });
  }

  /** A contact's behaviour changed: what it held back may go now. */
  behaviourChanged(phone: Person): void {
    if (this.#sandbox.people.behaviourOf(phone).deliver) this.#duties.release(phone.number);
  }

  async #perform(duty: Duty): Promise<void> {
    const phone = this.#sandbox.people.ensure(duty.contact);
    if (duty.kind === 'reply') await this.send(phone, duty.account, { conversation: duty.text ?? '' });
    else sendReceipt(this.#sandbox, phone, duty);
  }

  #askAgain(
    phone: Person,
    from: Companion,
    stanza: Node,
    about: { account: string; contact: string; device: number; id: string },
  ): void {
    const key = `${phone.number}/${from.number}/${about.id}`;
    const count = (this.#retries.get(key) ?? 0) + 1;
    if (count > MAX_RETRIES) return;
    if (this.#retries.size > RETRIES_KEPT) this.#retries.delete(this.#retries.keys().next().value as string);
    this.#retries.set(key, count);
    const [registration, ...keys] = bundleNodes(this.#sandbox.phoneBundle(phone));
    const content = [node('retry', { count: String(count), id: about.id, t: seconds(), v: '1' })];
    if (registration) content.push(registration);
    if (count > 1) content.push(node('keys', {}, keys));
    const group = sharedOf(this.#sandbox, stanza.attrs.to);
    const sender = group
      ? { from: group.id, participant: lidJid(phone.lid) }
      : { from: pnOrLid(stanza.attrs.to ?? '', phone) };
    const attrs = { ...sender, id: about.id, type: 'retry', t: seconds() };
    this.#sandbox.queue.add(from, 'receipt', about.id, node('receipt', attrs, content));
    this.#sandbox.journal.append({ kind: 'retry_request', ...about, type: String(count) });
    this.#sandbox.wake(from);
  }
}
