// Who did what.
import { ask } from "../api.js";
import { t } from "../i18n.js";
import { attempt, html, Loading, Page, Table, Time, useLoad, useState } from "../ui.js";

export function Audit() {
  const [action, setAction] = useState("");
  const [more, setMore] = useState([]);
  const [cursor, setCursor] = useState(undefined);
  const args = { limit: 100, ...(action && { action }) };
  const state = useLoad(() => { setMore([]); setCursor(undefined); return ask("audit.list", args); }, [action]);
  const next = cursor === undefined ? state.data?.cursor : cursor;
  const load = () => attempt(async () => {
    const page = await ask("audit.list", { ...args, cursor: next });
    setMore((old) => [...old, ...page.entries]);
    setCursor(page.cursor);
  });
  const rows = [...(state.data?.entries || []), ...more].map((one) => ({
    key: one.id,
    cells: [html`<${Time} at=${one.at} />`, html`<code>${one.action}</code>`, one.actor || "–", html`<span class="break">${one.target || "–"}</span>`, one.reason || "", one.address || ""],
  }));
  return html`<${Page} title=${t("Audit")} actions=${html`<input aria-label=${t("Action")} placeholder=${t("Action")} onChange=${(event) => setAction(event.target.value.trim())} />`}>
    <${Loading} state=${state} empty=${rows.length === 0 && t("None.")}>
      <${Table} label=${t("Audit")} columns=${[t("When"), t("Action"), t("Who"), t("What"), t("Why"), t("From")]} rows=${rows} />
      ${next && html`<p><button onClick=${load}>${t("More")}</button></p>`}
    <//>
  <//>`;
}
