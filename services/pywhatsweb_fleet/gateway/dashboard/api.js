// The gateway, as this page asks it: JSON, the sign-in's token, problems as errors, and one stream of events for all.

/** What the server refused: a code of the catalogue, and what to do. */
export class Problem extends Error {
  constructor(status, body) {
    super(body.title || body.detail || `HTTP ${status}`);
    this.status = status;
    this.code = body.code || "";
    this.action = body.action || "";
    this.details = body.details || {};
  }
}

let token = null;
let signedOut = () => {};

/** Called when the server no longer knows who this is. */
export function onSignedOut(callback) {
  signedOut = callback;
}

export async function request(method, path, body) {
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (token !== null && method !== "GET") headers["X-CSRF-Token"] = token;
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Problem(0, { title: "The gateway cannot be reached.", code: "E_NETWORK" });
  }
  const text = await answer.text();
  const found = text ? JSON.parse(text) : {};
  if (answer.ok) return found;
  if (answer.status === 401 && path !== "/v1/signin") signedOut();
  throw new Problem(answer.status, found);
}

export const get = (path) => request("GET", path);
export const post = (path, body = {}) => request("POST", path, body);
export const remove = (path) => request("DELETE", path);

/** A verb of the control plane: ask("chat.list", {…}). */
export const ask = (verb, args = {}) => post(`/v1/${verb.replace(".", "/")}`, args);

export async function me() {
  const found = await get("/v1/me");
  token = found.csrf;
  return found;
}

export async function signIn(fields) {
  const found = await post("/v1/signin", fields);
  token = found.csrf;
  return found;
}

export async function signOut() {
  close();
  await post("/v1/signout");
  token = null;
}

// Events.

const TYPES = [
  "qr", "pairing_code", "session", "message", "status", "chat", "reaction", "edit", "delete", "pin", "poll_vote", "contact", "group", "label",
  "call", "alert", "deadletter", "media", "presence",
];
const listeners = new Set();
const watchers = new Set();
let source = null;

/** Calls back with each event of these types; the returned function ends it. */
export function listen(types, callback) {
  const entry = { types: new Set(types), callback };
  listeners.add(entry);
  return () => listeners.delete(entry);
}

/** Calls back with whether events are coming. */
export function watchConnection(callback) {
  watchers.add(callback);
  callback(source !== null && source.readyState === 1);
  return () => watchers.delete(callback);
}

export function open() {
  close();
  source = new EventSource("/v1/events");
  const tell = (alive) => watchers.forEach((callback) => callback(alive));
  source.onopen = () => tell(true);
  source.onerror = () => {
    tell(false);
    // A refusal ends an EventSource for good; a new one begins where events are now, so pages read anew.
    if (source.readyState === 2) setTimeout(() => me().then(open, () => {}), 3000);
  };
  for (const type of TYPES) {
    source.addEventListener(type, (message) => {
      const event = JSON.parse(message.data);
      for (const entry of [...listeners]) if (entry.types.has(type)) entry.callback(event);
    });
  }
}

export function close() {
  source?.close();
  source = null;
}
