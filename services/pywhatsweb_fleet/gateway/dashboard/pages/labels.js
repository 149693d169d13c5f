// What an account has at WhatsApp itself: the labels of a business, and channels.
import { ask, get, post } from "../api.js";
import { t } from "../i18n.js";
import { attempt, Badge, Dialog, Field, Form, html, Loading, Page, sure, Table, useEvents, useLoad, useSettled, useState } from "../ui.js";

const COLOURS = Array.from({ length: 20 }, (_, at) => at);

export function Labels({ can }) {
  const [session, setSession] = useState("");
  const state = useLoad(async () => (await get("/v1/sessions")).sessions.filter((one) => one.status === "WORKING").map((one) => one.session_id));
  const settle = useSettled(state.again);
  useEvents(["session"], settle);
  const names = state.data || [];
  const chosen = names.includes(session) ? session : names[0];
  return html`<${Page} title=${t("Labels and channels")} actions=${chosen && html`<label>${t("Session")} <select onChange=${(event) => setSession(event.target.value)}>${names.map((name) => html`<option value=${name} selected=${name === chosen}>${name}</option>`)}</select></label>`}>
    <${Loading} state=${state} empty=${names.length === 0 && t("No session works just now: labels and channels are asked of WhatsApp.")}>
      ${chosen && html`<${LabelList} key=${`l ${chosen}`} session=${chosen} can=${can} /><${Channels} key=${`c ${chosen}`} session=${chosen} can=${can} />`}
    <//>
  <//>`;
}

function LabelList({ session, can }) {
  const state = useLoad(() => ask("label.list", { session_id: session }));
  const settle = useSettled(state.again);
  useEvents(["label"], (event) => event.session_id === session && settle());
  const [edited, setEdited] = useState(null);
  const manage = can("manage");
  const save = ({ name, color }) => attempt(async () => {
    await ask("label.put", { session_id: session, name, color: Number(color), ...(edited.label_id ? { label_id: edited.label_id } : {}) });
    setEdited(null);
    settle();
  });
  const drop = (one) => async () => {
    if (sure(t("Delete {name}?", { name: one.name })) && (await attempt(() => ask("label.delete", { session_id: session, label_id: one.label_id })))) settle();
  };
  const rows = (state.data?.labels || []).map((one) => ({
    key: one.label_id,
    cells: [html`<strong>${one.name}</strong>`, String(one.color + 1), manage && html`<div class="actions"><button onClick=${() => setEdited(one)}>${t("Change")}</button><button class="danger" onClick=${drop(one)}>${t("Delete")}</button></div>`],
  }));
  return html`<header class="head"><h2>${t("Labels")}</h2>${manage && html`<button onClick=${() => setEdited({ color: 0 })}>${t("New label")}</button>`}</header>
    <p class="dim">${t("Of a WhatsApp Business account: its own devices see them, nobody else.")}</p>
    <${Loading} state=${state} empty=${rows.length === 0 && t("None.")}><${Table} label=${t("Labels")} columns=${[t("Name"), t("Colour"), ""]} rows=${rows} /><//>
    ${edited && html`<${Dialog} title=${edited.name || t("New label")} onClose=${() => setEdited(null)}><${Form} onSubmit=${save} button=${t("Save")}>
      <${Field} label=${t("Name")}><input name="name" required maxlength="100" value=${edited.name} /><//>
      <${Field} label=${t("Colour")} hint=${t("One of WhatsApp's twenty")}><select name="color">${COLOURS.map((at) => html`<option value=${at} selected=${edited.color === at}>${at + 1}</option>`)}</select><//>
    <//><//>`}`;
}

// WhatsApp tells of a channel that one names, and has no list: those that were looked at here are kept in this browser.
const kept = (session) => JSON.parse(localStorage.getItem(`channels ${session}`) || "[]");
const keep = (session, ids) => localStorage.setItem(`channels ${session}`, JSON.stringify([...new Set(ids)].slice(-50)));

