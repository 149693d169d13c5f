// Whether everything works, and what is happening just now.
import { ask } from "../api.js";
import { t } from "../i18n.js";
import { ago, Badge, html, Loading, Page, useEffect, useEvents, useLoad, useNow, useRef, useState } from "../ui.js";

const SPAN = 60;

/** Counts a second for the last minute, and how long sends took. */
function useTraffic() {
  const counts = useRef({ in: new Map(), out: new Map(), begun: new Map(), took: [] });
  const count = (side) => {
    const second = Math.floor(Date.now() / 1000);
    side.set(second, (side.get(second) || 0) + 1);
    for (const old of side.keys()) if (old < second - SPAN) side.delete(old);
  };
  useEvents(["message", "status"], (event) => {
    const now = counts.current;
    if (event.event === "message") {
      if (event.data.origin === "inbound") count(now.in);
      return;
    }
    const { command_id: id, status } = event.data;
    if (status === "accepted") now.begun.set(id, new Date(event.timestamp));
    if (status === "sent") {
      count(now.out);
      const began = now.begun.get(id);
      if (began) now.took.push(new Date(event.timestamp) - began);
      now.took.splice(0, now.took.length - 500);
    }
    if (status !== "accepted" && status !== "queued") now.begun.delete(id);
    if (now.begun.size > 5000) now.begun.clear();
  });
  return counts.current;
}

function Chart({ label, counts, now }) {
  const last = Math.floor(now / 1000) - 1;
  const values = Array.from({ length: SPAN }, (_, at) => counts.get(last - SPAN + 1 + at) || 0);
  const top = Math.max(4, ...values);
  const points = values.map((value, at) => `${(at / (SPAN - 1)) * 300},${60 - (value / top) * 56}`).join(" ");
  return html`<figure class="panel"><figcaption>${label} <strong>${values.at(-1)}/s</strong> <span class="dim">${t("at most {top} in the last minute", { top: Math.max(...values) })}</span></figcaption>
    <svg viewBox="0 0 300 62" role="img" aria-label=${`${label}: ${values.at(-1)}/s`} preserveAspectRatio="none"><polyline points=${points} /></svg></figure>`;
}

export function Fleet() {
  const health = useLoad(() => ask("health.get"));
  const [alerts, setAlerts] = useState([]);
  const traffic = useTraffic();
  const now = useNow();
  useEffect(() => {
    const timer = setInterval(health.again, 5000);
    return () => clearInterval(timer);
  }, []);
  useEvents(["alert"], (event) => setAlerts((old) => [event, ...old].slice(0, 50)));
  const sorted = [...traffic.took].sort((a, b) => a - b);
  const at = (share) => (sorted.length ? `${sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]} ms` : "–");
  return html`<${Page} title=${t("Fleet")}>
    <${Loading} state=${health}>
      <div class="tiles">
        <div class="panel tile"><span>${t("State")}</span><strong class=${health.data?.ok ? "good-text" : "bad-text"}>${health.data?.ok ? t("Everything works") : t("Something is wrong")}</strong><small class="dim">${t("Version")} ${health.data?.version}</small></div>
        ${Object.entries(health.data?.sessions || {}).map(([status, count]) => html`<div class="panel tile"><${Badge} word=${status} /><strong>${count}</strong><small class="dim">${t("sessions")}</small></div>`)}
        <div class="panel tile"><span>${t("Accepted to sent")}</span><strong>${at(0.5)}</strong><small class="dim">p99 ${at(0.99)}, ${t("while this page is open")}</small></div>
      </div>
      <div class="charts"><${Chart} label=${t("Received")} counts=${traffic.in} now=${now} /><${Chart} label=${t("Sent")} counts=${traffic.out} now=${now} /></div>
      <h2>${t("Parts")}</h2>
      <ul class="parts">${Object.entries(health.data?.parts || {}).map(([name, part]) => html`<li class="panel"><span class="dot ${part.ok ? "good" : "bad"}" aria-hidden="true"></span><strong>${name}</strong> <span class="dim">${part.detail || (part.ok ? t("ok") : t("failing"))}</span></li>`)}</ul>
      <h2>${t("Alerts since this page is open")}</h2>
      ${alerts.length === 0 ? html`<p class="empty">${t("None.")}</p>` : html`<ul class="parts">${alerts.map((event) => html`<li class="panel" key=${event.id}><strong>${event.data.kind}</strong> <span>${event.session_id}</span> <span class="dim">${ago(event.timestamp, now)}</span> <span>${event.data.error?.message || ""}</span></li>`)}</ul>`}
    <//>
  <//>`;
}
