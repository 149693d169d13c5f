// Small parts that every page uses.
import { html, render, useCallback, useEffect, useRef, useState } from "./vendor/preact.js";
import { listen } from "./api.js";
import { locale, t } from "./i18n.js";

export { html, render, useCallback, useEffect, useRef, useState };

/** Runs `load` now and when `deps` change: {data, error, loading, again}. */
export function useLoad(load, deps = []) {
  const [state, set] = useState({ data: null, error: null, loading: true });
  const turn = useRef(0);
  const again = useCallback(async () => {
    const mine = ++turn.current;
    try {
      const data = await load();
      if (mine === turn.current) set({ data, error: null, loading: false });
    } catch (error) {
      if (mine === turn.current) set((old) => ({ data: old.data, error, loading: false }));
    }
  }, deps);
  useEffect(() => {
    again();
    return () => { turn.current++; };
  }, [again]);
  return { ...state, again };
}

/** Calls back with events of these types for as long as the part is shown. */
export function useEvents(types, callback, deps = []) {
  useEffect(() => listen(types, callback), deps);
}

const RECORD_FOLLOWS_MS = 1000;

/**
 * A function that runs `act` once things have been quiet for `ms`, and at the latest after five times as long; and once
 * more a second later, since the record that pages are made of follows the events by a moment.
 */
export function useSettled(act, ms = 200) {
  const timer = useRef(null);
  const later = useRef(null);
  const first = useRef(0);
  const latest = useRef(act);
  latest.current = act;
  useEffect(() => () => { clearTimeout(timer.current); clearTimeout(later.current); }, []);
  return useCallback(() => {
    const now = Date.now();
    if (timer.current === null) first.current = now;
    clearTimeout(timer.current);
    const run = () => {
      timer.current = null;
      latest.current();
      clearTimeout(later.current);
      later.current = setTimeout(() => latest.current(), RECORD_FOLLOWS_MS);
    };
    timer.current = setTimeout(run, Math.max(0, Math.min(ms, first.current + 5 * ms - now)));
  }, []);
}

