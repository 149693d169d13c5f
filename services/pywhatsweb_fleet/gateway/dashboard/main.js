// The page: who is signed in, where one is, and what stands around it.
import { close, me, onSignedOut, open, signOut, watchConnection } from "./api.js";
import { choose, current, LANGUAGES, t } from "./i18n.js";
import { KeyList, useKeys } from "./keys.js";
import { attempt, html, Notices, render, useEffect, useRef, useState } from "./ui.js";
import { SignIn } from "./pages/signin.js";
import { Fleet } from "./pages/fleet.js";
import { Sessions } from "./pages/sessions.js";
import { Board } from "./pages/board.js";
import { Conversation } from "./pages/conversation.js";
import { Consents } from "./pages/consents.js";
import { Contacts } from "./pages/contacts.js";
import { Webhooks } from "./pages/webhooks.js";
import { DeadLetters } from "./pages/deadletters.js";
import { Audit } from "./pages/audit.js";
import { Team } from "./pages/team.js";
import { Access } from "./pages/access.js";
import { Settings } from "./pages/settings.js";
import { Templates } from "./pages/templates.js";
import { Inboxes } from "./pages/inboxes.js";
import { Labels } from "./pages/labels.js";
import { Sandbox } from "./pages/sandbox.js";

const BASE = "/dashboard/";
// name, title, what it shows, the scope that one needs
const PAGES = [
  ["board", "Board", Board, "read"],
  ["sessions", "Sessions", Sessions, "read"],
  ["inboxes", "Inboxes", Inboxes, "read"],
  ["labels", "Labels and channels", Labels, "read"],
  ["fleet", "Fleet", Fleet, "read"],
  ["contacts", "Contacts", Contacts, "read"],
  ["optouts", "Opt-outs", Consents, "read"],
  ["templates", "Templates", Templates, "read"],
  ["team", "Team and rules", Team, "read"],
  ["webhooks", "Webhooks", Webhooks, "admin"],
  ["deadletters", "Dead letters", DeadLetters, "admin"],
  ["audit", "Audit", Audit, "admin"],
  ["access", "Access", Access, "read"],
  ["settings", "Settings", Settings, "read"],
  ["sandbox", "Sandbox", Sandbox, "manage"],
];

export function go(path) {
  history.pushState(null, "", BASE + path);
  dispatchEvent(new PopStateEvent("popstate"));
}

const where = () => location.pathname.slice(BASE.length) || "board";

function useWhere() {
  const [path, set] = useState(where());
  useEffect(() => {
    const moved = () => set(where());
    addEventListener("popstate", moved);
    return () => removeEventListener("popstate", moved);
  }, []);
  return path;
}

function follow(event) {
  const link = event.target.closest?.("a[href]");
  const plain = !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0;
  if (link && plain && link.origin === location.origin && link.pathname.startsWith(BASE) && !link.download) {
    event.preventDefault();
    go(link.pathname.slice(BASE.length));
  }
}

function theme(name) {
  if (name) localStorage.setItem("theme", name);
  document.documentElement.dataset.theme = localStorage.getItem("theme") || "auto";
}

function Shell({ who, onOut }) {
  const path = useWhere();
  const [alive, setAlive] = useState(true);
  const [, again] = useState(0);
  const [listing, list] = useState(false);
  useKeys({
    "?": () => list(true),
    b: () => go("board"),
    "/": () => { const field = document.querySelector("main input:not([hidden]), main textarea"); field?.focus(); return field !== null; },
  });
  useEffect(() => watchConnection(setAlive), []);
  const began = useRef(path);
  useEffect(() => { if (path !== began.current) document.getElementById("content").focus(); began.current = null; }, [path]);
  const [name, ...rest] = path.split("/");
  const can = (scope) => who.scopes.includes(scope) || (scope === "board" && who.scopes.includes("manage"));
  const shown = PAGES.filter((page) => can(page[3]) && (page[0] !== "sandbox" || who.sandbox));
  const context = { who, can, rest: rest.map(decodeURIComponent), go };
  const page = shown.find((one) => one[0] === name) || shown[0];
  const View = name === "chat" ? Conversation : page[2];
  const language = (event) => attempt(async () => { await choose(event.target.value); again((n) => n + 1); });
  return html`<div class="shell" onClick=${follow}>
    <a class="skip" href="#content" onClick=${(event) => { event.preventDefault(); document.getElementById("content").focus(); }}>${t("To the content")}</a>
    <nav aria-label=${t("Pages")}>
      <a class="brand" href=${BASE}><img src=${`${BASE}icon.svg`} alt="" width="28" height="28" />PyWhatsWeb</a>
      <ul>${shown.map((one) => html`<li key=${one[0]}><a href=${BASE + one[0]} aria-current=${one === page && name !== "chat" ? "page" : undefined}>${t(one[1])}</a></li>`)}</ul>
      <div class="foot">
        <p class="who"><strong>${who.user || t("API key")}</strong><span class="dim">${who.tenant}</span></p>
        <p class="live ${alive ? "" : "off"}">${alive ? t("Live") : t("Reconnecting…")}</p>
        <select aria-label=${t("Language")} onChange=${language}>${Object.entries(LANGUAGES).map(([key, text]) => html`<option value=${key} selected=${key === current()}>${text}</option>`)}</select>
        <select aria-label=${t("Colours")} onChange=${(event) => theme(event.target.value)}>
          ${[["auto", "As the system"], ["light", "Light"], ["dark", "Dark"]].map(([key, text]) => html`<option value=${key} selected=${key === document.documentElement.dataset.theme}>${t(text)}</option>`)}
        </select>
        <button onClick=${() => list(true)}>${t("Keyboard")} <kbd>?</kbd></button>
        <button onClick=${onOut}>${t("Sign out")}</button>
      </div>
    </nav>
    <main id="content" tabindex="-1"><${View} key=${name + "/" + (rest[1] || "")} ...${context} /></main>
    ${listing && html`<${KeyList} onClose=${() => list(false)} />`}
  </div>`;
}

function App() {
  const [who, set] = useState(undefined);
  const enter = (found) => { set(found); open(); };
  useEffect(() => {
    onSignedOut(() => { close(); set(null); });
    const ticket = new URLSearchParams(location.hash.slice(1)).get("ticket");
    if (ticket) set(null);
    else me().then(enter, () => set(null));
  }, []);
  if (who === undefined) return html`<p class="dim boot">${t("Loading…")}</p>`;
  const out = () => attempt(async () => { await signOut(); set(null); });
  return html`${who === null ? html`<${SignIn} onIn=${enter} />` : html`<${Shell} who=${who} onOut=${out} />`}<${Notices} />`;
}

theme();
render(html`<${App} />`, document.getElementById("app"));
