// The first page: what the fleet does now and did today, what needs attention, and every connector as a cell.

import * as api from "../api.js";
import { KINDS, attention } from "../attention.js";
import { useFleet } from "../fleet_store.js";
import { count, energy, percent, plural, power } from "../format.js";
import { Matrix } from "../matrix.js";
import { to, toChargePoint, useQuery } from "../router.js";
import { placeOf, useSites } from "../sites.js";
import { Ago, Fault, Figures, Head, Skeleton, html, useEffect, useLoaded, useMemo } from "../ui.js";
import { PowerChart } from "./power.js";
import { StateLegend } from "./legend.js";

const SHOWN = 8;
const REFRESH_MS = 60_000;
const WAITING_MS = 15_000;
const ALERT_TONES = { critical: "bad", info: "busy" };

const midnight = (daysAgo = 0) => { const at = new Date(); at.setHours(0, 0, 0, 0); at.setDate(at.getDate() - daysAgo); return at; };

const HOUR_S = 3600;
/** A figure that is loading, as high as it will be. */
const PENDING = html`…<span class="note">loading</span>`;

/** The energy of each of the last 8 days up to this time of day, today first; null where nothing was sampled. */
async function readEnergy() {
  const from = midnight(7);
  const { series, from_at, step_s } = await api.get("/series", { metric: "energy_wh", by: "total", from_at: from.toISOString(), step_s: HOUR_S / 4 });
  const start = new Date(from_at).getTime();
  const elapsed = Date.now() - midnight().getTime();
  return Array.from({ length: 8 }, (_, daysAgo) => {
    const begin = midnight(daysAgo).getTime();
    const values = (series[0]?.values ?? []).filter((value, i) => { const at = start + i * step_s * 1000; return value !== null && at >= begin && at < begin + elapsed; });
    return values.length ? values.reduce((sum, value) => sum + value, 0) : null;
  });
}

/** Totals of the sessions that began today, and of the same hours yesterday and a week ago. */
async function readTotals(settings) {
  const elapsed = Date.now() - midnight().getTime();
  const between = (daysAgo) => api.get("/transactions/totals", { from_at: midnight(daysAgo).toISOString(), until_at: new Date(midnight(daysAgo).getTime() + elapsed).toISOString() });
  const [today, yesterday, lastWeek, energies, availability] = await Promise.all([between(0), between(1), between(7), settings.history ? readEnergy() : null, settings.history ? api.get("/availability") : null]);
  const [energyToday, energyYesterday, , , , , , energyLastWeek] = energies ?? [today.energy_wh, yesterday.energy_wh, , , , , , lastWeek.energy_wh];
  return { today, yesterday, lastWeek, energyToday, energyYesterday, energyLastWeek, availability };
}

/** What waits for an operator beside the fleet's own troubles: charge points to approve, and alerts of Alertmanager. */
async function readWaiting(settings) {
  const [pending, alerts] = await Promise.all([api.get("/charge-points/pending").catch(() => []), settings.alerts ? api.get("/alerts").catch(() => []) : []]);
  return { pending, firing: alerts.filter((alert) => !alert.silenced) };
}

const weekday = new Intl.DateTimeFormat(undefined, { weekday: "long" });

/** How much more or less than another day, in words. */
function against(now, then, name) {
  if (!then) return `no data for ${name}`;
  const share = Math.round((now / then - 1) * 100);
  return share === 0 ? `the same as ${name}` : `${Math.abs(share)} % ${share > 0 ? "more" : "less"} than ${name}`;
}

