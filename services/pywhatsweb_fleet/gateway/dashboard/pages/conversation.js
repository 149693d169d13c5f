// One chat: what was said, how far it came, the card beside it, and the answer.
import { ask, post } from "../api.js";
import { t } from "../i18n.js";
import { useKeys } from "../keys.js";
import { TemplatePicker } from "./templates.js";
import {
  attempt, Badge, called, html, Loading, notice, numberOf, Page, Time, useEffect, useEvents, useLoad, useRef, useSettled, useState,
} from "../ui.js";

const TICKS = { accepted: "…", queued: "…", sent: "✓", delivered: "✓✓", read: "✓✓", played: "✓✓", failed: "!", rejected: "!", expired: "!", unknown: "?" };
export const MOST_BYTES = 512 * 1024;
const EMOJI = ["👍", "❤️", "😂", "😮", "😢", "🙏"];
const TYPING_MS = 8000;
const command = (session, verb, body) => post(`/v1/sessions/${encodeURIComponent(session)}/${verb === "send" ? "messages" : `commands/${verb}`}`, body);
/** A card of all the numbers of an inbox shows what was said to each of them. */
const said = (card, { chat, session_id }, more = {}) => ask("chat.messages", { chat, ...(card.inbox_id ? {} : { session_id }), limit: 50, ...more });

export function Conversation({ who, can, rest }) {
  const [session, key] = rest;
  const place = { session_id: session, chat: key };
  const [older, setOlder] = useState([]);
  const [cursor, setCursor] = useState(undefined);
  const state = useLoad(async () => {
    const card = await ask("chat.card", place);
    const [page, history] = await Promise.all([said(card, place), ask("chat.history", { ...place, limit: 30 })]);
    return { card, page, history };
  }, [session, key]);
  const inbox = state.data?.card.inbox_id;
  const ours = (event) => inbox || event.session_id === session;
  const settle = useSettled(state.again, 150);
  const [pending, setPending] = useState([]);
  const accepted = (one) => { setPending((old) => [...old, one]); settle(); };
  useEvents(["status"], (event) => {
    const { command_id: id, status, error } = event.data;
    setPending((old) => old.map((one) => (one.command_id === id ? { ...one, status, problem: error?.message } : one)));
  });
  useEvents(["message", "status", "chat", "reaction", "edit", "delete", "pin", "poll_vote", "media"], (event) => {
    if (ours(event) && (event.data.chat?.key === key || event.event === "status" || event.event === "media")) settle();
  }, [session, key, inbox]);
  const [reactions, setReactions] = useState({});
  const [typing, setTyping] = useState(false);
  const [answered, setAnswered] = useState(null);
  const hushed = useRef(null);
  useEvents(["reaction", "presence"], (event) => {
    if (!ours(event) || event.data.chat?.key !== key) return;
    if (event.event === "reaction") {
      const { message_id: id, emoji, from_self: own } = event.data;
      setReactions((old) => ({ ...old, [id]: { ...old[id], [own ? "own" : event.data.from.pn || event.data.from.lid]: emoji } }));
      return;
    }
    setTyping(["composing", "recording"].includes(event.data.state));
    clearTimeout(hushed.current);
    hushed.current = setTimeout(() => setTyping(false), 15_000);
  }, [session, key, inbox]);
  useEffect(() => () => clearTimeout(hushed.current), []);
  const react = (one, emoji) => attempt(async () => {
    await command(one.session_id || session, "react", { to: numberOf(one.chat), message_id: one.id, emoji });
    setReactions((old) => ({ ...old, [one.id]: { ...old[one.id], own: emoji } }));
  });
  const list = useRef(null);
  const messages = [...(state.data?.page.messages || []), ...older];
  const stored = new Set(messages.map((one) => one.command_id));
  const underway = pending.filter((one) => !stored.has(one.command_id));
  const walk = (event) => {
    const items = [...list.current.querySelectorAll(".message")];
    const at = items.indexOf(event.target);
    const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!by || (at < 0 && event.target !== list.current)) return;
    event.preventDefault();
    (at < 0 ? items.at(-1) : items[at + by])?.focus();
  };
  const newest = `${messages[0]?.id} ${underway.length}`;
  useEffect(() => { if (list.current) list.current.scrollTop = list.current.scrollHeight; }, [newest]);
  const next = cursor === undefined ? state.data?.page.cursor : cursor;
  const more = () => attempt(async () => {
    const page = await said(card, place, { cursor: next });
    setOlder((old) => [...old, ...page.messages]);
    setCursor(page.cursor);
  });
  const card = state.data?.card;
  const title = card ? called(card.chat, card.name) : t("Conversation");
  return html`<${Page} title=${title} actions=${card && html`<${Badge} word=${card.status} />`}>
    <${Loading} state=${state}>
      <div class="conversation">
        <div class="talk">
          <ol class="messages" ref=${list} tabindex="0" onKeyDown=${walk} aria-label=${t("Messages")} aria-live="polite">
            ${next && html`<li class="more"><button onClick=${more}>${t("Older messages")}</button></li>`}
            ${[...messages].reverse().concat(underway).map((one) => html`<${Message} key=${one.id} one=${one} all=${messages} reactions=${facesOf(one, reactions[one.id])} acts=${can("send") && one.chat && !one.deleted_at} onAnswer=${setAnswered} onReact=${react} group=${card?.chat.group} />`)}
          </ol>
          ${typing && html`<p class="typing dim" role="status">${t("typing…")}</p>`}
          ${can("send") && card && html`<${Answer} card=${card} session=${session} me=${who.user} answered=${answered} onAnswered=${setAnswered} onSent=${accepted} />`}
        </div>
        ${card && html`<${Aside} card=${card} history=${state.data.history.changes} place=${place} moves=${can("board")} me=${who.user || "dashboard"} onMoved=${settle} />`}
      </div>
    <//>
  <//>`;
}

