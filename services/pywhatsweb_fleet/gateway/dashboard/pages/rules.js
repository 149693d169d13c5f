// What the board does by itself: a policy's rules, in their order.
import { ask } from "../api.js";
import { t } from "../i18n.js";
import { attempt, Dialog, Field, html, sure, useEffect, useLoad, useRef, useState } from "../ui.js";

const TRIGGERS = () => ({
  opened: t("a chat opens"), reopened: t("a chat opens again"), assigned: t("somebody gets it"), started: t("work begins"),
  done: t("it is done"), warning: t("a deadline is near"), overdue: t("a deadline is over"),
  outside_hours: t("the customer writes outside the hours"),
});
const DEADLINES = () => ({ first_response: t("first answer"), resolution: t("solution") });
const ACTIONS = () => ({
  send_template: t("send a template"), add_tags: t("add tags"), alert: t("publish an alert"), webhook: t("call a webhook"),
});
const SEVERITIES = () => ({ low: t("low"), medium: t("medium"), high: t("high"), critical: t("critical") });
const NEW = { id: "", on: [], do: { do: "add_tags", tags: [] } };
const list = (text) => text.split(/[\s,]+/).filter(Boolean);

function sentence(rule) {
  const does = rule.do;
  const about = { send_template: () => `${does.template} (${does.language})`, add_tags: () => does.tags.join(", "), alert: () => `“${does.message}”`, webhook: () => does.webhook_id };
  const only = [
    rule.sessions && `${t("Sessions")}: ${rule.sessions.join(", ")}`, rule.tags && `${t("Tags")}: ${rule.tags.join(", ")}`,
    rule.deadline && `${t("Deadline")}: ${DEADLINES()[rule.deadline]}`,
  ].filter(Boolean);
  const when = rule.on.map((name) => TRIGGERS()[name]).join(` ${t("or")} `);
  return `${t("When")} ${when}${only.length ? ` (${only.join("; ")})` : ""}: ${ACTIONS()[does.do]} ${about[does.do]()}`;
}

export function RuleList({ rules, manage, onSaved }) {
  const [edited, setEdited] = useState(null);
  const moved = useRef(null);
  const box = useRef(null);
  // Whoever moves a rule by its buttons goes on with it: moved nodes lose the focus.
  useEffect(() => {
    if (!moved.current) return;
    const buttons = [...box.current.querySelectorAll(`[data-rule="${moved.current.id}"] button[data-to]`)];
    (buttons.find((one) => one.dataset.to === String(moved.current.to) && !one.disabled) || buttons.find((one) => !one.disabled))?.focus();
    moved.current = null;
  }, [rules]);
  // What others changed meanwhile stays: the policy is read again, and only its rules are replaced.
  const save = async (change) => {
    const { policy } = await ask("policy.get");
    await ask("policy.set", { policy: { ...policy, rules: change(policy.rules || []) } });
    await onSaved();
  };
  const tell = (change) => attempt(() => save(change), t("Saved."));
  const swap = (id, to) => {
    moved.current = { id, to };
    return tell((all) => {
      const from = all.findIndex((one) => one.id === id);
      const others = all.filter((one) => one.id !== id);
      if (from >= 0) others.splice(Math.max(0, from + to), 0, all[from]);
      return others;
    });
  };
  const put = (old, rule) => save((all) => (old ? all.map((one) => (one.id === old ? rule : one)) : [...all, rule]));
  const turn = (rule, enabled) => tell((all) => all.map((one) => (one.id === rule.id ? { ...one, enabled } : one)));
  const drop = (rule) => sure(t("Delete {name}?", { name: rule.id })) && tell((all) => all.filter((one) => one.id !== rule.id));
  return html`<section ref=${box} aria-labelledby="by-itself">
    <header class="head"><h2 id="by-itself">${t("What the board does by itself")}</h2>${manage && html`<button onClick=${() => setEdited({ rule: NEW })}>${t("New rule")}</button>`}</header>
    ${rules.length === 0 ? html`<p class="empty">${t("None.")}</p>` : html`<ol class="rules">${rules.map((rule, place) => html`<li key=${rule.id} data-rule=${rule.id} class="panel ${rule.enabled === false ? "dim" : ""}">
      <p><strong>${rule.id}</strong> ${sentence(rule)}</p>
      ${manage && html`<div class="actions">
        <label class="check"><input type="checkbox" checked=${rule.enabled !== false} aria-label=${t("{name} is on", { name: rule.id })} onChange=${(event) => turn(rule, event.target.checked)} /> ${t("on")}</label>
        <button data-to="-1" disabled=${place === 0} aria-label=${t("Move {name} up", { name: rule.id })} onClick=${() => swap(rule.id, -1)}>↑</button>
        <button data-to="1" disabled=${place === rules.length - 1} aria-label=${t("Move {name} down", { name: rule.id })} onClick=${() => swap(rule.id, 1)}>↓</button>
        <button aria-label=${`${t("Change")} ${rule.id}`} onClick=${() => setEdited({ rule, old: rule.id })}>${t("Change")}</button>
        <button class="danger" aria-label=${`${t("Delete")} ${rule.id}`} onClick=${() => drop(rule)}>${t("Delete")}</button></div>`}
    </li>`)}</ol>`}
    ${edited && html`<${Editor} ...${edited} taken=${rules.map((one) => one.id)} onPut=${put} onClose=${() => setEdited(null)} />`}
  </section>`;
}

