// The tenant's WhatsApp accounts: link, watch, start and stop them.
import { ask, get, post, remove } from "../api.js";
import { t } from "../i18n.js";
import {
  attempt, Badge, Dialog, Field, Form, html, Loading, Page, sure, Table, Time, useEffect, useEvents, useLoad, useNow, useSettled,
  useState,
} from "../ui.js";

const LINKING = ["STARTING", "SCAN_QR_CODE", "PAIRING_CODE", "PASSKEY_REQUIRED"];

export function Sessions({ can }) {
  const state = useLoad(() => get("/v1/sessions"));
  const [adding, setAdding] = useState(false);
  const [linking, setLinking] = useState(null);
  const settle = useSettled(state.again);
  useEvents(["session"], settle);
  const manage = can("manage");
  const act = (session, verb, question) => async () => {
    if (!question || sure(question)) {
      await attempt(() => (verb === "delete" ? remove(`/v1/sessions/${session}`) : post(`/v1/sessions/${session}/${verb}`)));
      state.again();
    }
  };
  const rows = (state.data?.sessions || []).map((one) => ({
    key: one.session_id,
    cells: [
      html`<strong>${one.session_id}</strong>`,
      html`<${Badge} word=${one.status} />${one.error && html` <span class="bad-text">${one.error.message}</span>`}`,
      one.phone_number || "–", one.engine, String(one.queued ?? 0), html`<${Time} at=${one.since} />`,
      manage && html`<div class="actions">
        ${LINKING.includes(one.status) && html`<button class="primary" onClick=${() => setLinking(one.session_id)}>${t("Link")}</button>`}
        ${one.desired === "running"
          ? html`<button onClick=${act(one.session_id, "stop")}>${t("Stop")}</button><button onClick=${act(one.session_id, "restart")}>${t("Restart")}</button>`
          : html`<button onClick=${act(one.session_id, "start")}>${t("Start")}</button>`}
        <button onClick=${act(one.session_id, "logout", t("Unlink {name} at WhatsApp? It has to be linked again.", { name: one.session_id }))}>${t("Log out")}</button>
        <button class="danger" onClick=${act(one.session_id, "delete", t("Delete {name} and its keys?", { name: one.session_id }))}>${t("Delete")}</button>
      </div>`,
    ],
  }));
  return html`<${Page} title=${t("Sessions")} actions=${manage && html`<button class="primary" onClick=${() => setAdding(true)}>${t("New session")}</button>`}>
    <${Loading} state=${state} empty=${rows.length === 0 && t("No session yet. Create one and scan its code with the phone.")}>
      <${Table} label=${t("Sessions")} columns=${[t("Name"), t("Status"), t("Number"), t("Engine"), t("Queue"), t("Since"), ""]} rows=${rows} />
    <//>
    ${adding && html`<${Add} onClose=${() => setAdding(false)} onMade=${(name) => { setAdding(false); state.again(); setLinking(name); }} />`}
    ${linking && html`<${Link} session=${linking} onClose=${() => { setLinking(null); state.again(); }} />`}
  <//>`;
}

function Add({ onClose, onMade }) {
  const [pairing, setPairing] = useState("qr");
  const submit = (fields) => attempt(async () => {
    const body = { session_id: fields.session_id, pairing };
    if (fields.phone_number) body.phone_number = fields.phone_number;
    if (fields.proxy) body.proxy = fields.proxy;
    await post("/v1/sessions", body);
    onMade(fields.session_id);
  });
  return html`<${Dialog} title=${t("New session")} onClose=${onClose}><${Form} onSubmit=${submit} button=${t("Create")}>
    <${Field} label=${t("Name")} hint=${t("Small letters, digits, - and _")}><input name="session_id" required pattern="[a-z0-9][a-z0-9_\\-]*" maxlength="63" autofocus /><//>
    <${Field} label=${t("How to link")}><select value=${pairing} onChange=${(event) => setPairing(event.target.value)}>
      <option value="qr">${t("QR code")}</option><option value="code">${t("Code to type on the phone")}</option></select><//>
    ${pairing === "code" && html`<${Field} label=${t("The phone's number")}><input name="phone_number" type="tel" required placeholder="+55 11 99999-9999" /><//>`}
    <${Field} label=${t("Proxy")} hint=${t("Optional: http, https or socks5")}><input name="proxy" placeholder="socks5://…" /><//>
  <//><//>`;
}

/** The code, live, until the phone has taken it. */
function Link({ session, onClose }) {
  const [qr, setQr] = useState(null);
  const [code, setCode] = useState(null);
  const [status, setStatus] = useState(null);
  const now = useNow();
  useEffect(() => {
    get(`/v1/sessions/${session}`).then((info) => setStatus(info.status), () => {});
    ask("session.qr", { session_id: session }).then(setQr, () => {});
  }, [session]);
  useEvents(["qr", "pairing_code", "session"], (event) => {
    if (event.session_id !== session) return;
    if (event.event === "qr") setQr(event.data);
    else if (event.event === "pairing_code") setCode(event.data);
    else setStatus(event.data.status);
  }, [session]);
  const left = qr ? Math.max(0, Math.round((new Date(qr.expires_at) - now) / 1000)) : 0;
  const done = status === "WORKING";
  return html`<${Dialog} title=${t("Link {name}", { name: session })} onClose=${onClose}>
    ${done
      ? html`<p class="linked"><span aria-hidden="true">✓</span> ${t("Linked.")}</p>`
      : code
        ? html`<p>${t("On the phone: Linked devices, Link with phone number, and this code:")}</p><p class="code">${code.code}</p>`
        : qr && left > 0
          ? html`<p>${t("On the phone: Linked devices, Link a device, and point it here.")}</p>
              <img class="qr" src=${qr.image} alt=${t("QR code")} width="264" height="264" /><p class="dim" role="timer">${t("A new code in {seconds} s", { seconds: left })}</p>`
          : html`<p class="dim" aria-busy="true">${t("Waiting for a code…")}</p>`}
    <p>${status && html`<${Badge} word=${status} />`}</p>
  <//>`;
}