/** Who has set which face: as the record has it, and what came since. */
const facesOf = (one, since) => ({ ...Object.fromEntries((one.reactions || []).map((each) => [each.from_self ? "own" : each.from.pn || each.from.lid, each.emoji])), ...since });
const pinned = (one) => one.pinned_at && !(new Date(one.pinned_until || "9999") < new Date());
const wordsOf = (one) => one[one.type]?.body || one[one.type]?.caption || t(one.type);

function Message({ one, all, group, reactions, acts, onAnswer, onReact }) {
  const own = one.origin === "outbound";
  const quoted = one.context?.message_id && all.find((each) => each.id === one.context.message_id);
  const faces = Object.values(reactions).filter(Boolean);
  const press = (event) => {
    if (!acts || event.target !== event.currentTarget) return;
    if (event.key === "Enter") { event.preventDefault(); onAnswer(one); }
    if (event.key === "e") { const menu = event.currentTarget.querySelector("details"); menu.open = true; menu.querySelector(".faces-menu button").focus(); }
  };
  return html`<li class="message ${own ? "own" : ""}" tabindex="-1" onKeyDown=${press}>
    ${group && !own && html`<strong class="from">${one.from.name || one.from.pn || one.from.lid}</strong>`}
    ${one.context?.message_id && html`<p class="quote dim">${quoted ? wordsOf(quoted).slice(0, 120) : t("In answer to a message")}</p>`}
    <${Content} one=${one} />
    <p class="meta dim">${pinned(one) && html`<span>📌 ${t("pinned")} </span>`}${one.edited_at && html`<span>${t("edited")} </span>`}<${Time} at=${one.sent_at} only="clock" />
      ${own && one.status && html` <span class="tick ${one.status}" title=${t(one.status)} aria-label=${t(one.status)}>${TICKS[one.status] || ""}</span>`}</p>
    ${faces.length > 0 && html`<p class="faces" aria-label=${t("Reactions")}>${faces.join(" ")}</p>`}
    ${one.problem && html`<p class="bad-text">${one.problem}</p>`}
    ${acts && html`<div class="acts">
      <button class="plain" aria-label=${t("Answer this message")} title=${t("Answer this message")} onClick=${() => onAnswer(one)}>↩</button>
      <details><summary class="plain" aria-label=${t("React")} title=${t("React")}>☺</summary><span class="faces-menu">
        ${EMOJI.map((face) => html`<button class="plain" aria-label=${face} onClick=${(event) => { event.target.closest("details").open = false; onReact(one, reactions.own === face ? "" : face); }}>${face}</button>`)}</span></details>
    </div>`}
  </li>`;
}

function Content({ one }) {
  const body = one[one.type] || {};
  if (one.deleted_at) return html`<p class="dim"><em>${t("Deleted for all")}</em></p>`;
  if (one.type === "text") return html`<p class="text">${body.body}</p>`;
  if (one.type === "location" || one.type === "live_location") {
    return html`<p>📍 ${body.name || ""} ${body.latitude?.toFixed(5)}, ${body.longitude?.toFixed(5)}</p>`;
  }
  if (one.type === "contacts") return html`<p>👤 ${body.map?.((card) => card.name.formatted_name).join(", ")}</p>`;
  if (one.type === "poll") return html`<p>📊 <strong>${body.name}</strong></p><ul>${(body.options || []).map((text) => html`<li>${text} <span class="dim">${(one.votes || []).filter((each) => each.options.includes(text)).length}</span></li>`)}</ul>`;
  if (one.media || ["image", "video", "audio", "voice", "document", "sticker"].includes(one.type)) return html`<${Media} one=${one} body=${body} />`;
  return html`<p class="dim">${t("A message of type {type}", { type: t(one.type) })}</p>`;
}

