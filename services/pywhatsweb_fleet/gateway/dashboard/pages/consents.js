// Whom one may write to: opt-outs, the words that make them, and what people agreed to.
import { ask } from "../api.js";
import { t } from "../i18n.js";
import { attempt, called, Field, Form, html, Loading, notice, Page, sure, Table, Time, useLoad, useState } from "../ui.js";

const SHOWN = 100;
const how = (one) => (one.source === "word" ? t("Wrote “{word}”", { word: one.word }) : t("Asked for, noted by {who}", { who: one.by || "–" }));
const whose = (one) => (one.person?.pn || one.person?.lid ? called(one.person, one.person.name) : html`<span class="dim" title=${one.key}>${t("Unknown number")}</span>`);

/** A list that comes in pages: {state, all, next, more}. */
function usePages(verb, field) {
  const [more, setMore] = useState([]);
  const [cursor, setCursor] = useState(undefined);
  const state = useLoad(async () => { const page = await ask(verb, { limit: SHOWN }); setMore([]); setCursor(undefined); return page; });
  const next = cursor === undefined ? state.data?.cursor : cursor;
  const load = () => attempt(async () => {
    const page = await ask(verb, { limit: SHOWN, cursor: next });
    setMore((old) => [...old, ...page[field]]);
    setCursor(page.cursor);
  });
  return { state, all: [...(state.data?.[field] || []), ...more], next, load };
}

const More = ({ list }) => list.next && html`<p><button onClick=${list.load}>${t("More")}</button></p>`;

export function Consents({ can }) {
  const outs = usePages("consent.opt_outs", "opt_outs");
  const agreed = usePages("consent.list", "consents");
  const [person, setPerson] = useState(null);
  const manage = can("manage");
  const again = () => { outs.state.again(); agreed.state.again(); };
  const find = (to) => attempt(async () => setPerson({ to, ...(await ask("consent.get", { to })) }));
  const act = async (verb, args) => {
    const well = await attempt(() => ask(verb, args));
    if (well) { again(); if (person) await find(person.to); }
    return well;
  };
  const back = (one) => async () => {
    if (sure(t("Write to them again? Only if they asked for it."))) await act("contact.opt_in", { to: one.person.pn || `lid:${one.person.lid}` });
  };
  const outRows = outs.all.map((one) => ({
    key: one.key,
    cells: [whose(one), how(one), one.session_id || "–", html`<${Time} at=${one.at} />`,
      manage && (one.person?.pn || one.person?.lid) && html`<button onClick=${back(one)}>${t("Opt in again")}</button>`],
  }));
  const rows = agreed.all.map((one) => ({
    key: `${one.key} ${one.purpose}`,
    cells: [whose(one), one.purpose, html`<span class="break">${one.source}</span>`, html`<${Time} at=${one.at} />`,
      one.withdrawn_at ? html`<span class="bad-text">${t("withdrawn")}</span> <${Time} at=${one.withdrawn_at} />` : t("stands")],
  }));
  return html`<${Page} title=${t("Opt-outs")}>
    <div class="panel"><${Form} inline onSubmit=${({ to }) => find(to.trim())} button=${t("Look up")}>
      <${Field} label=${t("May this person be written to?")}><input name="to" required autocomplete="off" placeholder="+5511999990001" /><//>
    <//>${person && html`<${Person} key=${person.to} one=${person} manage=${manage} onAct=${act} />`}</div>
    <h2>${t("Who opted out")}</h2>
    <${Loading} state=${outs.state} empty=${outRows.length === 0 && t("Nobody yet.")}>
      <${Table} label=${t("Who opted out")} columns=${[t("Person"), t("How"), t("Session"), t("When"), ""]} rows=${outRows} /><${More} list=${outs} />
    <//>
    <h2>${t("Words that opt out")}</h2><${Words} manage=${manage} />
    <h2>${t("Consents")}</h2>
    <${Loading} state=${agreed.state} empty=${rows.length === 0 && t("None.")}>
      <${Table} label=${t("Consents")} columns=${[t("Person"), t("Purpose"), t("Source"), t("When"), t("State")]} rows=${rows} /><${More} list=${agreed} />
    <//>
  <//>`;
}

function Person({ one, manage, onAct }) {
  const out = one.opt_out;
  const choose = ({ reason }) => onAct(out ? "contact.opt_in" : "contact.opt_out", { to: one.to, ...(reason ? { reason } : {}) });
  const record = async (fields, form) => { if (await onAct("consent.record", { to: one.to, purpose: fields.purpose, source: fields.source, ...(fields.text ? { text: fields.text } : {}) })) form.reset(); };
  return html`<section aria-label=${one.to} aria-live="polite">
    <h2>${one.to}</h2>
    <p class=${out ? "bad-text" : "good-text"}>${out ? html`${t("Opted out.")} ${how(out)}, <${Time} at=${out.at} />` : t("Has not opted out.")}</p>
    ${one.consents.map((each) => html`<p>${each.purpose}: ${each.withdrawn_at ? t("withdrawn") : t("stands")}, ${each.source}, <${Time} at=${each.at} />
      ${manage && !each.withdrawn_at && html` <button onClick=${() => onAct("consent.withdraw", { to: one.to, purpose: each.purpose })}>${t("Withdraw")}</button>`}</p>`)}
    ${manage && html`<div class="forms"><${Form} onSubmit=${choose} button=${out ? t("Opt in again") : t("Opt out")}>
      <${Field} label=${t("Reason")}><input name="reason" maxlength="500" placeholder=${t("asked by phone")} /><//>
    <//><${Form} onSubmit=${record} button=${t("Record a consent")}>
      <${Field} label=${t("Purpose")} hint=${t("Small letters, digits, - and _")}><input name="purpose" required pattern="[a-z0-9][a-z0-9_\\-]*" maxlength="63" placeholder="marketing" /><//>
      <${Field} label=${t("Source")}><input name="source" required maxlength="200" placeholder=${t("form of the shop")} /><//>
      <${Field} label=${t("What they agreed to")}><input name="text" maxlength="4000" /><//>
    <//></div>`}
  </section>`;
}

function Words({ manage }) {
  const state = useLoad(() => ask("consent.words"));
  const save = ({ words }) => attempt(async () => {
    const found = words.split(/\n/).map((word) => word.trim()).filter(Boolean);
    if (found.length === 0 && !sure(t("No word opts anybody out then. Is that meant?"))) return;
    await ask("consent.set_words", { words: found });
    notice(t("Saved."));
    state.again();
  });
  return html`<${Loading} state=${state}><div class="panel">
    ${!manage ? html`<p>${state.data?.words.join(", ") || t("None.")}</p>` : html`<${Form} onSubmit=${save} button=${t("Save")}>
      <${Field} label=${t("One word or phrase a line")} hint=${t("Case, accents and punctuation do not matter. The message has to be nothing else.")}><textarea name="words" rows="4">${(state.data?.words || []).join("\n")}</textarea><//>
    <//>`}</div><//>`;
}
