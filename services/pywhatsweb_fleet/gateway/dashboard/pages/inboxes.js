// Several numbers under one name: who gets whom, and when people go on with another number.
import { ask, get } from "../api.js";
import { t } from "../i18n.js";
import { attempt, Badge, Dialog, Field, Form, html, Loading, Page, sure, Table, Time, useEvents, useLoad, useSettled, useState } from "../ui.js";

const SPREADS = { least_contacts: "The one with the fewest people", first_working: "The first that works" };
const FAILOVERS = { never: "Never", banned: "When it is banned", stopped: "When it is banned, or stopped for a while" };

export function Inboxes({ can }) {
  const state = useLoad(async () => {
    const [found, sessions] = await Promise.all([ask("inbox.list"), get("/v1/sessions")]);
    return { inboxes: found.inboxes, sessions: sessions.sessions };
  });
  const settle = useSettled(state.again);
  useEvents(["session"], settle);
  const [edited, setEdited] = useState(null);
  const manage = can("manage");
  const names = (state.data?.sessions || []).map((one) => one.session_id);
  const status = Object.fromEntries((state.data?.sessions || []).map((one) => [one.session_id, one.status]));
  const save = (fields) => attempt(async () => {
    await ask("inbox.set", {
      inbox_id: fields.inbox_id.startsWith("@") ? fields.inbox_id : `@${fields.inbox_id}`,
      sessions: fields.sessions.split(/[\s,]+/).filter(Boolean),
      spread: fields.spread, failover: fields.failover, cooldown_s: Math.round(Number(fields.minutes) * 60),
    });
    setEdited(null);
    state.again();
  }, t("Saved."));
  const drop = (name) => async () => {
    if (sure(t("Delete {name}? Who belongs to which of its numbers is forgotten.", { name }))) { await attempt(() => ask("inbox.delete", { inbox_id: name })); state.again(); }
  };
  const rows = (state.data?.inboxes || []).map((one) => ({
    key: one.inbox_id,
    cells: [
      html`<strong>${one.inbox_id}</strong>`,
      html`<ul class="plain-list">${one.sessions.map((name) => html`<li>${name} <${Badge} word=${status[name] || "deleted"} /> <span class="dim">${t("People")}: ${one.contacts[name] || 0}</span></li>`)}</ul>`,
      t(SPREADS[one.spread]), t(FAILOVERS[one.failover]), html`<${Time} at=${one.changed_at} />`,
      manage && html`<div class="actions"><button onClick=${() => setEdited(one)}>${t("Change")}</button><button class="danger" onClick=${drop(one.inbox_id)}>${t("Delete")}</button></div>`,
    ],
  }));
  const choice = (name, all) => html`<select name=${name}>${Object.entries(all).map(([key, text]) => html`<option value=${key} selected=${edited[name] === key}>${t(text)}</option>`)}</select>`;
  return html`<${Page} title=${t("Inboxes")} actions=${manage && html`<button class="primary" onClick=${() => setEdited({ sessions: [], failover: "banned", cooldown_s: 600 })}>${t("New inbox")}</button>`}>
    <p class="dim">${t("Programs send to an inbox as to a session. Each person is given one of its numbers and keeps it.")}</p>
    <${Loading} state=${state} empty=${rows.length === 0 && t("No inbox yet.")}>
      <${Table} label=${t("Inboxes")} columns=${[t("Name"), t("Sessions"), t("Somebody new gets"), t("They change their number"), t("Changed"), ""]} rows=${rows} />
    <//>
    ${edited && html`<${Dialog} title=${edited.inbox_id || t("New inbox")} onClose=${() => setEdited(null)}><${Form} onSubmit=${save} button=${t("Save")}>
      <${Field} label=${t("Name")} hint="@support"><input name="inbox_id" required pattern="@?[a-z0-9][a-z0-9_\\-]*" maxlength="63" value=${edited.inbox_id} readonly=${Boolean(edited.inbox_id)} /><//>
      <${Field} label=${t("Sessions")} hint=${t("In their order, separated by spaces. There are: {names}", { names: names.join(" ") || "–" })}><input name="sessions" required value=${edited.sessions.join(" ")} /><//>
      <${Field} label=${t("Somebody new gets")}>${choice("spread", SPREADS)}<//>
      <${Field} label=${t("They change their number")}>${choice("failover", FAILOVERS)}<//>
      <${Field} label=${t("Minutes that a stopped number is waited for")}><input name="minutes" type="number" min="0" max="43200" step="any" required value=${edited.cooldown_s / 60} /><//>
    <//><//>`}
  <//>`;
}
