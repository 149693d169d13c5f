import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { call, showPresence } from './calls.ts';
import { chatsView, chatView } from './chats.ts';
import { followEvents } from './events.ts';
import { type Fault, IMMEDIATE } from './faults.ts';
import { actInGroup } from './group_queries.ts';
import { addPast } from './history.ts';
import { log, logError } from './log.ts';
import { type Behaviour, type Person, parseBehaviour, parseNumber } from './people.ts';
import { Refusal } from './refusal.ts';
import type { Sandbox } from './sandbox.ts';
import { sendAsContact } from './sending.ts';
import { contactView, stateView } from './views.ts';
import { node, pnJid } from './wire.ts';

type Body = Record<string, unknown>;
interface Call {
  readonly sandbox: Sandbox;
  readonly body: Body;
  readonly query: URLSearchParams;
  /** The number in the path, and the second one where it has two. */
  readonly number: string;
  readonly other: string;
}
type Handler = (call: Call) => unknown;

const MAX_BODY = 96 * 1024 * 1024;
const LOOPBACK = /^(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/;
const PAGE = new URL('page.html', import.meta.url);
const PAGE_POLICY =
  "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:; frame-ancestors 'none'";

const ROUTES: [method: string, path: RegExp, handler: Handler][] = [
  ['GET', /^\/api\/state$/, ({ sandbox, query }) => stateView(sandbox, query.get('contacts') !== '0')],
  ['GET', /^\/api\/journal$/, readJournal],
  ['GET', /^\/api\/journal\/summary$/, ({ sandbox }) => sandbox.journal.summary()],
  ['POST', /^\/api\/defaults$/, setDefaults],
  ['POST', /^\/api\/phones$/, addPhone],
  ['DELETE', /^\/api\/phones\/([^/]+)$/, removePhone],
  [
    'POST',
    /^\/api\/phones\/([^/]+)\/scan$/,
    ({ sandbox, number, body }) => sandbox.pairing.scan(number, required(body, 'qr')),
  ],
  [
    'POST',
    /^\/api\/phones\/([^/]+)\/link-code$/,
    ({ sandbox, number, body }) => sandbox.pairing.linkCode(number, required(body, 'code')),
  ],
  ['POST', /^\/api\/phones\/([^/]+)\/unlink$/, unlink],
  [
    'POST',
    /^\/api\/phones\/([^/]+)\/state$/,
    ({ sandbox, number, body }) => sandbox.appState.changeOnPhone(number, body),
  ],
  ['POST', /^\/api\/phones\/([^/]+)\/past$/, ({ sandbox, number, body }) => addPast(sandbox, number, body)],
  ['GET', /^\/api\/phones\/([^/]+)\/chats$/, ({ sandbox, number }) => chatsView(sandbox, number)],
  ['GET', /^\/api\/phones\/([^/]+)\/chats\/([^/]+)$/, ({ sandbox, number, other }) => chatView(sandbox, number, other)],
  ['POST', /^\/api\/contacts$/, ({ sandbox, body }) => changeContact(sandbox, parseNumber(body.number), body)],
  ['PATCH', /^\/api\/contacts$/, ({ sandbox, body }) => changeContact(sandbox, parseNumber(body.number), body)],
  ['PATCH', /^\/api\/contacts\/([^/]+)$/, ({ sandbox, number, body }) => changeContact(sandbox, number, body)],
  ['GET', /^\/api\/contacts\/([^/]+)$/, ({ sandbox, number }) => contactView(sandbox, known(sandbox, number))],
  [
    'POST',
    /^\/api\/contacts\/([^/]+)\/send$/,
    ({ sandbox, number, body }) => sendAsContact(sandbox, sandbox.people.ensure(number), body),
  ],
  [
    'POST',
    /^\/api\/contacts\/([^/]+)\/presence$/,
    ({ sandbox, number, body }) =>
      showPresence(sandbox, sandbox.people.ensure(number), parseNumber(body.to, 'to'), body.state),
  ],
  [
    'POST',
    /^\/api\/contacts\/([^/]+)\/call$/,
    ({ sandbox, number, body }) => call(sandbox, sandbox.people.ensure(number), parseNumber(body.to, 'to'), body),
  ],
  ['POST', /^\/api\/contacts\/([^/]+)\/reinstall$/, reinstall],
  ['POST', /^\/api\/groups$/, addGroup],
  ['POST', /^\/api\/groups\/act$/, groupAct],
  ['POST', /^\/api\/channels$/, addChannel],
  ['POST', /^\/api\/channels\/follow$/, followChannel],
  ['POST', /^\/api\/faults$/, addFault],
  ['DELETE', /^\/api\/faults$/, clearFaults],
];

/** The control interface: HTTP and JSON for tests, and a page for people. Loopback only. */
export class Control {
  readonly #sandbox: Sandbox;
  readonly #server: Server;

  constructor(sandbox: Sandbox) {
    this.#sandbox = sandbox;
    this.#server = createServer((request, response) => {
      this.#handle(request, response).catch((error: unknown) => answerError(response, error));
    });
  }

  async start(port: number): Promise<string> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, this.#sandbox.options.bind, resolve);
    });
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A page of the web that had its name resolve to 127.0.0.1 must not steer the sandbox.
    if (!LOOPBACK.test(request.headers.host ?? ''))
      throw new Refusal('This server only answers to loopback names.', 403);
    const { origin } = request.headers;
    if (origin !== undefined && !LOOPBACK.test(origin.replace(/^https?:\/\//, ''))) {
      throw new Refusal('This server does not answer to pages of other sites.', 403);
    }
    const url = new URL(request.url ?? '/', 'http://localhost');
    if (url.pathname === '/' && request.method === 'GET') {
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': PAGE_POLICY });
      response.end(readFileSync(PAGE));
      return;
    }
    if (url.pathname === '/api/events' && request.method === 'GET') return followEvents(this.#sandbox, response);
    const matching = ROUTES.filter(([, path]) => path.test(url.pathname));
    if (matching.length === 0) throw new Refusal('There is nothing at this address.', 404);
    const route = matching.find(([method]) => method === request.method);
    if (!route) throw new Refusal(`This address takes ${matching.map(([method]) => method).join(', ')}.`, 405);
    const [, path, handler] = route;
    const [number = '', other = ''] = (path.exec(url.pathname)?.slice(1) ?? []).map((part) =>
      parseNumber(decode(part)),
    );
    const body = request.method === 'GET' ? {} : await readBody(request);
    const answer = await handler({ sandbox: this.#sandbox, body, query: url.searchParams, number, other });
    await this.#sandbox.store.committed();
    answerJson(response, 200, answer);
  }
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new Refusal('The address is not properly encoded.');
  }
}

async function readBody(request: IncomingMessage): Promise<Body> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY) throw new Refusal('The body is too large.', 413);
    chunks.push(chunk);
  }
  if (size === 0) return {};
  // A form of another site can post text/plain without asking; it cannot post JSON.
  if (!/^application\/json\b/.test(request.headers['content-type'] ?? ''))
    throw new Refusal('The body must be application/json.', 415);
  let body: unknown;
  try {
    body = JSON.parse(Buffer.concat(chunks).toString());
  } catch {
    throw new Refusal('The body is not valid JSON.');
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new Refusal('The body must be a JSON object.');
  return body as Body;
}

function answerJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

function answerError(response: ServerResponse, error: unknown): void {
  if (!(error instanceof Refusal)) logError('control', error);
  if (response.headersSent) return void response.end();
  const refusal = error instanceof Refusal ? error : new Refusal('The sandbox failed at this; its log says why.', 500);
  answerJson(response, refusal.status, { error: refusal.message });
}

function required(body: Body, field: string): string {
  const value = body[field];
  if (typeof value !== 'string' || value === '') throw new Refusal(`"${field}" must be a text.`);
  return value;
}

function known(sandbox: Sandbox, number: string): Person {
  const person = sandbox.people.find(number);
  if (!person) throw new Refusal('Nobody here has this number yet.', 404);
  return person;
}

function readJournal({ sandbox, query }: Call): unknown {
  const whole = (field: string): number | undefined => {
    const value = query.get(field);
    if (value === null) return undefined;
    if (!/^\d{1,15}$/.test(value)) throw new Refusal(`"${field}" must be a whole number.`);
    return Number(value);
  };
  const [after, limit] = [whole('after'), whole('limit')];
  const [contact, account] = (['contact', 'account'] as const).map((field) =>
    query.has(field) ? parseNumber(query.get(field), field) : undefined,
  );
  const [id, kind] = [query.get('id'), query.get('kind')];
  return sandbox.journal.read({
    ...(after === undefined ? {} : { after }),
    ...(limit === undefined ? {} : { limit }),
    ...(contact === undefined ? {} : { contact }),
    ...(account === undefined ? {} : { account }),
    ...(id === null ? {} : { id }),
    ...(kind === null ? {} : { kind }),
    content: query.get('content') !== '0',
  });
}

function setDefaults({ sandbox, body }: Call): Behaviour {
  sandbox.people.setDefaults(parseBehaviour(body.behaviour ?? body));
  for (const person of sandbox.people.all()) sandbox.phones.behaviourChanged(person);
  return sandbox.people.defaults;
}

function addPhone({ sandbox, body }: Call): unknown {
  const person = sandbox.people.ensure(parseNumber(body.number));
  if (body.name !== undefined) person.name = required(body, 'name');
  person.isPhone = true;
  sandbox.people.save(person);
  sandbox.events.emit('change');
  return { number: person.number, lid: person.lid, name: person.name };
}

function removePhone({ sandbox, number }: Call): unknown {
  const person = known(sandbox, number);
  for (const companion of [...sandbox.companions.of(number)]) sandbox.unlink(companion);
  person.isPhone = false;
  sandbox.people.save(person);
  sandbox.events.emit('change');
  return { number };
}

