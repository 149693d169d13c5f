// The local WhatsApp beside this fleet: its phones, and the chats with them as their contacts see it.
import { ask, get, post, remove } from "../api.js";
import { t } from "../i18n.js";
import { base64, kindOf, MOST_BYTES } from "./conversation.js";
import {
  attempt, Field, Form, html, Loading, notice, Page, Time, useEffect, useEvents, useLoad, useRef, useSettled, useState,
} from "../ui.js";

const WAITING = ["SCAN_QR_CODE", "PAIRING_CODE"];
const EMOJI = ["👍", "❤️", "😂", "🙏"];
const TICKS = { sent: "✓", delivered: "✓✓", read: "✓✓" };
const TYPING_MS = 5000;
const path = (...parts) => ["/v1/sandbox", ...parts.map(encodeURIComponent)].join("/");
const digits = (text) => text.replace(/\D/g, "");
/** A contact's own name, or its number. */
const named = (one) => (one.name && one.name !== `+${one.number}` ? one.name : `+${one.number}`);

export function Sandbox({ rest, go }) {
  const state = useLoad(async () => {
    const [bench, all] = await Promise.all([get("/v1/sandbox"), get("/v1/sessions")]);
    return { ...bench, waiting: all.sessions.filter((one) => WAITING.includes(one.status)) };
  });
  const settle = useSettled(state.again);
  useEvents(["session", "qr", "pairing_code"], settle);
  const phones = state.data?.phones || [];
  const phone = phones.find((one) => one.number === rest[0]) || phones[0];
  return html`<${Page} title=${t("Sandbox")}>
    <p class="dim">${t("A WhatsApp of your own: nothing here leaves this machine.")}</p>
    <${Loading} state=${state}>
      <div class="sandbox">
        <div class="stack">
          <${Phones} phones=${phones} chosen=${phone} waiting=${state.data?.waiting || []} onChanged=${settle} />
          ${phone && html`<${Chats} key=${phone.number} phone=${phone} contact=${rest[1]} go=${go} />`}
        </div>
        ${phone && rest[1] ? html`<${Chat} key=${phone.number + rest[1]} phone=${phone} number=${rest[1]} />` : html`<p class="panel empty">${t("Choose a contact, or add one.")}</p>`}
        ${phone && html`<${Faults} phone=${phone} bench=${state.data} onChanged=${state.again} />`}
      </div>
    <//>
  <//>`;
}

function Phones({ phones, chosen, waiting, onChanged }) {
  const unlink = (phone, device) => async () => {
    if (await attempt(() => post(path("phones", phone.number, "unlink"), { device }))) onChanged();
  };
  return html`<section class="panel" aria-label=${t("Phones")}><h2>${t("Phones")}</h2>
    <ul class="notes">${phones.map((phone) => html`<li key=${phone.number}>
      <a href=${`/dashboard/sandbox/${phone.number}`} aria-current=${phone === chosen ? "true" : undefined}>+${phone.number}</a> <span class="dim">${phone.sessions.join(", ")}</span>
      ${phone.devices.map((one) => html`<div class="actions" key=${one.device}><span><span class="dot ${one.connected ? "good" : ""}"></span>${one.connected ? t("connected") : t("not connected")}${one.waiting > 0 ? ` · ${t("{count} waiting", { count: one.waiting })}` : ""}</span>
        <button onClick=${unlink(phone, one.device)}>${t("Unlink")}</button></div>`)}
    </li>`)}</ul>
    ${phones.length === 0 && html`<p class="dim">${t("No phone has a session of yours yet.")}</p>`}
    <details open=${phones.length === 0}><summary>${t("Link a phone")}</summary><${LinkPhone} waiting=${waiting} onChanged=${onChanged} /></details>
  </section>`;
}

/** What a phone's user does: scan the code that a session shows, or type the one that it tells. */
function LinkPhone({ waiting, onChanged }) {
  const codes = waiting.filter((one) => one.status === "SCAN_QR_CODE");
  const [chosen, choose] = useState(null);
  const session = chosen ?? codes[0]?.session_id ?? "";
  const submit = async (fields, form) => {
    const link = async () => {
      const body = session ? { qr: (await ask("session.qr", { session_id: session })).code } : { code: fields.code.trim() };
      await post(path("phones", digits(fields.number), "link"), body);
    };
    if (await attempt(link, t("Linked."))) { form.reset(); onChanged(); }
  };
  return html`<${Form} onSubmit=${submit} button=${session ? t("Scan") : t("Type the code")}>
    <${Field} label=${t("The phone's number")}><input name="number" type="tel" required placeholder="+55 11 99999-0001" /><//>
    <${Field} label=${t("How to link")} hint=${codes.length === 0 && t("No session shows a QR code now.")}><select onChange=${(event) => choose(event.target.value)}>
      ${codes.map((one) => html`<option key=${one.session_id} value=${one.session_id} selected=${one.session_id === session}>${t("Scan the code of {name}", { name: one.session_id })}</option>`)}
      <option value="" selected=${session === ""}>${t("Type a pairing code")}</option></select><//>
    ${session === "" && html`<${Field} label=${t("Pairing code")}><input name="code" required maxlength="9" autocomplete="off" /><//>`}
  <//>`;
}

