// Where events are posted to, how that goes, and what was given up.
import { ask } from "../api.js";
import { t } from "../i18n.js";
import {
  attempt, Badge, Dialog, Field, Form, html, Loading, notice, Page, Secret, sure, Table, Time, useEvents, useLoad, useSettled, useState,
} from "../ui.js";

export function Webhooks() {
  const state = useLoad(() => ask("webhook.list"));
  const settle = useSettled(state.again, 1000);
  const [adding, setAdding] = useState(false);
  const [secret, setSecret] = useState(null);
  const [shown, setShown] = useState(null);
  useEvents(["alert"], (event) => event.data.kind.startsWith("webhook") && settle());
  const act = (verb, webhook_id, more = {}) => async () => {
    if (verb === "delete" && !sure(t("Delete {name}?", { name: webhook_id }))) return;
    await attempt(async () => {
      const found = await ask(`webhook.${verb}`, { webhook_id, ...more });
      if (verb === "test") notice(found.ok ? t("Taken after {ms} ms.", { ms: found.took_ms }) : t("Not taken: {why}", { why: found.answer || found.error }), found.ok ? "ok" : "bad");
      if (verb === "rotate") setSecret(found.secret);
    });
    state.again();
  };
  const rows = (state.data?.webhooks || []).map((one) => ({
    key: one.webhook_id,
    cells: [
      html`<strong>${one.webhook_id}</strong>`, html`<${Badge} word=${one.state} />`, html`<span class="break">${one.url}</span>`,
      (one.types || [t("all")]).join(", "), String(one.waiting), String(one.dead),
      html`<div class="actions"><button onClick=${act("test", one.webhook_id)}>${t("Test")}</button><button onClick=${() => setShown(one.webhook_id)}>${t("Tries")}</button>
        ${one.state === "disabled" ? html`<button onClick=${act("enable", one.webhook_id)}>${t("Enable")}</button>` : html`<button onClick=${act("disable", one.webhook_id)}>${t("Disable")}</button>`}
        ${one.dead > 0 && html`<button onClick=${act("redrive", one.webhook_id, { all: true })}>${t("Try the dead again")}</button>`}
        <button onClick=${act("rotate", one.webhook_id)}>${t("New secret")}</button><button class="danger" onClick=${act("delete", one.webhook_id)}>${t("Delete")}</button></div>`,
    ],
  }));
  const create = (fields) => attempt(async () => {
    const types = fields.types.split(/[\s,]+/).filter(Boolean);
    const args = { url: fields.url, format: fields.format };
    if (fields.webhook_id) args.webhook_id = fields.webhook_id;
    if (types.length) args.types = types;
    const made = await ask("webhook.create", args);
    setAdding(false);
    setSecret(made.secret);
    state.again();
  });
  return html`<${Page} title=${t("Webhooks")} actions=${html`<button class="primary" onClick=${() => setAdding(true)}>${t("New webhook")}</button>`}>
    <${Loading} state=${state} empty=${rows.length === 0 && t("None.")}>
      <${Table} label=${t("Webhooks")} columns=${[t("Name"), t("Status"), t("Address"), t("Events"), t("Waiting"), t("Dead"), ""]} rows=${rows} />
    <//>
    ${adding && html`<${Dialog} title=${t("New webhook")} onClose=${() => setAdding(false)}><${Form} onSubmit=${create} button=${t("Create")}>
      <${Field} label=${t("Address")}><input name="url" type="url" required placeholder="https://" autofocus /><//>
      <${Field} label=${t("Name")} hint=${t("Small letters, digits, - and _")}><input name="webhook_id" pattern="[a-z0-9][a-z0-9_\\-]*" /><//>
      <${Field} label=${t("Events")} hint=${t("Types, separated by spaces; all when empty")}><input name="types" placeholder="message status" /><//>
      <${Field} label=${t("Format")}><select name="format"><option value="pywhatsweb">PyWhatsWeb</option><option value="waha">WAHA</option><option value="cloud">Cloud API</option></select><//>
    <//><//>`}
    ${secret && html`<${Dialog} title=${t("Secret")} onClose=${() => setSecret(null)}><${Secret} value=${secret} /><//>`}
    ${shown && html`<${Tries} webhook=${shown} onClose=${() => setShown(null)} />`}
  <//>`;
}

function Tries({ webhook, onClose }) {
  const state = useLoad(() => ask("webhook.deliveries", { webhook_id: webhook, limit: 100 }), [webhook]);
  const rows = (state.data?.deliveries || []).map((one) => ({
    key: one.event_id + one.attempt,
    cells: [html`<${Time} at=${one.at} />`, one.type, String(one.attempt), html`<span class=${one.ok ? "good-text" : "bad-text"}>${one.answer || one.error}</span>`, `${one.took_ms} ms`, one.excerpt || ""],
  }));
  return html`<${Dialog} title=${t("Tries of {name}", { name: webhook })} onClose=${onClose}><${Loading} state=${state} empty=${rows.length === 0 && t("None.")}>
    <${Table} label=${t("Tries")} columns=${[t("When"), t("Event"), t("Try"), t("Answer"), t("Took"), ""]} rows=${rows} /><//><//>`;
}
