// Texts with variables, in several languages, as they will be sent.
import { ask } from "../api.js";
import { t } from "../i18n.js";
import { attempt, Dialog, Field, Form, html, Loading, Page, sure, Table, Time, useLoad, useState } from "../ui.js";

/** Lines of "name=value" as an object, and back. */
const values = (text) => Object.fromEntries(text.split("\n").map((line) => line.split("=")).filter((pair) => pair[0].trim()).map(([name, ...rest]) => [name.trim(), rest.join("=").trim()]));
const lines = (found = {}) => Object.entries(found).map(([name, value]) => `${name}=${value}`).join("\n");

/** Lines of "text", "text=id" or "text=address" as buttons, and back. */
const buttons = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean).map((line) => {
  const [name, ...rest] = line.split("=");
  const value = rest.join("=").trim();
  return /^https?:/.test(value) ? { type: "url", text: name.trim(), url: value } : { type: "reply", text: name.trim(), ...(value ? { id: value } : {}) };
});
const buttonLines = (found = []) => found.map((one) => (one.url || one.id ? `${one.text}=${one.url || one.id}` : one.text)).join("\n");

/** What would be said, whatever kind of message it comes to. */
const said = (content) => content.body?.text || content.body || content.caption || "";
const shownButtons = ({ action = {} }) => (action.buttons || []).map((one) => one.reply.title).concat(action.parameters ? [`${action.parameters.display_text} ↗`] : []);

export function Templates({ can }) {
  const state = useLoad(() => ask("template.list", { limit: 500 }));
  const [edited, setEdited] = useState(null);
  const [shown, setShown] = useState(null);
  const manage = can("manage");
  const save = (fields) => attempt(async () => {
    const args = { name: fields.name, language: fields.language, body: fields.body, examples: values(fields.examples), defaults: edited.defaults || {} };
    if (fields.header) args.header = { type: "text", text: fields.header };
    else if (edited.header && edited.header.type !== "text") args.header = edited.header;
    if (fields.footer) args.footer = fields.footer;
    args.buttons = buttons(fields.buttons);
    await ask("template.put", args);
    setEdited(null);
    state.again();
  }, t("Saved."));
  const drop = (one) => async () => {
    if (sure(t("Delete {name}?", { name: `${one.name} (${one.language})` }))) { await attempt(() => ask("template.delete", { name: one.name, language: one.language })); state.again(); }
  };
  const preview = (one) => () => attempt(async () => setShown(await ask("template.preview", { name: one.name, language: one.language })));
  const rows = (state.data?.templates || []).map((one) => ({
    key: `${one.name} ${one.language}`,
    cells: [html`<strong>${one.name}</strong>`, one.language, html`<span class="break">${one.body.slice(0, 120)}</span>`, one.variables.join(", "), html`<${Time} at=${one.changed_at} />`,
      html`<div class="actions"><button onClick=${preview(one)}>${t("Preview")}</button>${manage && html`<button onClick=${() => setEdited(one)}>${t("Change")}</button><button class="danger" onClick=${drop(one)}>${t("Delete")}</button>`}</div>`],
  }));
  return html`<${Page} title=${t("Templates")} actions=${manage && html`<button class="primary" onClick=${() => setEdited({ language: "pt_BR" })}>${t("New template")}</button>`}>
    <${Loading} state=${state} empty=${rows.length === 0 && t("None.")}>
      <${Table} label=${t("Templates")} columns=${[t("Name"), t("Language"), t("Text"), t("Variables"), t("Changed"), ""]} rows=${rows} />
    <//>
    ${edited && html`<${Dialog} title=${edited.name || t("New template")} onClose=${() => setEdited(null)}><${Form} onSubmit=${save} button=${t("Save")}>
      <${Field} label=${t("Name")} hint=${t("Small letters, digits and _")}><input name="name" required pattern="[a-z0-9_]+" value=${edited.name} readonly=${Boolean(edited.name)} /><//>
      <${Field} label=${t("Language")} hint="pt_BR, en, es"><input name="language" required value=${edited.language} readonly=${Boolean(edited.name)} /><//>
      <${Field} label=${t("Heading")}><input name="header" maxlength="60" value=${edited.header?.text} /><//>
      <${Field} label=${t("Text")} hint=${t("Variables stand as {{name}} or {{1}}.")}><textarea name="body" rows="5" required maxlength="4096">${edited.body}</textarea><//>
      <${Field} label=${t("Footer")}><input name="footer" maxlength="60" value=${edited.footer} /><//>
      <${Field} label=${t("Buttons")} hint=${t("One a line: text, text=id, or text=address of a page")}><textarea name="buttons" rows="3">${buttonLines(edited.buttons)}</textarea><//>
      <${Field} label=${t("Examples")} hint=${t("One variable a line: name=value")}><textarea name="examples" rows="3">${lines(edited.examples)}</textarea><//>
    <//><//>`}
    ${shown && html`<${Dialog} title=${shown.name} onClose=${() => setShown(null)}>${shown.content.header?.text && html`<p><strong>${shown.content.header.text}</strong></p>`}<p class="message text">${said(shown.content)}</p>${shown.content.footer && html`<p class="dim">${shown.content.footer.text}</p>`}
      <p>${shownButtons(shown.content).map((text) => html`<span class="badge quiet">${text}</span> `)}</p><//>`}
  <//>`;
}

/** Picks one, asks for its variables, and hands on what is to be sent. */
export function TemplatePicker({ onPick, onClose }) {
  const state = useLoad(() => ask("template.list", { limit: 500 }));
  const [at, setAt] = useState("0");
  const all = state.data?.templates || [];
  const one = all[Number(at)];
  const pick = async (fields) => {
    const variables = Object.fromEntries(one.variables.map((name) => [name, fields[`v:${name}`]]));
    const shown = await ask("template.preview", { name: one.name, language: one.language, variables }).catch(() => null);
    await onPick({ name: one.name, language: { code: one.language }, variables }, (shown && said(shown.content)) || one.body);
  };
  return html`<${Dialog} title=${t("Send a template")} onClose=${onClose}><${Loading} state=${state} empty=${all.length === 0 && t("None.")}>
    <${Form} onSubmit=${pick} button=${t("Send")}>
      <${Field} label=${t("Template")}><select value=${at} onChange=${(event) => setAt(event.target.value)}>${all.map((each, number) => html`<option value=${number}>${each.name} (${each.language})</option>`)}</select><//>
      ${one && html`<p class="text dim">${one.body}</p>${one.variables.map((name) => html`<${Field} key=${one.name + name} label=${name}><input name=${`v:${name}`} required value=${one.defaults[name] || ""} /><//>`)}`}
    <//><//><//>`;
}
