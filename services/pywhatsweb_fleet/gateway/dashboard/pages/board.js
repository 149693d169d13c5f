// Kanban: who has to answer whom. Cards move by dragging or by their buttons.
import { ask } from "../api.js";
import { t } from "../i18n.js";
import { ago, attempt, called, html, Loading, Page, useEvents, useLoad, useNow, useSettled, useState } from "../ui.js";

const COLUMNS = ["new", "active", "done"];
const TITLES = { new: "Waiting", active: "In progress", done: "Done" };
const MOST = 100;

async function load(filters) {
  const args = Object.fromEntries(Object.entries(filters).filter(([, value]) => value));
  const pages = await Promise.all(COLUMNS.map((status) => ask("chat.list", { ...args, status, limit: MOST })));
  return Object.fromEntries(COLUMNS.map((status, at) => [status, pages[at]]));
}

/** What brings a card into a column. */
function move(card, to, who) {
  const chat = { chat: card.chat.key, session_id: card.session_id };
  if (to === "done") return ask("chat.done", chat);
  if (to === "active") return ask("chat.assign", { ...chat, owner_id: card.owner_id || who });
  return card.status === "done" ? ask("chat.reopen", chat) : ask("chat.release", chat);
}

export function Board({ who, can }) {
  const [filters, setFilters] = useState({ session_id: "", owner_id: "" });
  const [over, setOver] = useState(null);
  const state = useLoad(() => load(filters), [filters]);
  const settle = useSettled(state.again);
  const now = useNow();
  useEvents(["chat", "message"], settle);
  const me = who.user || "dashboard";
  const moves = can("board");
  const shift = async (card, to) => {
    if (card.status !== to && (await attempt(() => move(card, to, me)))) settle();
  };
  const dropped = (to) => (event) => {
    event.preventDefault();
    setOver(null);
    const [key, session] = event.dataTransfer.getData("text/plain").split(" ");
    const cards = COLUMNS.flatMap((status) => state.data[status].chats);
    const card = cards.find((one) => one.chat.key === key && one.session_id === session);
    if (card) shift(card, to);
  };
  const filter = (name) => (event) => setFilters((old) => ({ ...old, [name]: event.target.value.trim() }));
  return html`<${Page} title=${t("Board")} actions=${html`
      <input aria-label=${t("Session")} placeholder=${t("Session")} size="10" onChange=${filter("session_id")} />
      <input aria-label=${t("Owner")} placeholder=${t("Owner")} size="10" value=${filters.owner_id} onChange=${filter("owner_id")} />
      <button aria-pressed=${filters.owner_id === me} onClick=${() => setFilters((old) => ({ ...old, owner_id: old.owner_id === me ? "" : me }))}>${t("Mine")}</button>`}>
    <${Loading} state=${state}>
      <div class="board">${COLUMNS.map((status) => html`<section key=${status} class="column ${over === status ? "over" : ""}" aria-label=${t(TITLES[status])}
          onDragOver=${(event) => { if (moves) { event.preventDefault(); setOver(status); } }} onDragLeave=${() => setOver(null)} onDrop=${dropped(status)}>
        <h2>${t(TITLES[status])} <span class="count">${state.data?.[status].chats.length}${state.data?.[status].cursor ? "+" : ""}</span></h2>
        <ul>${(state.data?.[status].chats || []).map((card) => html`<${Card} key=${card.session_id + card.chat.key} card=${card} now=${now} moves=${moves} onMove=${(to) => shift(card, to)} />`)}</ul>
        ${state.data?.[status].chats.length === 0 && html`<p class="empty">${t("Nothing here.")}</p>`}
      </section>`)}</div>
    <//>
  <//>`;
}

function Card({ card, now, moves, onMove }) {
  const start = (event) => {
    event.dataTransfer.setData("text/plain", `${card.chat.key} ${card.session_id}`);
    event.dataTransfer.effectAllowed = "move";
  };
  const href = `/dashboard/chat/${encodeURIComponent(card.session_id)}/${encodeURIComponent(card.chat.key)}`;
  return html`<li class="card" draggable=${moves} onDragStart=${start}>
    <a href=${href} class="card-name">${called(card.chat, card.name)}</a>
    ${card.unread > 0 && html`<span class="unread" aria-label=${t("{count} unread", { count: card.unread })}>${card.unread}</span>`}
    <p class="dim">${card.session_id}${card.owner_id ? ` · ${card.owner_id}` : ""}${card.last_message_at ? html` · <time datetime=${card.last_message_at}>${ago(card.last_message_at, now)}</time>` : ""}</p>
    ${moves && html`<div class="actions">
      ${card.status !== "active" && html`<button onClick=${() => onMove("active")}>${t("Take")}</button>`}
      ${card.status === "active" && html`<button onClick=${() => onMove("new")}>${t("Give back")}</button>`}
      ${card.status !== "done" ? html`<button onClick=${() => onMove("done")}>${t("Done")}</button>` : html`<button onClick=${() => onMove("new")}>${t("Reopen")}</button>`}
    </div>`}
  </li>`;
}