/** Each second while the part is shown. */
export function useNow() {
  const [now, set] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => set(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return now;
}

// Notices.

let notices = [];
/** Where notices may stand, the newest last: a dialog that is open covers the page. */
const places = [];
const tell = () => places.forEach((again) => again((n) => n + 1));
const drop = (id) => { notices = notices.filter((one) => one.id !== id); tell(); };

/** Tells something at the bottom of the page for a while; what went wrong, until it is closed. */
export function notice(text, kind = "ok") {
  const id = Math.random();
  notices = [...notices.slice(-3), { text, kind, id }];
  if (kind === "ok") setTimeout(() => drop(id), 4000);
  tell();
}

/** Runs an action and tells what went wrong. Whether it went well. */
export async function attempt(action, done) {
  try {
    await action();
    if (done) notice(done);
    return true;
  } catch (error) {
    notice([error.message, error.details?.reason, error.action].filter(Boolean).join(" "), "bad");
    return false;
  }
}

export function Notices() {
  const [, again] = useState(0);
  useEffect(() => {
    places.push(again);
    tell();
    return () => { places.splice(places.indexOf(again), 1); tell(); };
  }, []);
  return html`<div class="notices" role="status" aria-live="polite">
    ${(places.at(-1) === again ? notices : []).map((one) => html`<div key=${one.id} class="notice ${one.kind}">
      <span>${one.text}</span><button class="plain" aria-label=${t("Close")} onClick=${() => drop(one.id)}>×</button>
    </div>`)}
  </div>`;
}

// Words and times.

const TONES = {
  WORKING: "good", ok: "good", active: "info", new: "warn", done: "quiet", STOPPED: "quiet", disabled: "quiet",
  STARTING: "info", RECONNECTING: "warn", SCAN_QR_CODE: "warn", PAIRING_CODE: "warn", PASSKEY_REQUIRED: "warn",
  FAILED: "bad", BANNED: "bad", LOGGED_OUT: "bad", REPLACED: "bad", failing: "warn", open: "bad",
};

export const Badge = ({ word }) => html`<span class="badge ${TONES[word] || "quiet"}">${t(word)}</span>`;

const short = () => new Intl.DateTimeFormat(locale(), { dateStyle: "short", timeStyle: "short" });
const clock = () => new Intl.DateTimeFormat(locale(), { timeStyle: "short" });

export function Time({ at, only }) {
  if (!at) return html`<span class="dim">–</span>`;
  const date = new Date(at);
  return html`<time datetime=${at} title=${date.toLocaleString(locale())}>${(only === "clock" ? clock() : short()).format(date)}</time>`;
}

export function ago(at, now) {
  const seconds = Math.max(0, Math.round((now - new Date(at)) / 1000));
  const form = new Intl.RelativeTimeFormat(locale(), { style: "narrow" });
  if (seconds < 60) return form.format(-seconds, "second");
  if (seconds < 3600) return form.format(-Math.floor(seconds / 60), "minute");
  if (seconds < 86400) return form.format(-Math.floor(seconds / 3600), "hour");
  return form.format(-Math.floor(seconds / 86400), "day");
}

/** How a chat or person is called: name, number, group or LID. */
export function called(chat, name) {
  return name || chat?.pn || (chat?.group && `${t("Group")} ${chat.group}`) || chat?.lid || "?";
}

export const numberOf = (chat) => chat.pn || (chat.group ? `${chat.group}@g.us` : `${chat.lid}@lid`);

// Layout.

export function Page({ title, actions, children }) {
  useEffect(() => { document.title = `${title} · PyWhatsWeb`; }, [title]);
  return html`<section class="page"><header class="head"><h1>${title}</h1><div class="actions">${actions}</div></header>${children}</section>`;
}

export function Loading({ state, empty, children }) {
  if (state.error && !state.data) {
    return html`<div class="panel bad-text" role="alert">${state.error.message} <span class="dim">${state.error.action}</span>
      <p><button onClick=${state.again}>${t("Try again")}</button></p></div>`;
  }
  if (!state.data) return html`<p class="dim" aria-busy="true">${t("Loading…")}</p>`;
  return empty ? html`<p class="empty">${empty}</p>` : children;
}

export function Table({ columns, rows, label }) {
  return html`<div class="scroll"><table aria-label=${label}>
    <thead><tr>${columns.map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${row.key}>${row.cells.map((cell, at) => html`<td data-label=${columns[at]}>${cell}</td>`)}</tr>`)}</tbody>
  </table></div>`;
}

/** A dialog of the browser's own: it keeps the focus and closes by Escape. */
export function Dialog({ title, onClose, children }) {
  const ref = useRef(null);
  useEffect(() => { ref.current.showModal(); }, []);
  return html`<dialog ref=${ref} aria-label=${title} onClose=${onClose}
      onClick=${(event) => event.target === ref.current && ref.current.close()}>
    <header class="head"><h2>${title}</h2><button class="plain" aria-label=${t("Close")} onClick=${() => ref.current.close()}>×</button></header>
    ${children}<${Notices} />
  </dialog>`;
}

export function Field({ label, hint, children }) {
  return html`<label class="field"><span>${label}</span>${children}${hint && html`<small class="dim">${hint}</small>`}</label>`;
}

/** A form whose fields come as an object of texts; while it is sent its button is off. */
export function Form({ onSubmit, button, children, secondary, inline }) {
  const [busy, set] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    set(true);
    const fields = Object.fromEntries(new FormData(event.target));
    await onSubmit(fields, event.target);
    set(false);
  };
  return html`<form class="form ${inline ? "inline" : ""}" onSubmit=${submit}>${children}
    <div class="actions"><button class="primary" disabled=${busy}>${button}</button>${secondary}</div></form>`;
}

/** Asks before what cannot be undone. */
export function sure(text) {
  return window.confirm(text);
}

/** A secret that is shown once. */
export function Secret({ value }) {
  const copy = () => navigator.clipboard?.writeText(value).then(() => notice(t("Copied.")));
  return html`<p class="secret"><code>${value}</code> <button onClick=${copy}>${t("Copy")}</button></p>
    <p class="dim">${t("It is shown only now.")}</p>`;
}
