// What is wrong now: by the console's own reading of the fleet, and the alerts that Alertmanager reports.

import * as api from "../api.js";
import { KINDS, attention } from "../attention.js";
import { useFleet } from "../fleet_store.js";
import { count, time } from "../format.js";
import { toChargePoint, useQuery } from "../router.js";
import { Ago, Chip, Fault, Head, Search, Segments, Table, html, sorted, useEffect, useLoaded, useMemo } from "../ui.js";
import { SavedViews } from "./saved.js";

const TONES = { critical: "bad", warning: "hold", info: "busy" };
const REFRESH_MS = 15_000;

const COLUMNS = [
  { key: "cp", title: "Charge point", sort: (each) => each.cp.name || each.cp.cp_id, cell: (each) => html`<a href=${toChargePoint(each.cp.cp_id)}>${each.cp.name || each.cp.cp_id}</a>${each.connector && each.connector.connector_id !== "0" && html` <span class="soft">/ ${each.connector.connector_id}</span>`}` },
  { key: "kind", title: "Alert", side: true, cell: (each) => html`<span class=${`chip ${KINDS[each.kind].tone}`} title=${KINDS[each.kind].hint}>${KINDS[each.kind].title}</span>` },
  { key: "text", title: "Details", sort: (each) => each.text, cell: (each) => (each.kind === "certificate" ? `${each.text}, ${time(each.since)}` : each.text) },
  { key: "location", title: "Location", noCard: true, sort: (each) => each.cp.location, cell: (each) => each.cp.location },
  { key: "since", title: "Since", side: true, sort: (each) => each.at_ms, cell: (each) => (each.kind === "certificate" ? "" : html`<${Ago} at=${each.since} />`) },
];

export function Alerts({ settings, may }) {
  const store = useFleet(2000);
  const [read, change] = useQuery();
  const [kind, search, order] = [read("kind"), read("q").trim().toLowerCase(), read("sort")];
  const all = useMemo(() => (store.isLoaded ? attention(store, settings.stale_after_s) : null), [store.version, store.isLoaded]);
  const shown = useMemo(() => all && sorted(all.filter((each) => (!kind || each.kind === kind) && (!search || `${each.cp.cp_id} ${each.cp.name} ${each.cp.location} ${each.text}`.toLowerCase().includes(search))), COLUMNS, order), [all, kind, search, order]);
  const kinds = [["", `All ${count(all?.length ?? 0)}`], ...Object.entries(KINDS).map(([key, { title }]) => [key, `${title} ${count(all?.filter((each) => each.kind === key).length ?? 0)}`])];
  return html`<${Head} title="Alerts"><${SavedViews} page="alerts" may=${may} /><//>
    <${Fault} of=${store.fault} />
    ${settings.alerts && html`<${Firing} />`}
    <div class="filters"><${Search} label="Search" placeholder="Search charge point, location, error" value=${read("q")} onInput=${(q) => change({ q })} /><${Segments} label="Show" of=${kinds} value=${kind} onChange=${(value) => change({ kind: value })} /></div>
    <${Table} label="Charge points that need attention" columns=${COLUMNS} rows=${shown} order=${order} onOrder=${(sort) => change({ sort })} empty=${all?.length ? "None of this kind." : "Nothing needs attention. Every charge point is connected, and no connector is faulted."} />
    ${!settings.alerts && html`<p class="soft small">This list is the console's own. With an Alertmanager (setting <code>alertmanager_url</code>), its alerts are shown here too.</p>`}`;
}

/** The alerts of Alertmanager. */
function Firing() {
  const loaded = useLoaded(() => api.get("/alerts"));
  useEffect(() => { const timer = setInterval(loaded.again, REFRESH_MS); return () => clearInterval(timer); }, []);
  return html`<h2>Firing in Alertmanager</h2><${Fault} of=${loaded.fault} />
    ${loaded.value?.length === 0 && html`<p class="soft">Nothing is firing.</p>`}
    <div class="grid">${loaded.value?.map((alert) => html`<section key=${alert.fingerprint} class="panel">
      <div class="head"><h2>${alert.name}</h2><span class="spring"></span><${Chip} of=${alert.severity || "none"} tone=${TONES[alert.severity]} /></div>
      <p>${alert.summary}</p><p class="soft">${alert.description}</p>
      <p>${alert.labels.cp_id && html`<a href=${toChargePoint(alert.labels.cp_id)}>${alert.labels.cp_id}</a> · `}since <${Ago} at=${alert.starts_at} />${alert.silenced && " · silenced"}
      ${alert.runbook_url && html` · <a href=${alert.runbook_url} target="_blank" rel="noreferrer">what to do</a>`}</p></section>`)}</div>
    <h2>Seen by the console</h2>`;
}