function Chats({ phone, contact, go }) {
  const state = useLoad(() => get(path("phones", phone.number, "chats")), [phone.number]);
  const settle = useSettled(state.again);
  useEvents(["message"], (event) => { if (phone.sessions.includes(event.session_id)) settle(); }, [phone]);
  const add = async (fields, form) => {
    const number = digits(fields.number);
    const body = fields.name.trim() ? { name: fields.name.trim() } : {};
    if (await attempt(() => post(path("contacts", number), body))) { form.reset(); go(`sandbox/${phone.number}/${number}`); }
  };
  return html`<section class="panel" aria-label=${t("Contacts")}><h2>${t("Contacts")}</h2>
    <${Loading} state=${state}>
      <ul class="notes">${(state.data?.chats || []).map((one) => html`<li key=${one.number}><a href=${`/dashboard/sandbox/${phone.number}/${one.number}`} aria-current=${one.number === contact ? "true" : undefined}>${named(one)}</a> <span class="dim"><${Time} at=${one.at} /></span></li>`)}</ul>
    <//>
    <details open=${state.data?.chats.length === 0}><summary>${t("Add a contact")}</summary>
      <${Form} onSubmit=${add} button=${t("Add")}>
        <${Field} label=${t("Number")}><input name="number" type="tel" required placeholder="+55 11 98888-0001" /><//>
        <${Field} label=${t("Name")}><input name="name" maxlength="100" /><//>
      <//></details>
  </section>`;
}

/** A chat on the contact's phone: what it wrote stands on the right. */
function Chat({ phone, number }) {
  const state = useLoad(() => get(path("phones", phone.number, "chats", number)), [phone.number, number]);
  const settle = useSettled(state.again, 150);
  const ours = (event) => { if (phone.sessions.includes(event.session_id)) settle(); };
  useEvents(["message", "status", "reaction", "edit", "delete"], ours, [phone]);
  const [answered, setAnswered] = useState(null);
  const say = (body) => attempt(async () => { await post(path("phones", phone.number, "chats", number, "messages"), body); settle(); });
  const messages = state.data?.messages || [];
  const list = useRef(null);
  useEffect(() => { if (list.current) list.current.scrollTop = list.current.scrollHeight; }, [messages.length]);
  const contact = state.data?.contact;
  return html`<section class="talk" aria-label=${t("Chat")}>
    <header class="whose"><strong>${contact ? named(contact) : `+${number}`}</strong> <span class="dim">${t("to {number}", { number: `+${phone.number}` })}</span>
      ${contact && html`<${Manners} contact=${contact} onChanged=${state.again} />`}</header>
    <${Loading} state=${state}>
      <ol class="messages" ref=${list} tabindex="0" aria-label=${t("Messages")} aria-live="polite">
        ${messages.map((one) => html`<${Bubble} key=${one.id} one=${one} all=${messages} onAnswer=${() => setAnswered(one)} onReact=${(reaction) => say({ type: "reaction", quoted_id: one.id, reaction })} />`)}
      </ol>
      <${Writing} phone=${phone} number=${number} answered=${answered} onAnswered=${setAnswered} onSay=${say} />
    <//>
  </section>`;
}

const wordsOf = (one) => one.text || t(one.type);

function Bubble({ one, all, onAnswer, onReact }) {
  const quoted = one.quoted && all.find((each) => each.id === one.quoted);
  const faces = Object.values(one.reactions).filter(Boolean);
  return html`<li class="message ${one.own ? "own" : ""}">
    ${one.quoted && html`<p class="quote dim">${quoted ? wordsOf(quoted).slice(0, 120) : t("In answer to a message")}</p>`}
    ${one.deleted ? html`<p class="dim"><em>${t("Deleted for all")}</em></p>`
      : one.type === "undecrypted" ? html`<p class="dim"><em>${t("Waiting for this message…")}</em></p>`
      : one.type === "text" ? html`<p class="text">${one.text}</p>`
      : html`<p><span class="badge quiet">${t(one.type)}</span> ${one.text}${one.media?.size ? html` <span class="dim">${Math.ceil(one.media.size / 1024)} KB</span>` : ""}</p>`}
    <p class="meta dim">${one.edited && html`<span>${t("edited")} </span>`}<${Time} at=${one.at} only="clock" />
      ${one.status && html` <span class="tick ${one.status}" title=${t(one.status)} aria-label=${t(one.status)}>${TICKS[one.status]}</span>`}</p>
    ${faces.length > 0 && html`<p class="faces" aria-label=${t("Reactions")}>${faces.join(" ")}</p>`}
    ${!one.deleted && html`<div class="acts">
      <button class="plain" aria-label=${t("Answer this message")} title=${t("Answer this message")} onClick=${onAnswer}>↩</button>
      ${!one.own && html`<details><summary class="plain" aria-label=${t("React")} title=${t("React")}>☺</summary><span class="faces-menu">
        ${EMOJI.map((face) => html`<button class="plain" key=${face} aria-label=${face} onClick=${(event) => { event.target.closest("details").open = false; onReact(one.reactions.contact === face ? "" : face); }}>${face}</button>`)}</span></details>`}
    </div>`}
  </li>`;
}

