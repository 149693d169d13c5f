// Kanban: who has to answer whom. Cards move by dragging, by their buttons and by keys.
import { ask } from "../api.js";
import { t } from "../i18n.js";
import { useKeys } from "../keys.js";
import {
  ago, attempt, called, html, Loading, notice, Page, useEffect, useEvents, useLoad, useNow, useRef, useSettled, useState,
} from "../ui.js";

const COLUMNS = ["new", "active", "done"];
const TITLES = { new: "Waiting", active: "In progress", done: "Done" };
const MOST = 100;

async function load(filters) {
  const args = Object.fromEntries(Object.entries(filters).filter(([, value]) => value));
  const pages = await Promise.all(COLUMNS.map((status) => ask("chat.list", { ...args, status, limit: MOST })));
  return Object.fromEntries(COLUMNS.map((status, at) => [status, pages[at]]));
}

/** What brings a card into a column. */
async function move(card, to, who) {
  const chat = { chat: card.chat.key, session_id: card.session_id };
  if (to === "done") return ask("chat.done", chat);
  if (to === "new" && card.status === "active") return ask("chat.release", chat);
  if (card.status === "done") await ask("chat.reopen", chat);
  return to === "active" ? ask("chat.assign", { ...chat, owner_id: card.owner_id || who }) : null;
}

const nameOf = (card) => `${card.session_id} ${card.chat.key}`;

/** The cards' links as they stand, a list a column. */
const standing = (board) => COLUMNS.map((status) => [...board.querySelectorAll(`[data-column="${status}"] .card-name`)]);

const focused = () => document.activeElement?.closest(".card")?.querySelector(".card-name");

/** The neighbour of the card with the focus, or the first card. */
function neighbour(board, sideways, by) {
  const columns = standing(board);
  const at = columns.findIndex((column) => column.includes(focused()));
  if (at < 0) return columns.flat()[0];
  const row = columns[at].indexOf(focused());
  if (!sideways) return columns[at][row + by];
  const beside = (by > 0 ? columns.slice(at + 1) : columns.slice(0, at).reverse()).find((column) => column.length > 0);
  return beside?.[Math.min(row, beside.length - 1)];
}

function step(board, sideways, by) {
  const to = neighbour(board, sideways, by);
  to?.focus();
  return to !== undefined;
}

/** Keys for the card that has the focus; a card that was moved keeps it. */
function useCardKeys(board, cards, moves, shift) {
  const moved = useRef(null);
  useEffect(() => {
    const was = moved.current;
    const link = was && board.current?.querySelector(`[data-card="${CSS.escape(was.name)}"]`);
    if (!link || link.closest(".column").dataset.column === was.from) return;
    if (document.activeElement === document.body) link.focus();
    moved.current = null;
  });
  const bring = (to) => {
    const name = focused()?.dataset.card;
    const card = cards.find((one) => nameOf(one) === name);
    const where = card && to(card);
    if (!moves || !where || where === card.status) return false;
    moved.current = { name, from: card.status };
    shift(card, where).then((well) => { if (well) notice(`${called(card.chat, card.name)}: ${t(TITLES[where])}`); else moved.current = null; });
    return true;
  };
  const sideways = (by) => (event) => (event.shiftKey ? bring((card) => COLUMNS[COLUMNS.indexOf(card.status) + by]) : step(board.current, true, by));
  useKeys({
    ArrowUp: () => step(board.current, false, -1), ArrowDown: () => step(board.current, false, 1),
    ArrowLeft: sideways(-1), ArrowRight: sideways(1),
    t: () => bring(() => "active"), d: () => bring(() => "done"), r: () => bring(() => "new"),
  });
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
    const well = card.status !== to && (await attempt(() => move(card, to, me)));
    if (well) settle();
    return well;
  };
  const board = useRef(null);
  useCardKeys(board, COLUMNS.flatMap((status) => state.data?.[status].chats || []), moves, shift);
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
      <div class="board" ref=${board}>${COLUMNS.map((status) => html`<section key=${status} class="column ${over === status ? "over" : ""}" aria-label=${t(TITLES[status])} data-column=${status}
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
    <a href=${href} class="card-name" data-card=${nameOf(card)}>${called(card.chat, card.name)}</a>
    ${card.unread > 0 && html`<span class="unread" aria-label=${t("{count} unread", { count: card.unread })}>${card.unread}</span>`}
    <p class="dim">${card.inbox_id || card.session_id}${card.owner_id ? ` · ${card.owner_id}` : ""}${card.last_message_at ? html` · <time datetime=${card.last_message_at}>${ago(card.last_message_at, now)}</time>` : ""}</p>
    ${moves && html`<div class="actions">
      ${card.status !== "active" && html`<button onClick=${() => onMove("active")}>${t("Take")}</button>`}
      ${card.status === "active" && html`<button onClick=${() => onMove("new")}>${t("Give back")}</button>`}
      ${card.status !== "done" ? html`<button onClick=${() => onMove("done")}>${t("Done")}</button>` : html`<button onClick=${() => onMove("new")}>${t("Reopen")}</button>`}
    </div>`}
  </li>`;
}
