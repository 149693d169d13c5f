import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';

const SCHEMA = `
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS person (
  number TEXT PRIMARY KEY, lid TEXT NOT NULL UNIQUE, name TEXT NOT NULL, seed BLOB NOT NULL, is_phone INTEGER NOT NULL,
  next_prekey INTEGER NOT NULL, next_device INTEGER NOT NULL, behaviour TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS companion (
  number TEXT, device INTEGER, noise_key BLOB NOT NULL, identity_key BLOB NOT NULL, registration_id INTEGER NOT NULL,
  signed_prekey_id INTEGER NOT NULL, signed_prekey BLOB NOT NULL, signed_prekey_signature BLOB NOT NULL,
  key_index INTEGER NOT NULL, platform TEXT NOT NULL, paired_at INTEGER NOT NULL, first_login INTEGER NOT NULL,
  PRIMARY KEY (number, device)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS prekey (
  number TEXT, device INTEGER, id INTEGER, value BLOB NOT NULL, PRIMARY KEY (number, device, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS session (
  owner TEXT, address TEXT, record TEXT NOT NULL, PRIMARY KEY (owner, address)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sender_key (
  owner TEXT, name TEXT, record TEXT NOT NULL, PRIMARY KEY (owner, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS chat_group (
  id TEXT PRIMARY KEY, owner TEXT NOT NULL, created INTEGER NOT NULL, subject TEXT NOT NULL, members TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS queue (
  seq INTEGER PRIMARY KEY, number TEXT NOT NULL, device INTEGER NOT NULL, kind TEXT NOT NULL,
  type TEXT NOT NULL, id TEXT NOT NULL, stanza BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS queue_of_device ON queue (number, device, seq);
CREATE TABLE IF NOT EXISTS duty (seq INTEGER PRIMARY KEY, due INTEGER, contact TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS journal (
  seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, account TEXT NOT NULL,
  contact TEXT NOT NULL, device INTEGER NOT NULL, id TEXT NOT NULL, type TEXT NOT NULL, text TEXT NOT NULL,
  position INTEGER, content BLOB, detail TEXT);
CREATE INDEX IF NOT EXISTS journal_of_id ON journal (id);
CREATE INDEX IF NOT EXISTS journal_of_chat ON journal (account, contact);
`;

/** Commits come at least this far apart under load: a burst shares one, a single stanza hardly waits. */
const COMMIT_INTERVAL_MS = 2;

/**
 * All state, in one SQLite file.
 *
 * Writes run at once inside a transaction that stays open until the end of the event-loop turn or a little longer, so
 * that a burst of stanzas costs one commit. Whoever must not speak before its writes are safe awaits `committed()`. A commit
 * survives the death of the process, which is what tests bring about; synchronous=OFF leaves a power cut uncovered.
 */
export class Store {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  readonly #beforeCommit: (() => void)[] = [];
  #waiting: { resolve: () => void; reject: (error: unknown) => void }[] = [];
  #open = false;
  #lastCommit = 0;
  #closed = false;

  constructor(path: string) {
    this.#database = new DatabaseSync(path);
    this.#database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 8000;');
    this.#database.exec(SCHEMA);
  }

  /** Tables of a part of the sandbox, made if they are not there. */
  exec(schema: string): void {
    this.#database.exec(schema);
  }

  run(sql: string, ...values: SQLInputValue[]): { changes: number; id: number } {
    this.#begin();
    const result = this.#prepare(sql).run(...values);
    return { changes: Number(result.changes), id: Number(result.lastInsertRowid) };
  }

  get<Row>(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#prepare(sql).get(...values) as Row | undefined;
  }

  all<Row>(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#prepare(sql).all(...values) as Row[];
  }

  /** Registers work that must join every commit, such as writing changed sessions. */
  beforeCommit(work: () => void): void {
    this.#beforeCommit.push(work);
  }

  /** Opens the transaction, so that a change kept in memory until the commit is written with the next one. */
  touch(): void {
    this.#begin();
  }

  committed(): Promise<void> {
    if (!this.#open) return Promise.resolve();
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  close(): void {
    if (this.#closed) return;
    this.#commit();
    this.#closed = true;
    this.#database.close();
  }

  #begin(): void {
    if (this.#open) return;
    if (this.#closed) throw new Error('the store is closed');
    this.#open = true;
    this.#database.exec('BEGIN');
    if (performance.now() - this.#lastCommit >= COMMIT_INTERVAL_MS) setImmediate(() => this.#commit());
    else setTimeout(() => this.#commit(), COMMIT_INTERVAL_MS);
  }

  #commit(): void {
    if (!this.#open) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    try {
      for (const work of this.#beforeCommit) work();
      this.#database.exec('COMMIT');
      this.#open = false;
      this.#lastCommit = performance.now();
      for (const { resolve } of waiting) resolve();
    } catch (error) {
      this.#open = false;
      try {
        this.#database.exec('ROLLBACK');
      } catch {
        // COMMIT itself failed and left no transaction.
      }
      for (const { reject } of waiting) reject(error);
    }
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}