export function Overview({ settings, may }) {
  const store = useFleet(1000);
  const [read, change] = useQuery();
  const sites = useSites();
  const totals = useLoaded(() => readTotals(settings));
  useEffect(() => { const timer = setInterval(totals.again, REFRESH_MS); return () => clearInterval(timer); }, []);
  const waiting = useLoaded(() => readWaiting(settings));
  useEffect(() => { const timer = setInterval(waiting.again, WAITING_MS); return () => clearInterval(timer); }, []);
  const now = store.totals;
  const urgent = useMemo(() => attention(store, settings.stale_after_s), [store.version, store.isLoaded]);
  const lit = read("state");
  if (!store.isLoaded || !waiting.value) return html`<${Head} title="Overview" /><${Fault} of=${store.fault} /><${Skeleton} rows=${8} />`;
  if (!now.known) return html`<${Head} title="Overview" /><${Welcome} may=${may} />`;
  const { today, yesterday, lastWeek, energyToday, energyYesterday, energyLastWeek, availability } = totals.value ?? {};
  const { pending, firing } = waiting.value;
  return html`<${Head} title="Overview" />
    <${Fault} of=${store.fault ?? totals.fault} />
    <${Figures} of=${[
      ["Power now", html`${power(now.power_w)}<span class="note">${plural(now.sessions, "session")} running</span>`],
      ["Energy today", today ? html`${energy(energyToday)}<span class="note" title=${`Yesterday by this time: ${energy(energyYesterday)}; a week ago: ${energy(energyLastWeek)}`}>${against(energyToday ?? 0, energyYesterday, "yesterday")}</span>${energyLastWeek > 0 && html`<span class="note">${against(energyToday ?? 0, energyLastWeek, `last ${weekday.format(midnight(7))}`)}</span>`}` : PENDING],
      ["Sessions today", today ? html`<a href=${to("/sessions", { period: "today" })}>${count(today.transactions)}</a><span class="note">${lastWeek.transactions ? against(today.transactions, lastWeek.transactions, "a week ago") : against(today.transactions, yesterday.transactions, "yesterday")}</span>` : PENDING],
      ["Connected", html`<a href=${to("/fleet", { show: "connected" })}>${count(now.connected)}</a> <small>of ${count(now.known)}</small><span class="note">${now.known - now.connected ? html`<a href=${to("/fleet", { show: "offline" })}>${count(now.known - now.connected)} offline</a>` : "all of them"}</span>`],
      ...(settings.history ? [["Available, 30 days", !availability ? PENDING : html`${percent(availability.availability)}<span class="note" title="As NEVI counts it, without planned outages">${percent(availability.target, 0)} required by NEVI</span>`]] : []),
      ["Need attention", html`<a href="#/alerts">${count(urgent.length + pending.length + firing.length)}</a><span class="note">${now.states.Faulted ? `${plural(now.states.Faulted, "connector")} faulted` : "no connector is faulted"}</span>`],
    ]} />
    <div class=${settings.history ? "columns attention-first" : ""}>
      ${settings.history && html`<${PowerChart} span=${read("span") || "today"} onSpan=${(span) => change({ span })} />`}
      <section class="panel"><div class="head"><h2>Needs attention</h2><span class="spring"></span>${urgent.length > SHOWN && html`<a class="small" href="#/alerts">All ${count(urgent.length)}</a>`}</div>
        <${Attention} of=${urgent.slice(0, SHOWN)} pending=${pending} firing=${firing} /></section>
    </div>
    <section class="panel"><div class="head"><h2>Connectors</h2><span class="soft small">${count(now.connectors)}, by ${sites.size ? "site" : "location"}</span><span class="spring"></span><a class="small" href=${to("/fleet", { view: "matrix" })}>Open as page</a></div>
      <${StateLegend} states=${now.states} value=${lit} onChange=${(state) => change({ state })} />
      <${Matrix} store=${store} groupOf=${(cp) => placeOf(sites, cp)} filterKey=${`${sites.size}`} lit=${lit} /></section>`;
}

/** A short list of what needs attention, each linking to its charge point. */
function Attention({ of, pending, firing }) {
  if (!of.length && !pending.length && !firing.length) return html`<p class="soft">Nothing. Every charge point is connected, and no connector is faulted.</p>`;
  return html`<ul class="list whole">
    ${pending.length > 0 && html`<li key="pending"><span class="chip hold">Pending</span><span><a href="#/pending">${plural(pending.length, "charge point")}</a> <span class="soft">${pending.length === 1 ? "waits" : "wait"} for approval</span></span><span class="soft small"><${Ago} at=${pending[0].since} /></span></li>`}
    ${firing.slice(0, SHOWN).map((alert) => html`<li key=${alert.fingerprint}><span class=${`chip ${ALERT_TONES[alert.severity] ?? "hold"}`}>Firing</span>
      <span><a href="#/alerts">${alert.name}</a> <span class="soft">${alert.summary}</span></span><span class="soft small"><${Ago} at=${alert.starts_at} /></span></li>`)}
    ${of.map((each) => html`<li key=${each.id}><span class=${`chip ${KINDS[each.kind].tone}`}>${KINDS[each.kind].title}</span>
    <span><a href=${toChargePoint(each.cp.cp_id)}>${each.cp.name || each.cp.cp_id}${each.connector && each.connector.connector_id !== "0" ? ` / ${each.connector.connector_id}` : ""}</a> <span class="soft">${each.text}</span></span>
    <span class="soft small"><${Ago} at=${each.since} /></span></li>`)}</ul>`;
}

function Welcome({ may }) {
  return html`<div class="panel"><div class="empty"><strong>No charge point has connected yet</strong>
    Configure one with this server's OCPP URL, or try <code>wattspan simulate</code> on the command line.
    ${may("write") && html`<br />To give it credentials first, <a href="#/fleet">register it in the fleet</a>.`}</div></div>`;
}
