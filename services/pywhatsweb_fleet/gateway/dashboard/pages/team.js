// Attendants, and the rules by which chats move.
import { ask } from "../api.js";
import { t } from "../i18n.js";
import { RuleList } from "./rules.js";
import { attempt, Dialog, Field, Form, html, Loading, Page, Table, useLoad, useState } from "../ui.js";

// What the policy leaves out is at its default.
const DEFAULTS = { assignment: "manual", cards: "by_session", reply_starts: "owner", done_after_hours: 24, sticky: true, reopen: true };

export function Team({ can }) {
  const state = useLoad(async () => {
    const [team, rules] = await Promise.all([ask("attendant.list"), ask("policy.get")]);
    return { attendants: team.attendants, policy: { ...DEFAULTS, ...rules.policy } };
  });
  const [edited, setEdited] = useState(null);
  const manage = can("manage");
  const save = (fields) => attempt(async () => {
    const args = { attendant_id: fields.attendant_id, available: fields.available === "on", skills: fields.skills.split(/[\s,]+/).filter(Boolean) };
    if (fields.name) args.name = fields.name;
    if (fields.capacity) args.capacity = Number(fields.capacity);
    await ask("attendant.set", args);
    setEdited(null);
    state.again();
  });
  const rows = (state.data?.attendants || []).map((one) => ({
    key: one.attendant_id,
    cells: [html`<strong>${one.name || one.attendant_id}</strong>`, one.available ? t("available") : t("away"), String(one.open), String(one.capacity ?? "–"), one.skills.join(", "),
      manage && html`<button onClick=${() => setEdited(one)}>${t("Change")}</button>`],
  }));
  return html`<${Page} title=${t("Team and rules")} actions=${manage && html`<button class="primary" onClick=${() => setEdited({ skills: [], available: true })}>${t("New attendant")}</button>`}>
    <${Loading} state=${state}>
      ${rows.length === 0 ? html`<p class="empty">${t("Nobody yet.")}</p>` : html`<${Table} label=${t("Attendants")} columns=${[t("Name"), t("State"), t("Open chats"), t("At most"), t("Skills"), ""]} rows=${rows} />`}
      <h2>${t("Rules")}</h2>
      ${state.data && html`<${Rules} policy=${state.data.policy} manage=${manage} onSaved=${state.again} />
        <${RuleList} rules=${state.data.policy.rules || []} manage=${manage} onSaved=${state.again} />`}
    <//>
    ${edited && html`<${Dialog} title=${edited.attendant_id || t("New attendant")} onClose=${() => setEdited(null)}><${Form} onSubmit=${save} button=${t("Save")}>
      <${Field} label=${t("Login")} hint=${t("As they sign in")}><input name="attendant_id" required value=${edited.attendant_id} readonly=${Boolean(edited.attendant_id)} /><//>
      <${Field} label=${t("Name")}><input name="name" value=${edited.name} /><//>
      <${Field} label=${t("Open chats at most")}><input name="capacity" type="number" min="0" value=${edited.capacity} /><//>
      <${Field} label=${t("Skills")}><input name="skills" value=${edited.skills.join(" ")} /><//>
      <label class="check"><input type="checkbox" name="available" checked=${edited.available} /> ${t("available")}</label>
    <//><//>`}
  <//>`;
}

function Rules({ policy, manage, onSaved }) {
  const save = (fields) => attempt(async () => {
    const minutes = (text, old) => (text ? { ...(old || {}), minutes: Number(text) } : null);
    const changed = {
      ...policy,
      assignment: fields.assignment,
      cards: fields.cards,
      reply_starts: fields.reply_starts,
      done_after_hours: fields.done_after_hours ? Number(fields.done_after_hours) : null,
      first_response: minutes(fields.first_response, policy.first_response),
      resolution: minutes(fields.resolution, policy.resolution),
      supervisor: fields.supervisor || null,
      sticky: fields.sticky === "on",
      reopen: fields.reopen === "on",
    };
    await ask("policy.set", { policy: changed });
    onSaved();
  }, t("Saved."));
  const choice = (name, all) => html`<select name=${name} disabled=${!manage}>${all.map(([key, text]) => html`<option value=${key} selected=${policy[name] === key}>${t(text)}</option>`)}</select>`;
  const check = (name, text) => html`<label class="check"><input type="checkbox" name=${name} checked=${policy[name]} disabled=${!manage} /> ${text}</label>`;
  const number = (name, value) => html`<input name=${name} type="number" min="0.1" step="any" value=${value ?? ""} disabled=${!manage} />`;
  return html`<div class="panel"><${Form} onSubmit=${save} button=${t("Save")}>
    <${Field} label=${t("Who gets a new chat")}>${choice("assignment", [["manual", "Nobody: they take it"], ["round_robin", "Each in turn"], ["least_loaded", "Who has the fewest"]])}<//>
    <${Field} label=${t("Cards of a person who writes to several numbers")}>${choice("cards", [["by_session", "One of each number"], ["by_inbox", "One of all the numbers of an inbox"]])}<//>
    <${Field} label=${t("Whose reply starts the work")}>${choice("reply_starts", [["owner", "The owner's"], ["anyone", "Anybody's"]])}<//>
    <${Field} label=${t("Done by itself after hours without a word")}>${number("done_after_hours", policy.done_after_hours)}<//>
    <${Field} label=${t("First answer within minutes")}>${number("first_response", policy.first_response?.minutes)}<//>
    <${Field} label=${t("Solved within minutes")}>${number("resolution", policy.resolution?.minutes)}<//>
    <${Field} label=${t("Supervisor")}><input name="supervisor" value=${policy.supervisor || ""} disabled=${!manage} /><//>
    ${check("sticky", t("The last owner comes first"))}${check("reopen", t("A customer's word opens a chat again"))}
  <//></div>`;
}