function Channels({ session, can }) {
  const state = useLoad(async () => {
    const found = await Promise.allSettled(kept(session).map((channel) => ask("channel.get", { session_id: session, channel })));
    return found.filter((one) => one.status === "fulfilled").map((one) => one.value);
  });
  const [making, setMaking] = useState(false);
  const [posting, setPosting] = useState(null);
  const manage = can("manage");
  const add = (one) => { keep(session, [...kept(session), one.channel]); state.again(); };
  const find = async ({ channel }, form) => { if (await attempt(async () => add(await ask("channel.get", { session_id: session, channel: channel.trim() })))) form.reset(); };
  const make = ({ name, description }) => attempt(async () => { add(await ask("channel.create", { session_id: session, name, description })); setMaking(false); });
  const act = (verb, one, more = {}) => async () => {
    if (verb === "delete" && !sure(t("Delete {name}?", { name: one.name }))) return;
    if (!(await attempt(() => ask(`channel.${verb}`, { session_id: session, channel: one.channel, ...more })))) return;
    if (verb === "delete") keep(session, kept(session).filter((id) => id !== one.channel));
    state.again();
  };
  const forget = (one) => () => { keep(session, kept(session).filter((id) => id !== one.channel)); state.again(); };
  const say = ({ text }) => attempt(async () => {
    await post(`/v1/sessions/${encodeURIComponent(session)}/messages`, { to: posting.channel, type: "text", text: { body: text } });
    setPosting(null);
  }, t("Accepted."));
  const owns = (one) => one.role === "owner";
  const rows = (state.data || []).map((one) => ({
    key: one.channel,
    cells: [
      html`<strong>${one.name || one.channel}</strong>${one.link && html`<br /><a class="break" href=${one.link} target="_blank" rel="noreferrer">${one.link}</a>`}`,
      html`<${Badge} word=${one.role || "guest"} />`, String(one.subscribers),
      html`<div class="actions">
        ${can("send") && (owns(one) || one.role === "admin") && html`<button onClick=${() => setPosting(one)}>${t("Post")}</button>`}
        ${manage && one.role === "guest" && html`<button onClick=${act("follow", one)}>${t("Follow")}</button>`}
        ${manage && one.role === "subscriber" && html`<button onClick=${act("mute", one, { muted: !one.muted })}>${one.muted ? t("Unmute") : t("Mute")}</button><button onClick=${act("unfollow", one)}>${t("Unfollow")}</button>`}
        ${manage && owns(one) && html`<button class="danger" onClick=${act("delete", one)}>${t("Delete")}</button>`}
        <button onClick=${forget(one)}>${t("Take off this list")}</button></div>`,
    ],
  }));
  return html`<header class="head"><h2>${t("Channels")}</h2>${manage && html`<button onClick=${() => setMaking(true)}>${t("New channel")}</button>`}</header>
    <div class="panel"><${Form} inline onSubmit=${find} button=${t("Look up")}><${Field} label=${t("Link or id of a channel")}><input name="channel" required maxlength="128" autocomplete="off" /><//><//><p class="dim">${t("Those that were looked up stay listed in this browser.")}</p></div>
    <${Loading} state=${state} empty=${rows.length === 0 && t("None looked up yet.")}><${Table} label=${t("Channels")} columns=${[t("Name"), t("Role"), t("Subscribers"), ""]} rows=${rows} /><//>
    ${making && html`<${Dialog} title=${t("New channel")} onClose=${() => setMaking(false)}><${Form} onSubmit=${make} button=${t("Create")}>
      <${Field} label=${t("Name")}><input name="name" required maxlength="100" /><//><${Field} label=${t("Description")}><textarea name="description" rows="3" maxlength="2048"></textarea><//>
    <//><//>`}
    ${posting && html`<${Dialog} title=${posting.name} onClose=${() => setPosting(null)}><${Form} onSubmit=${say} button=${t("Post")}>
      <${Field} label=${t("Text")}><textarea name="text" rows="4" required maxlength="4096"></textarea><//>
    <//><//>`}`;
}