/** The rule that the form says. */
function read(fields, old) {
  const rule = { ...old, id: fields.id, on: Object.keys(TRIGGERS()).filter((name) => fields[`on:${name}`]) };
  for (const [name, value] of [["sessions", list(fields.sessions)], ["tags", list(fields.wanted)]]) rule[name] = value.length ? value : null;
  rule.deadline = fields.deadline || null;
  if (fields.do === "add_tags") rule.do = { do: "add_tags", tags: list(fields.tags) };
  if (fields.do === "alert") rule.do = { do: "alert", message: fields.message, severity: fields.severity };
  if (fields.do === "webhook") rule.do = { do: "webhook", webhook_id: fields.webhook_id, message: fields.message || null };
  if (fields.do === "send_template") {
    const [template, language] = fields.template.split(" ");
    const given = Object.entries(fields).filter(([name, value]) => name.startsWith("v:") && value);
    rule.do = { do: "send_template", template, language, variables: Object.fromEntries(given.map(([name, value]) => [name.slice(2), value])), within_minutes: Number(fields.within_minutes) };
  }
  return rule;
}

const options = (all, chosen) => Object.entries(all).map(([key, text]) => html`<option value=${key} selected=${key === chosen}>${text}</option>`);

// Fields have beginnings, not values: whoever writes in one and then chooses another action keeps what was written.
function Editor({ rule, old, taken, onPut, onClose }) {
  const [kind, setKind] = useState(rule.do.do);
  const [wrong, setWrong] = useState("");
  const [busy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    const fields = Object.fromEntries(new FormData(event.target));
    const made = read(fields, rule);
    if (made.on.length === 0) return setWrong(t("Choose when it happens."));
    if (made.id !== old && taken.includes(made.id)) return setWrong(t("A rule is called {name} already.", { name: made.id }));
    setBusy(true);
    try {
      await onPut(old, made);
      onClose();
    } catch (error) {
      const where = [error.details?.path, error.details?.reason || error.details?.webhook_id].filter(Boolean).join(": ");
      setWrong(`${error.message} ${where && `(${where})`}`.trim());
      setBusy(false);
    }
  };
  const names = TRIGGERS();
  return html`<${Dialog} title=${old || t("New rule")} onClose=${onClose}><form class="form" onSubmit=${submit}>
    <${Field} label=${t("Name")} hint=${t("Small letters, digits, - and _")}><input name="id" required maxlength="63" pattern="[a-z0-9][a-z0-9_\\-]*" defaultValue=${rule.id} readonly=${Boolean(old)} /><//>
    <fieldset><legend>${t("When")}</legend>${Object.keys(names).map((name) => html`<label class="check"><input type="checkbox" name=${`on:${name}`} defaultChecked=${rule.on.includes(name)} /> ${names[name]}</label>`)}</fieldset>
    <fieldset><legend>${t("Only")}</legend>
      <${Field} label=${t("In these sessions")} hint=${t("Separated by spaces; all when empty")}><input name="sessions" defaultValue=${(rule.sessions || []).join(" ")} /><//>
      <${Field} label=${t("With all of these tags")}><input name="wanted" defaultValue=${(rule.tags || []).join(" ")} /><//>
      <${Field} label=${t("Of this deadline")}><select name="deadline">${options({ "": t("any"), ...DEADLINES() }, rule.deadline || "")}</select><//>
    </fieldset>
    <${Field} label=${t("Do this")}><select name="do" value=${kind} onChange=${(event) => setKind(event.target.value)}>${options(ACTIONS(), kind)}</select><//>
    ${{ send_template: SendTemplate, add_tags: AddTags, alert: Alert, webhook: Webhook }[kind]({ does: rule.do.do === kind ? rule.do : {} })}
    ${wrong && html`<p class="bad-text" role="alert">${wrong}</p>`}
    <div class="actions"><button class="primary" disabled=${busy}>${t("Save")}</button></div>
  </form><//>`;
}

