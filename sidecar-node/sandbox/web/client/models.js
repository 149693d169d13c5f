/** Observable models and collections, as WhatsApp Web's: changes are events on the model and on its collection. */

export class Emitter {
  #listeners = new Map();

  on(names, listener) {
    for (const name of names.split(' ')) this.#listeners.set(name, [...(this.#listeners.get(name) ?? []), listener]);
  }

  once(name, listener) {
    const once = (...values) => {
      this.off(name, once);
      listener(...values);
    };
    this.on(name, once);
  }

  off(name, listener) {
    this.#listeners.set(
      name,
      (this.#listeners.get(name) ?? []).filter((other) => other !== listener),
    );
  }

  emit(name, ...values) {
    for (const listener of this.#listeners.get(name) ?? []) listener(...values);
  }
}

export class Model extends Emitter {
  constructor(fields = {}) {
    super();
    Object.assign(this, fields);
  }

  set(changes) {
    for (const [name, value] of Object.entries(changes)) {
      const before = this[name];
      if (before === value) continue;
      this[name] = value;
      this.#changed(`change:${name}`, value, before);
    }
    this.#changed('change');
    return this;
  }

  #changed(name, ...values) {
    this.emit(name, this, ...values);
    this.collection?.emit(name, this, ...values);
  }

  /** Plain values only: what passes to the driver. */
  serialize() {
    const plain = Object.entries(this).filter(
      ([name, value]) => name !== 'collection' && !(value instanceof Emitter) && typeof value !== 'function',
    );
    return JSON.parse(JSON.stringify(Object.fromEntries(plain)));
  }
}

export class Collection extends Emitter {
  #models = new Map();

  get(id) {
    return this.#models.get(String(id?._serialized ?? id));
  }

  async find(id) {
    return this.get(id);
  }

  add(model) {
    model.collection = this;
    this.#models.set(String(model.id._serialized ?? model.id), model);
    this.emit('add', model);
    return model;
  }

  remove(model) {
    this.#models.delete(String(model.id._serialized ?? model.id));
    this.emit('remove', model);
  }

  getModelsArray() {
    return [...this.#models.values()];
  }

  serialize() {
    return this.getModelsArray().map((model) => model.serialize());
  }
}

export class Wid {
  constructor(user, server) {
    this.user = user;
    this.server = server;
    this._serialized = `${user}@${server}`;
  }

  isLid() {
    return this.server === 'lid';
  }

  isGroup() {
    return this.server === 'g.us';
  }

  isNewsletter() {
    return this.server === 'newsletter';
  }

  toJid() {
    return this._serialized;
  }

  isStatus() {
    return this._serialized === 'status@broadcast';
  }

  toString() {
    return this._serialized;
  }
}

/** Of an address or of what looks like a Wid; the server's `s.whatsapp.net` is `c.us` here. */
export function createWid(like) {
  const text = String(like?._serialized ?? like ?? '');
  const at = text.indexOf('@');
  if (at < 1) throw new Error('invalid wid');
  const server = text.slice(at + 1);
  return new Wid(text.slice(0, at).split(':')[0], server === 's.whatsapp.net' ? 'c.us' : server);
}

export class MsgKey {
  constructor({ from, to, id, participant, selfDir, fromMe, remote }) {
    this.fromMe = fromMe ?? selfDir === 'out';
    this.remote = remote ?? (this.fromMe ? to : from);
    this.id = id;
    if (participant) this.participant = participant;
    const tail = participant ? `_${participant._serialized}` : '';
    this._serialized = `${this.fromMe}_${this.remote._serialized}_${id}${tail}`;
  }

  static async newId() {
    const bytes = crypto.getRandomValues(new Uint8Array(9));
    return `3EB0${[...bytes].map((byte) => byte.toString(16).padStart(2, '0').toUpperCase()).join('')}`;
  }
}