function Media({ one, body }) {
  const file = one.media || {};
  const address = file.id && `/v1/media/${encodeURIComponent(file.id)}`;
  const caption = body.caption && html`<p class="text">${body.caption}</p>`;
  if (!address) return html`<p>${t(one.type)} <span class="dim">${file.filename || file.mime_type || ""}</span></p>${caption}`;
  if (one.type === "image" || one.type === "sticker") return html`<img class="media" src=${address} alt=${body.caption || t(one.type)} loading="lazy" />${caption}`;
  if (one.type === "video") return html`<video class="media" src=${address} controls preload="none"></video>${caption}`;
  if (one.type === "audio" || one.type === "voice") return html`<audio src=${address} controls preload="none"></audio>`;
  return html`<p><a href=${address} download=${file.filename || ""}>${file.filename || t(one.type)}</a></p>${caption}`;
}

export const kindOf = (mime) => (/^image\/(jpeg|png|webp)$/.test(mime) ? "image" : /^video\//.test(mime) ? "video" : /^audio\//.test(mime) ? "audio" : "document");

export function base64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result).split(",")[1] || "");
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}

function Answer({ card, session, me, answered, onAnswered, onSent }) {
  const [text, setText] = useState("");
  const [picking, setPicking] = useState(false);
  const told = useRef(0);
  const box = useRef(null);
  useEffect(() => { if (answered) box.current.focus(); }, [answered]);
  useKeys({ c: () => box.current.focus() });
  const show = (state) => command(answered?.session_id || session, "presence", { state, to: numberOf(card.chat) }).catch(() => {});
  const write = (event) => {
    setText(event.target.value);
    if (Date.now() - told.current > TYPING_MS) { told.current = Date.now(); show("composing"); }
  };
  const underway = (done, { type, context }, content, media) => onSent({ id: done.id, command_id: done.id, origin: "outbound", status: "accepted", sent_at: new Date().toISOString(), type, [type]: content, context, media });
  // An answer to a message goes to the number that it was written to, anything else where the inbox sends it.
  const to = answered?.session_id || card.inbox_id || session;
  const template = (chosen, words) => attempt(async () => {
    const sent = { to: numberOf(card.chat), type: "template", template: chosen, metadata: me ? { attendant_id: me } : {} };
    underway(await command(to, "send", sent), { type: "text" }, { body: words });
    setPicking(false);
  });
  const [file, setFile] = useState(null);
  const [busy, setBusy] = useState(false);
  const picker = useRef(null);
  const send = async () => {
    if (busy || (!text.trim() && !file)) return;
    setBusy(true);
    const well = await attempt(async () => {
      const sent = { to: numberOf(card.chat), metadata: me ? { attendant_id: me } : {} };
      if (answered) sent.context = { message_id: answered.id };
      if (file) {
        sent.type = kindOf(file.type);
        const content = { data: await base64(file), mime_type: file.type || "application/octet-stream" };
        if (text.trim() && sent.type !== "audio") content.caption = text.trim();
        if (sent.type === "document") content.filename = file.name;
        sent[sent.type] = content;
      } else {
        Object.assign(sent, { type: "text", text: { body: text } });
      }
      const done = await command(to, "send", sent);
      const { data, ...content } = sent[sent.type];
      underway(done, sent, content, file && { filename: file.name, mime_type: file.type });
    });
    setBusy(false);
    told.current = 0;
    if (well) { setText(""); setFile(null); onAnswered(null); }
  };
  const pick = (event) => {
    const found = event.target.files[0];
    if (found && found.size > MOST_BYTES) notice(t("At most {size} KB from here.", { size: MOST_BYTES / 1024 }), "bad");
    else setFile(found || null);
    event.target.value = "";
  };
  const key = (event) => {
    if (event.key === "Escape" && answered) onAnswered(null);
    else if (event.key === "Escape") box.current.closest(".talk").querySelector(".messages").focus();
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); send(); }
  };
  return html`<form class="answer" onSubmit=${(event) => { event.preventDefault(); send(); }}>
    ${answered && html`<p class="attached quote">${wordsOf(answered).slice(0, 120)} <button type="button" class="plain" aria-label=${t("Answer no message")} onClick=${() => onAnswered(null)}>×</button></p>`}
    ${file && html`<p class="attached">${file.name} <button type="button" class="plain" aria-label=${t("Take away")} onClick=${() => setFile(null)}>×</button></p>`}
    <input ref=${picker} type="file" hidden onChange=${pick} />
    <button type="button" aria-label=${t("Attach a file")} onClick=${() => picker.current.click()}><svg viewBox="0 0 16 16" width="18" height="18" aria-hidden="true"><path d="M13 7.5 7.8 12.7a3 3 0 0 1-4.3-4.3l5.7-5.6a2 2 0 0 1 2.8 2.8l-5.4 5.4a.9.9 0 0 1-1.3-1.3L10 5" fill="none" stroke="currentColor" stroke-width="1.4" stroke-linecap="round"/></svg></button>
    <button type="button" aria-label=${t("Send a template")} title=${t("Send a template")} onClick=${() => setPicking(true)}>¶</button>
    <textarea ref=${box} rows="2" aria-label=${t("Message")} placeholder=${t("Write a message. Enter sends, Shift+Enter breaks the line.")} value=${text} onInput=${write} onBlur=${() => { if (told.current) { told.current = 0; show("paused"); } }} onKeyDown=${key}></textarea>
    <button class="primary" disabled=${busy}>${t("Send")}</button>
  </form>${picking && html`<${TemplatePicker} onPick=${template} onClose=${() => setPicking(false)} />`}`;
}