function Writing({ phone, number, answered, onAnswered, onSay }) {
  const [text, setText] = useState("");
  const [file, setFile] = useState(null);
  const picker = useRef(null);
  const box = useRef(null);
  const told = useRef(0);
  useEffect(() => { if (answered) box.current.focus(); }, [answered]);
  const write = (event) => {
    setText(event.target.value);
    if (Date.now() - told.current < TYPING_MS) return;
    told.current = Date.now();
    post(path("phones", phone.number, "chats", number, "presence"), { state: "composing" }).catch(() => {});
  };
  const send = async (event) => {
    event.preventDefault();
    if (!text.trim() && !file) return;
    const body = file
      ? { type: kindOf(file.type), data: await base64(file), mime_type: file.type || undefined, filename: file.name, text: text.trim() || undefined }
      : { type: "text", text };
    if (answered) body.quoted_id = answered.id;
    if (await onSay(body)) { setText(""); setFile(null); onAnswered(null); told.current = 0; }
  };
  const pick = (event) => {
    const found = event.target.files[0];
    if (found && found.size > MOST_BYTES) notice(t("At most {size} KB from here.", { size: MOST_BYTES / 1024 }), "bad");
    else setFile(found || null);
    event.target.value = "";
  };
  return html`<form class="answer" onSubmit=${send}>
    ${answered && html`<p class="attached quote">${wordsOf(answered).slice(0, 120)} <button type="button" class="plain" aria-label=${t("Answer no message")} onClick=${() => onAnswered(null)}>×</button></p>`}
    ${file && html`<p class="attached">${file.name} <button type="button" class="plain" aria-label=${t("Take away")} onClick=${() => setFile(null)}>×</button></p>`}
    <input ref=${picker} type="file" hidden onChange=${pick} />
    <button type="button" onClick=${() => picker.current.click()}>${t("File")}</button>
    <input ref=${box} class="grow" aria-label=${t("Write as this contact")} placeholder=${t("Write as this contact")} autocomplete="off" value=${text} onInput=${write} />
    <button class="primary">${t("Send")}</button>
  </form>`;
}

/** What the contact's phone does by itself. */
function Manners({ contact, onChanged }) {
  const { behaviour } = contact;
  const set = (change) => attempt(async () => { await post(path("contacts", contact.number), change); await onChanged(); });
  const flags = [["deliver", "Phone is on"], ["read", "Reads at once"], ["registered", "Is on WhatsApp"]];
  return html`<div class="actions">
    ${flags.map(([name, label]) => html`<label key=${name} class="check"><input type="checkbox" checked=${behaviour[name]} onChange=${(event) => set({ [name]: event.target.checked })} /> ${t(label)}</label>`)}
    <label class="check"><input type="checkbox" checked=${behaviour.reply !== null} onChange=${(event) => set({ reply: event.target.checked ? "echo" : null })} /> ${t("Echoes")}</label>
  </div>`;
}

function Faults({ phone, bench, onChanged }) {
  const submit = async (fields) => {
    const body = { kind: fields.kind };
    for (const name of ["count", "code", "delay_ms", "seconds"]) if (fields[name]) body[name] = Number(fields[name]);
    if (await attempt(() => post(path("phones", phone.number, "faults"), body), t("It strikes."))) onChanged();
  };
  const clear = async () => { if (await attempt(() => remove(path("phones", phone.number, "faults")))) onChanged(); };
  const own = bench.faults.filter((one) => one.account === phone.number);
  const number = (name, label, more = {}) => html`<${Field} label=${label}><input name=${name} type="number" ...${more} /><//>`;
  return html`<section class="panel" aria-label=${t("Faults")}><h2>${t("Faults")}</h2>
    <p class="dim">${t("They strike +{number} only.", { number: phone.number })}</p>
    ${own.length > 0 && html`<ul class="notes">${own.map((one) => html`<li key=${one.id}><code>${one.kind}</code> ${one.count === null ? "∞" : `× ${one.count}`}</li>`)}</ul>`}
    ${own.length > 0 && html`<button onClick=${clear}>${t("Clear")}</button>`}
    <${Form} onSubmit=${submit} button=${t("Strike")}>
      <${Field} label=${t("Kind")}><select name="kind">${bench.fault_kinds.map((kind) => html`<option key=${kind} value=${kind}>${kind}</option>`)}</select><//>
      ${number("count", t("Times"), { min: 1 })}${number("seconds", t("Seconds"), { min: 0, step: "any" })}
      ${number("delay_ms", t("Delay in milliseconds"), { min: 0 })}${number("code", t("Code"), { min: 100, max: 999 })}
    <//>
  </section>`;
}