const AddTags = ({ does }) => html`<${Field} label=${t("Tags to add")} hint=${t("Separated by spaces")}><input name="tags" required defaultValue=${(does.tags || []).join(" ")} /><//>`;

const Alert = ({ does }) => html`<${Field} label=${t("Text")}><input name="message" required maxlength="500" defaultValue=${does.message} /><//>
  <${Field} label=${t("Severity")}><select name="severity">${options(SEVERITIES(), does.severity || "medium")}</select><//>`;

const Webhook = ({ does }) => html`<${Field} label=${t("Webhook")} hint=${t("Its events have alert among them")}><input name="webhook_id" required defaultValue=${does.webhook_id} /><//>
  <${Field} label=${t("Text")}><input name="message" maxlength="500" defaultValue=${does.message} /><//>`;

const SendTemplate = ({ does }) => html`<${TemplateFields} does=${does} />`;

function TemplateFields({ does }) {
  const state = useLoad(() => ask("template.list", { limit: 500 }));
  const key = (one) => `${one.name} ${one.language}`;
  const [name, setName] = useState(does.template ? `${does.template} ${does.language}` : "");
  const all = state.data?.templates || [];
  const gone = name && state.data && !all.some((one) => key(one) === name);
  const names = [...(gone ? [name] : []), ...all.map(key)];
  const chosen = all.find((one) => key(one) === (name || names[0]));
  return html`<${Field} label=${t("Template")} hint=${state.data && names.length === 0 ? t("There is none yet.") : undefined}><select name="template" required onChange=${(event) => setName(event.target.value)}>${names.map((one) => html`<option value=${one} selected=${one === name}>${one}</option>`)}</select><//>
    ${chosen && html`<p class="text dim">${chosen.body}</p>`}
    ${(chosen?.variables || Object.keys(does.variables || {})).map((one) => html`<${Field} key=${one} label=${one} hint=${t("{name}, {owner} and {session} stand for the contact, the attendant and the session")}><input name=${`v:${one}`} defaultValue=${does.variables?.[one] ?? chosen?.defaults[one] ?? ""} /><//>`)}
    <${Field} label=${t("Not later than minutes")}><input name="within_minutes" type="number" required min="1" max="525600" step="any" defaultValue=${does.within_minutes ?? 1440} /><//>`;
}
