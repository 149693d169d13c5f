// People whom the sessions know.
import { ask } from "../api.js";
import { t } from "../i18n.js";
import { attempt, html, Loading, Page, Table, useLoad, useState } from "../ui.js";

export function Contacts() {
  const [more, setMore] = useState([]);
  const [cursor, setCursor] = useState(undefined);
  const [wanted, setWanted] = useState("");
  const state = useLoad(() => ask("contact.list", { limit: 200 }));
  const next = cursor === undefined ? state.data?.cursor : cursor;
  const load = () => attempt(async () => {
    const page = await ask("contact.list", { limit: 200, cursor: next });
    setMore((old) => [...old, ...page.contacts]);
    setCursor(page.cursor);
  });
  const all = [...(state.data?.contacts || []), ...more];
  const fits = (one) => [one.person.name, one.person.pn, one.person.lid].some((text) => text?.toLowerCase().includes(wanted));
  const rows = all.filter((one) => !wanted || fits(one)).map((one) => ({
    key: one.chat?.key || one.person.pn || one.person.lid,
    cells: [one.person.name || "–", one.person.pn || "–", one.person.lid || "–"],
  }));
  return html`<${Page} title=${t("Contacts")} actions=${html`<input type="search" aria-label=${t("Search")} placeholder=${t("Search")} onInput=${(event) => setWanted(event.target.value.trim().toLowerCase())} />`}>
    <${Loading} state=${state} empty=${all.length === 0 && t("Nobody yet.")}>
      <${Table} label=${t("Contacts")} columns=${[t("Name"), t("Number"), "LID"]} rows=${rows} />
      ${next && html`<p><button onClick=${load}>${t("More")}</button></p>`}
    <//>
  <//>`;
}
