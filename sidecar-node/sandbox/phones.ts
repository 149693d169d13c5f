import { proto } from 'baileys/WAProto/index.js';
import { type Companion, isPage } from './companions.ts';
import { type Described, describe, pad, phoneMessageId, stanzaType, unpad } from './content.ts';
import { typed, verifySignature } from './curve.ts';
import { Duties, type Duty } from './duties.ts';
import type { Group } from './groups.ts';
import type { PeerMessage } from './history.ts';
import { logError } from './log.ts';
import { addressesOf, type Person } from './people.ts';
import type { Sandbox } from './sandbox.ts';
import type { Bundle, Ciphertext } from './signal.ts';
import { bundleNodes, ciphertextOf, retryKeys } from './stanzas.ts';
import { type Shared, STATUS, sharedOf } from './statuses.ts';
import { chosen } from './votes.ts';
import { child, lidJid, type Node, node, parseJid, pnJid, seconds } from './wire.ts';

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

/** How a message is posted when it is not simply a new one for one chat. */
interface Posting {
  /** The attempt, when a device asked for the message again. */
  readonly retry?: number;
  readonly keys?: Bundle;
  readonly group?: Shared | undefined;
  /** The ciphertext that is the same for all members of the group. */
  readonly shared?: Node;
  readonly type?: string;
  /** Instead of the message: the bytes that are encrypted. */
  readonly raw?: Buffer;
  /** From the account's own phone, for its device alone. */
  readonly peer?: boolean;
}

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
    if (described.media && shown) this.#openMedia(seq, described);
    if (described.type === 'poll_vote')
      journal.annotate(seq, { chosen: chosen(this.#sandbox, phone, from.number, message) ?? null });
    if (shown) this.#handToPages(phone, from, message, id, group);
    this.#plan(phone, from, { to, id }, described, shown, group);
  }

  /** A page reads what its account's own phone hands on. */
  #handToPages(phone: Person, from: Companion, message: proto.IMessage, id: string, group: Shared | undefined): void {
    const sender = this.#sandbox.people.ensure(from.number);
    for (const page of this.#sandbox.companions.of(phone.number).filter(isPage))
      this.#post(sender, page, message, id, { group }).catch((error: unknown) => logError('page', error));
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
    for (const companion of this.#sandbox.companions.of(account)) await this.#post(phone, companion, message, id, {});
    return id;
  }

  /** Hands what an account's page sent to the devices of another account that read ciphertexts. */
  async sendToKeyed(phone: Person, account: string, message: proto.IMessage, id: string): Promise<void> {
    for (const companion of this.#sandbox.companions.of(account))
      if (!isPage(companion)) await this.#post(phone, companion, message, id, {});
  }

  /** A contact's phone sends bytes that are no message: what a broken or hostile client does. */
  async sendRaw(phone: Person, account: string, raw: Buffer, id = phoneMessageId()): Promise<string> {
    this.#sandbox.journal.append({ kind: 'inbound', account, contact: phone.number, id, type: 'raw' });
    for (const companion of this.#sandbox.companions.of(account))
      if (!isPage(companion)) await this.#post(phone, companion, {}, id, { raw, type: 'text' });
    return id;
  }

  /** A contact writes to a group: once for every linked device of every other member, under one sender key. */
  async sendToGroup(phone: Person, group: Group, message: proto.IMessage, id = phoneMessageId()): Promise<string> {
    const { journal, companions } = this.#sandbox;
    const { said, key, shared } = await this.#underSenderKey(phone, group.id, message);
    for (const { number } of group.members) {
      if (number === phone.number || companions.of(number).length === 0) continue;
      journal.append({ kind: 'inbound', account: number, contact: phone.number, id, ...said });
      for (const companion of companions.of(number))
        if (isPage(companion)) await this.#post(phone, companion, message, id, { group });
        else await this.#post(phone, companion, key, id, { group, shared, type: stanzaType(message).type });
    }
    return id;
  }

  /** Encrypts once for all who read it: what the journal tells of it, the key that each needs, and the ciphertext. */
  async #underSenderKey(phone: Person, group: string, message: proto.IMessage) {
    const content = proto.Message.encode(message).finish();
    const { type, text } = describe(message);
    const { ciphertext, distribution } = await this.#sandbox.senderKeys.encrypt(phone, group, pad(content));
    const { mediaType: mediatype } = stanzaType(message);
    return {
      said: { type, text, content, detail: { group } },
      key: { senderKeyDistributionMessage: { groupId: group, axolotlSenderKeyDistributionMessage: distribution } },
      shared: node('enc', { v: '2', type: 'skmsg', mediatype }, ciphertext),
    };
  }

  /** A contact posts a status: to each linked device of those who may see it, under one sender key. */
  async sendStatus(phone: Person, audience: string[], message: proto.IMessage, id = phoneMessageId()): Promise<string> {
    const { journal, companions } = this.#sandbox;
    const { said, key, shared } = await this.#underSenderKey(phone, STATUS.id, message);
    for (const account of audience) {
      journal.append({ kind: 'inbound', account, contact: phone.number, id, ...said });
      for (const companion of companions.of(account))
        if (!isPage(companion))
          await this.#post(phone, companion, key, id, { group: STATUS, shared, type: stanzaType(message).type });
    }
    return id;
  }

  /** The account's own phone sends something to one of its devices. */
  async sendPeer(companion: Companion, { id, message }: PeerMessage): Promise<void> {
    await this.#post(this.#sandbox.people.ensure(companion.number), companion, message, id, { peer: true });
  }

  /** The account's own phone lets a device that was just linked read the account's state. */
  async shareStateKey(companion: Companion, again?: Posting): Promise<void> {
    const message = this.#sandbox.appState.keyShare(companion, again !== undefined);
    if (!message) return;
    const phone = this.#sandbox.people.ensure(companion.number);
    await this.#post(phone, companion, message, phoneMessageId(), { ...again, peer: true });
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
    await this.#post(phone, to, proto.Message.decode(content), id, {
      retry: count,
      ...(keys ? { keys } : {}),
      ...(group ? { group } : {}),
    });
  }

  /** A contact's behaviour changed: what it held back may go now. */
  behaviourChanged(phone: Person): void {
    if (this.#sandbox.people.behaviourOf(phone).deliver) this.#duties.release(phone.number);
  }

  async #post(
    phone: Person,
    companion: Companion,
    message: proto.IMessage,
    id: string,
    { retry, keys, group, shared, raw, peer, type = stanzaType(message).type }: Posting,
  ): Promise<void> {
    const { queue, people } = this.#sandbox;
    const enc = isPage(companion)
      ? node('plain', {}, proto.Message.encode(message).finish())
      : await this.#encrypted(phone, companion, raw ?? message, { retry, keys, peer });
    const { addressing } = people.behaviourOf(phone);
    const { jid, other } = addressesOf(phone, group ? 'lid' : addressing);
    const sender = group
      ? { from: group.id, participant: jid, participant_pn: other, addressing_mode: 'lid' }
      : {
          from: jid,
          addressing_mode: addressing,
          ...(addressing === 'lid' ? { sender_pn: other } : { sender_lid: other }),
        };
    const attrs = { ...sender, ...(peer ? { category: 'peer' } : {}), id, type, t: seconds(), notify: phone.name };
    queue.add(companion, 'message', id, node('message', attrs, shared ? [enc, shared] : [enc]));
    this.#sandbox.wake(companion);
  }

  async #encrypted(
    phone: Person,
    companion: Companion,
    message: proto.IMessage | Buffer,
    { retry, keys, peer }: { [K in 'retry' | 'keys' | 'peer']: Posting[K] | undefined },
  ): Promise<Node> {
    const { signal, faults } = this.#sandbox;
    const raw = Buffer.isBuffer(message);
    const plaintext = pad(raw ? message : proto.Message.encode(message).finish());
    const bundle = () => {
      const found = keys ?? this.#sandbox.bundleOf(companion);
      if (!verifySignature(found.identityKey, typed(found.signedPreKey.publicKey), found.signedPreKey.signature)) {
        throw new Error('the bundle of a linked device is not signed by its identity');
      }
      return found;
    };
    let encrypted = await signal.encrypt(phone, companion, plaintext, bundle, retry !== undefined);
    if (
      retry === undefined &&
      !peer &&
      (faults.take('bad_mac', companion.number, phone.number) ??
        faults.take('undecryptable', companion.number, phone.number))
    ) {
      encrypted = spoil(encrypted);
    }
    const { mediaType } = raw ? {} : stanzaType(message);
    const attrs = { v: '2', type: encrypted.type, mediatype: mediaType, count: retry?.toString() };
    return node('enc', attrs, encrypted.body);
  }

  /** Receipts and reply for a message that arrived, at once or later. A repeat is delivered again, not answered again. */
  #plan(
    phone: Person,
    from: Companion,
    { to, id }: { to: string; id: string },
    described: Described,
    shown: boolean,
    group: Shared | undefined,
  ): void {
    const behaviour = this.#sandbox.people.behaviourOf(phone);
    const chat = pnOrLid(to, phone);
    const base = {
      contact: phone.number,
      account: from.number,
      device: from.device,
      chat,
      id,
      ...(group ? { group: group.id } : {}),
    };
    const late = this.#sandbox.faults.peek('late_receipts', from.number, phone.number)?.delayMs ?? 0;
    const delivered = behaviour.deliver ? behaviour.deliver_delay_ms + late : null;
    const after = (delay: number): number | null => (delivered === null ? null : delivered + delay);
    if (isService(described.type)) return this.#duties.plan({ ...base, kind: 'delivered' }, delivered);
    this.#duties.plan({ ...base, kind: 'delivered' }, delivered);
    if (!behaviour.read) return;
    this.#duties.plan({ ...base, kind: 'read' }, after(behaviour.read_delay_ms));
    if (behaviour.play && (described.type === 'voice' || described.type === 'audio'))
      this.#duties.plan({ ...base, kind: 'played' }, after(behaviour.read_delay_ms));
    if (behaviour.reply === null || !shown || group || described.type === 'reaction') return;
    const text = behaviour.reply === 'echo' ? described.text : behaviour.reply;
    this.#duties.plan({ ...base, kind: 'reply', text }, after(behaviour.read_delay_ms + behaviour.reply_delay_ms));
  }

  async #perform(duty: Duty): Promise<void> {
    const phone = this.#sandbox.people.ensure(duty.contact);
    if (duty.kind === 'reply') {
      await this.send(phone, duty.account, { conversation: duty.text ?? '' });
      return;
    }
    const companion = this.#sandbox.companions.find(duty.account, duty.device);
    if (!companion) return;
    const type = duty.kind === 'delivered' ? undefined : duty.kind;
    this.#sandbox.queue.add(
      companion,
      'receipt',
      duty.id,
      node('receipt', {
        from: duty.group ?? duty.chat,
        participant: duty.group && lidJid(phone.lid),
        id: duty.id,
        type,
        t: seconds(),
      }),
    );
    this.#sandbox.journal.append({
      kind: 'receipt',
      account: duty.account,
      contact: duty.contact,
      device: duty.device,
      id: duty.id,
      type: duty.kind,
    });
    this.#sandbox.wake(companion);
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

  #openMedia(seq: number, { media }: Described): void {
    if (!media) return;
    this.#sandbox.media.open(media).then(
      (file) => this.#sandbox.journal.annotate(seq, { media: { ...file, mime_type: media.mimeType } }),
      (error: unknown) => {
        logError('media', error);
        this.#sandbox.journal.annotate(seq, { media: { error: error instanceof Error ? error.message : 'failed' } });
      },
    );
  }
}

/** The chat as the sender addressed it, so that receipts come from the identity that it knows. */
function pnOrLid(to: string, phone: Person): string {
  return parseJid(to)?.server === 'lid' ? lidJid(phone.lid) : pnJid(phone.number);
}

/** Messages that a phone acts on without showing anything: they are delivered but never read. */
const isService = (type: string): boolean => type === 'protocol' || type === 'empty';

/** Breaks the message's authentication code. */
function spoil({ type, body }: Ciphertext): Ciphertext {
  const spoilt = Buffer.from(body);
  const last = spoilt.length - 1;
  spoilt[last] = (spoilt[last] ?? 0) ^ 0xff;
  return { type, body: spoilt };
}