function unlink({ sandbox, number, body }: Call): unknown {
  const { device } = body;
  const all = sandbox.companions.of(number);
  const chosen = device === undefined ? [...all] : all.filter((companion) => companion.device === device);
  if (chosen.length === 0) throw new Refusal('This phone has no such linked device.', 404);
  for (const companion of chosen) sandbox.unlink(companion);
  return { unlinked: chosen.map((companion) => companion.device) };
}

function changeContact(sandbox: Sandbox, number: string, body: Body): unknown {
  const behaviour = parseBehaviour(body.behaviour);
  const name = body.name === undefined ? undefined : required(body, 'name');
  const person = sandbox.people.ensure(number);
  person.behaviour = { ...person.behaviour, ...behaviour };
  if (name !== undefined) person.name = name;
  sandbox.people.save(person);
  if (body.profile !== undefined) sandbox.profiles.change(number, body.profile);
  sandbox.phones.behaviourChanged(person);
  sandbox.events.emit('change');
  return contactView(sandbox, person);
}

function reinstall({ sandbox, number }: Call): unknown {
  const person = known(sandbox, number);
  sandbox.people.renewKeys(person);
  sandbox.signal.forgetOwn(person);
  return contactView(sandbox, person);
}

function addGroup({ sandbox, body }: Call): unknown {
  const participants = body.participants;
  if (!Array.isArray(participants)) throw new Refusal('"participants" must be a list of phone numbers.');
  const numbers = participants.map((each: unknown) => parseNumber(each, 'participants'));
  return sandbox.groups.create(parseNumber(body.owner ?? numbers[0], 'owner'), required(body, 'subject'), numbers);
}

function addChannel({ sandbox, body }: Call): unknown {
  const { channels } = sandbox;
  const description = body.description === undefined ? '' : required(body, 'description');
  const { id, invite } = channels.create(parseNumber(body.owner, 'owner'), required(body, 'name'), description);
  return { id, invite };
}

function followChannel({ sandbox: { channels }, body }: Call): unknown {
  const channel = channels.get(required(body, 'channel'));
  channels.follow(channel, parseNumber(body.by, 'by'));
  return { followers: Object.keys(channel.followers).length };
}

/** `by` a member, what a client's stanza would say: `act` (add, subject, invite …), `participants`, `text`, `code`. */
function groupAct({ sandbox, body }: Call): unknown {
  const numbers = (body.participants ?? []) as unknown[];
  const people = numbers.map((each) => node('participant', { jid: pnJid(parseNumber(each, 'participants')) }));
  const code = typeof body.code === 'string' ? body.code : undefined;
  const mode =
    body.approval === undefined ? [] : [node('group_join', { state: body.approval === true ? 'on' : 'off' })];
  const content = typeof body.text === 'string' ? Buffer.from(body.text) : [...people, ...mode];
  const first = node(required(body, 'act'), { code }, content);
  return actInGroup(sandbox, parseNumber(body.by, 'by'), required(body, 'group'), first);
}

function addFault({ sandbox, body }: Call): unknown {
  const fault = sandbox.faults.parse(body, parseNumber);
  sandbox.journal.append({
    kind: 'fault',
    type: fault.kind,
    account: fault.account ?? '',
    contact: fault.contact ?? '',
  });
  const struck = IMMEDIATE.has(fault.kind) ? strike(sandbox, fault) : 0;
  if (struck > 0) fault.left--;
  // These two refuse logins as well, for as long as they last.
  const lasts = !IMMEDIATE.has(fault.kind) || fault.kind === 'banned' || fault.kind === 'unavailable';
  if (lasts && fault.left > 0) sandbox.faults.add(fault);
  log('fault', { kind: fault.kind });
  sandbox.events.emit('change');
  return { id: fault.id, struck };
}

/** Strikes the connections that are open now. */
function strike(sandbox: Sandbox, fault: Fault): number {
  const connections = sandbox.connectionsOf(fault.account);
  for (const connection of connections) {
    const { companion } = connection;
    if (fault.kind === 'stream_error') connection.streamError(String(fault.code));
    else if (fault.kind === 'replaced') connection.streamError(undefined, node('conflict', { type: 'replaced' }));
    else if (fault.kind === 'freeze') connection.freeze((fault.until ?? Date.now() + 10_000) - Date.now());
    else if (fault.kind === 'unlink' && companion) sandbox.unlink(companion);
    else if (fault.kind === 'banned' || fault.kind === 'unavailable') connection.fail(fault.code);
    else connection.destroy();
  }
  return connections.length;
}

function clearFaults({ sandbox, query }: Call): unknown {
  const account = query.has('account') ? parseNumber(query.get('account'), 'account') : undefined;
  sandbox.faults.clear(query.get('kind') ?? undefined, account);
  sandbox.events.emit('change');
  return { faults: sandbox.faults.list() };
}
