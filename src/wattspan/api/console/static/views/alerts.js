// The alerts that are firing, if an Alertmanager is configured.

import * as api from "../api.js";
import { Ago, Chip, Empty, Fault, Head, html, useEffect, useLoaded } from "../ui.js";

const TONES = { critical: "bad", warning: "warn", info: "busy" };

export function Alerts({ settings }) {
  const loaded = useLoaded(() => (settings.alerts ? api.get("/alerts") : Promise.resolve([])));
  useEffect(() => { if (!settings.alerts) return undefined; const every = setInterval(loaded.again, 15000); return () => clearInterval(every); }, []);
  if (!settings.alerts) return html`<${Head} title="Alerts" /><${Empty}>No Alertmanager is configured (setting <code>alertmanager_url</code>).<//>`;
  return html`<${Head} title="Alerts" /><${Fault} of=${loaded.fault} />
    ${loaded.value?.length === 0 && html`<${Empty}>Nothing is firing.<//>`}
    <div class="grid">${loaded.value?.map((alert) => html`<section key=${alert.fingerprint} class="panel">
      <div class="head" style="margin:0 0 .4rem"><h2 style="margin:0">${alert.name}</h2><span class="spring"></span><${Chip} of=${alert.severity || "none"} tone=${TONES[alert.severity]} /></div>
      <p>${alert.summary}</p><p class="soft">${alert.description}</p>
      <p>${alert.labels.cp_id && html`<a href=${`#/charge-points/${encodeURIComponent(alert.labels.cp_id)}`}>${alert.labels.cp_id}</a> · `}since <${Ago} at=${alert.starts_at} />${alert.silenced && " · silenced"}
      ${alert.runbook_url && html` · <a href=${alert.runbook_url} target="_blank" rel="noreferrer">what to do</a>`}</p></section>`)}</div>`;
}