function Aside({ card, history, place, moves, me, onMoved }) {
  const act = (verb, args = {}) => async () => { if (await attempt(() => ask(`chat.${verb}`, { ...place, ...args }))) onMoved(); };
  const note = async (event) => {
    event.preventDefault();
    const text = new FormData(event.target).get("text").trim();
    const form = event.target;
    if (text && (await attempt(() => ask("chat.note", { ...place, text })))) { form.reset(); onMoved(); }
  };
  const taken = card.status !== "done" && card.owner_id === me;
  useKeys(moves ? {
    t: taken ? () => false : act("assign", { owner_id: me }),
    d: card.status === "done" ? () => false : act("done"),
    r: card.status === "done" ? act("reopen") : card.status === "active" ? act("release") : () => false,
  } : {});
  const due = Object.entries(card.due || {});
  return html`<aside class="panel" aria-label=${t("Card")}>
    <dl>
      <dt>${t("Number")}</dt><dd>${card.chat.pn || card.chat.lid || card.chat.group}</dd>
      <dt>${t("Session")}</dt><dd>${card.session_id}</dd>
      ${card.inbox_id && html`<dt>${t("Inbox")}</dt><dd>${card.inbox_id}</dd>`}
      <dt>${t("Owner")}</dt><dd>${card.owner_id || "–"}</dd>
      <dt>${t("Priority")}</dt><dd>${moves
        ? html`<select aria-label=${t("Priority")} onChange=${(event) => act("tag", { priority: event.target.value })()}>${["low", "normal", "high", "urgent"].map((name) => html`<option value=${name} selected=${card.priority === name}>${t(name)}</option>`)}</select>`
        : t(card.priority)}</dd>
      ${card.tags.length > 0 && html`<dt>${t("Tags")}</dt><dd>${card.tags.map((tag) => html`<span class="badge quiet">${tag}</span> `)}</dd>`}
      ${due.map(([name, at]) => html`<dt>${t(name)}</dt><dd class=${card.is_taking_too_long ? "bad-text" : ""}><${Time} at=${at} /></dd>`)}
    </dl>
    ${moves && html`<div class="actions">
      ${card.status !== "done" && card.owner_id !== me && html`<button onClick=${act("assign", { owner_id: me })}>${t("Take")}</button>`}
      ${card.status === "active" && html`<button onClick=${act("release")}>${t("Give back")}</button>`}
      ${card.status === "done" ? html`<button onClick=${act("reopen")}>${t("Reopen")}</button>` : html`<button class="primary" onClick=${act("done")}>${t("Done")}</button>`}
    </div>`}
    <h2>${t("Notes")}</h2>
    <ul class="notes">${card.notes.map((one) => html`<li><p class="text">${one.text}</p><p class="dim">${one.by || ""} <${Time} at=${one.at} /></p></li>`)}</ul>
    ${moves && html`<form class="note" onSubmit=${note}><input name="text" maxlength="1000" aria-label=${t("Note")} placeholder=${t("A note for the team")} /><button>${t("Add")}</button></form>`}
    <details><summary>${t("History")}</summary><ul class="notes">${history.map((one) => html`<li key=${one.version}>${t(one.change)} <span class="dim">${one.by || ""} <${Time} at=${one.at} /></span></li>`)}</ul></details>
  </aside>`;
}
