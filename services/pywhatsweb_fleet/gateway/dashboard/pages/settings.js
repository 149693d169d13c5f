// What is used of what may be used, and how long things are kept.
import { ask } from "../api.js";
import { t } from "../i18n.js";
import { attempt, Field, Form, html, Loading, Page, Table, useLoad } from "../ui.js";

const words = (name) => t(name).replaceAll("_", " ");
const day = (ago) => new Date(Date.now() - ago * 86_400_000).toISOString().slice(0, 10);

export function Settings({ who, can }) {
  return html`<${Page} title=${t("Settings")}>
    <h2>${t("Usage")}</h2><${Usage} />
    ${can("admin") && html`<h2>${t("How long things are kept")}</h2><${Periods} />`}
    <p class="dim">${t("Organisation")}: ${who.tenant}</p>
  <//>`;
}

function Usage() {
  const state = useLoad(() => ask("usage.get", { since: day(6), until: day(0) }));
  const found = state.data;
  const names = [...new Set((found?.days || []).flatMap((one) => Object.keys(one.counts)))];
  const days = [...(found?.days || [])].reverse().map((one) => ({ key: one.day, cells: [one.day, ...names.map((name) => String(one.counts[name] || 0))] }));
  const limits = Object.entries(found?.limits || {}).map(([name, most]) => ({ key: name, cells: [words(name), found.now[name] === undefined ? "–" : String(found.now[name]), most ? String(most) : t("no limit")] }));
  return html`<${Loading} state=${state}>
    ${days.length > 0 && html`<${Table} label=${t("Usage")} columns=${[t("Day"), ...names.map(words)]} rows=${days} />`}
    <${Table} label=${t("Limits")} columns=${[t("Limit"), t("Now"), t("At most")]} rows=${limits} />
  <//>`;
}

function Periods() {
  const state = useLoad(() => ask("retention.get"));
  const save = (fields) => attempt(async () => {
    for (const [kind, days] of Object.entries(fields)) {
      if (days !== String(state.data.days[kind])) await ask("retention.set", { kind, days: days ? Number(days) : null });
    }
    state.again();
  }, t("Saved."));
  return html`<${Loading} state=${state}><div class="panel"><${Form} onSubmit=${save} button=${t("Save")}>
    ${Object.entries(state.data?.days || {}).map(([kind, days]) => html`<${Field} key=${kind} label=${words(kind)} hint=${state.data.chosen.includes(kind) ? t("days; empty for the usual period") : t("days; the usual period")}><input name=${kind} type="number" min="1" max="3650" value=${days} /><//>`)}
  <//></div><//>`;
}
