// What was set aside: why, and back with it.
import { ask } from "../api.js";
import { t } from "../i18n.js";
import { attempt, Dialog, html, Loading, Page, sure, Table, Time, useEvents, useLoad, useSettled, useState } from "../ui.js";

export function DeadLetters() {
  const state = useLoad(() => ask("deadletter.list", { limit: 200 }));
  const [shown, setShown] = useState(null);
  useEvents(["deadletter"], useSettled(state.again));
  const act = (verb, id) => async () => {
    if (verb === "drop" && !sure(t("Remove it for good?"))) return;
    await attempt(() => ask(`deadletter.${verb}`, { id }), verb === "redrive" ? t("Put back.") : t("Dropped."));
    state.again();
  };
  const show = (id) => attempt(async () => setShown(await ask("deadletter.show", { id })));
  const rows = (state.data?.deadletters || []).map((one) => ({
    key: one.id,
    cells: [
      html`<${Time} at=${one.received_at} />`, t(one.kind), one.session_id, html`<code>${one.code}</code>`, one.reason || "", String(one.attempts),
      html`<div class="actions"><button onClick=${() => show(one.id)}>${t("Show")}</button><button onClick=${act("redrive", one.id)}>${t("Put back")}</button><button class="danger" onClick=${act("drop", one.id)}>${t("Drop")}</button></div>`,
    ],
  }));
  return html`<${Page} title=${t("Dead letters")}>
    <${Loading} state=${state} empty=${rows.length === 0 && t("None.")}>
      <${Table} label=${t("Dead letters")} columns=${[t("When"), t("Kind"), t("Session"), t("Code"), t("Why"), t("Tries"), ""]} rows=${rows} />
    <//>
    ${shown && html`<${Dialog} title=${shown.code} onClose=${() => setShown(null)}><p>${shown.message}</p><p class="dim">${shown.action}</p><pre>${JSON.stringify(shown.body ?? shown.raw, null, 2)}</pre><//>`}
  <//>`;
}
