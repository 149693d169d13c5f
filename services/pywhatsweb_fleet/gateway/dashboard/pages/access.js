// Who may sign in, with which keys programs come, and one's own password.
import { get, post, remove } from "../api.js";
import { t } from "../i18n.js";
import { attempt, Dialog, Field, Form, html, Loading, Page, Secret, sure, Table, Time, useLoad, useState } from "../ui.js";

const ROLES = [["attendant", "Attendant"], ["supervisor", "Supervisor"], ["admin", "Administrator"]];

export function Access({ who, can }) {
  return html`<${Page} title=${t("Access")}>
    ${who.user && html`<${OwnPassword} />`}
    ${can("admin") ? html`<${People} me=${who.user} /><${Keys} scopes=${who.scopes} />` : html`<p class="dim">${t("Administrators manage people and keys here.")}</p>`}
  <//>`;
}

function OwnPassword() {
  const change = (fields) => attempt(() => post("/v1/me/password", fields).then(() => location.reload()));
  return html`<details class="panel"><summary>${t("Change my password")}</summary><${Form} onSubmit=${change} button=${t("Change")}>
    <${Field} label=${t("Present password")}><input name="old" type="password" required autocomplete="current-password" /><//>
    <${Field} label=${t("New password")} hint=${t("Ten characters or more")}><input name="new" type="password" required minlength="10" autocomplete="new-password" /><//>
  <//></details>`;
}

function People({ me }) {
  const state = useLoad(() => get("/v1/users"));
  const [edited, setEdited] = useState(null);
  const save = (fields) => attempt(async () => {
    const body = { role: fields.role, name: fields.name };
    if (fields.password) body.password = fields.password;
    if (edited.user) await post(`/v1/users/${edited.user}`, body);
    else await post("/v1/users", { ...body, user: fields.user });
    setEdited(null);
    state.again();
  });
  const drop = (user) => async () => {
    if (sure(t("Remove {name}?", { name: user }))) { await attempt(() => remove(`/v1/users/${user}`)); state.again(); }
  };
  const rows = (state.data?.users || []).map((one) => ({
    key: one.user,
    cells: [html`<strong>${one.user}</strong>`, one.name, t(ROLES.find(([key]) => key === one.role)[1]), html`<${Time} at=${one.created_at} />`,
      html`<div class="actions"><button onClick=${() => setEdited(one)}>${t("Change")}</button>${one.user !== me && html`<button class="danger" onClick=${drop(one.user)}>${t("Remove")}</button>`}</div>`],
  }));
  return html`<div class="head"><h2>${t("People")}</h2><button class="primary" onClick=${() => setEdited({ role: "attendant" })}>${t("New person")}</button></div>
    <${Loading} state=${state} empty=${rows.length === 0 && t("Nobody yet.")}><${Table} label=${t("People")} columns=${[t("User"), t("Name"), t("Role"), t("Since"), ""]} rows=${rows} /><//>
    ${edited && html`<${Dialog} title=${edited.user || t("New person")} onClose=${() => setEdited(null)}><${Form} onSubmit=${save} button=${t("Save")}>
      ${!edited.user && html`<${Field} label=${t("User")} hint=${t("Small letters, digits, - and _")}><input name="user" required pattern="[a-z0-9][a-z0-9_\\-]*" autofocus /><//>`}
      <${Field} label=${t("Name")}><input name="name" value=${edited.name} /><//>
      <${Field} label=${t("Role")}><select name="role">${ROLES.map(([key, text]) => html`<option value=${key} selected=${key === edited.role}>${t(text)}</option>`)}</select><//>
      <${Field} label=${t("Password")} hint=${edited.user ? t("Empty: it stays") : t("Ten characters or more")}><input name="password" type="password" minlength="10" required=${!edited.user} autocomplete="new-password" /><//>
    <//><//>`}`;
}

function Keys({ scopes }) {
  const state = useLoad(() => get("/v1/keys"));
  const [adding, setAdding] = useState(false);
  const [secret, setSecret] = useState(null);
  const create = (fields, form) => attempt(async () => {
    const wanted = new FormData(form).getAll("scopes");
    const sessions = fields.sessions.split(/[\s,]+/).filter(Boolean);
    const made = await post("/v1/keys", { name: fields.name, scopes: wanted, ...(sessions.length && { sessions }) });
    setAdding(false);
    setSecret(made.key);
    state.again();
  });
  const act = (verb, one) => async () => {
    if (verb === "revoke" && !sure(t("End the key {name} at once?", { name: one.name }))) return;
    await attempt(async () => {
      if (verb === "revoke") await remove(`/v1/keys/${one.id}`);
      else setSecret((await post(`/v1/keys/${one.id}/rotate`)).key);
    });
    state.again();
  };
  const rows = (state.data?.keys || []).map((one) => ({
    key: one.id,
    cells: [html`<strong>${one.name}</strong> <code class="dim">${one.id}</code>`, one.scopes.join(", "), (one.sessions || [t("all")]).join(", "), html`<${Time} at=${one.last_used_at} />`, html`<${Time} at=${one.expires_at} />`,
      html`<div class="actions"><button onClick=${act("rotate", one)}>${t("Rotate")}</button><button class="danger" onClick=${act("revoke", one)}>${t("End")}</button></div>`],
  }));
  return html`<div class="head"><h2>${t("API keys")}</h2><button class="primary" onClick=${() => setAdding(true)}>${t("New key")}</button></div>
    <${Loading} state=${state} empty=${rows.length === 0 && t("None.")}><${Table} label=${t("API keys")} columns=${[t("Name"), t("Rights"), t("Sessions"), t("Last used"), t("Ends"), ""]} rows=${rows} /><//>
    ${adding && html`<${Dialog} title=${t("New key")} onClose=${() => setAdding(false)}><${Form} onSubmit=${create} button=${t("Create")}>
      <${Field} label=${t("Name")}><input name="name" required maxlength="64" autofocus /><//>
      <fieldset><legend>${t("Rights")}</legend>${scopes.map((scope) => html`<label class="check"><input type="checkbox" name="scopes" value=${scope} checked=${scope === "read"} /> ${scope}</label>`)}</fieldset>
      <${Field} label=${t("Sessions")} hint=${t("Separated by spaces; all when empty")}><input name="sessions" /><//>
    <//><//>`}
    ${secret && html`<${Dialog} title=${t("API key")} onClose=${() => setSecret(null)}><${Secret} value=${secret} /><//>`}`;
}
