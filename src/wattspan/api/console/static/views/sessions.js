// Charging sessions, open and closed, with a period and totals.

import * as api from "../api.js";
import { fleet } from "../fleet_store.js";
import { At, Chip, Fault, Figures, Head, Search, Table, html, useColumns, useEffect, useLoaded, usePages, useThrottled } from "../ui.js";
import { count, duration, endOf, energy, startOf, words } from "../format.js";
import { ChargePointLink } from "./charge_point_link.js";
import { exportLink } from "./exports.js";
import { SavedViews } from "./saved.js";
import { toSession, useQuery } from "../router.js";

/** Returns the URL of a trace, or null if no trace UI is configured. */
export const tracePage = (id, settings) => (settings?.jaeger_url && id ? `${settings.jaeger_url.replace(/\/$/, "")}/trace/${id}` : null);

const lasted = (tx) => ((tx.ended_at ? new Date(tx.ended_at) : Date.now()) - new Date(tx.began_at)) / 1000;
/** The reasons of a stop that an operator should look at; all others are how sessions end. */
const ODD_REASONS = new Set(["Orphaned", "EmergencyStop", "PowerLoss", "GroundFault", "OvercurrentFault", "PowerQuality", "HardReset"]);

export const TRANSACTION_COLUMNS = [
  { key: "number", title: "Session", isFixed: true, cell: (tx) => html`<a href=${toSession(tx.number)}>${tx.number}</a>` },
  { key: "state", title: "State", side: true, cell: (tx) => (tx.open ? html`<${Chip} of="running" tone="busy" />` : html`<${Chip} of=${tx.reason || "ended"} title=${`Ended: ${words(tx.reason) || "no reason reported"}`} tone=${ODD_REASONS.has(tx.reason) ? "hold" : "plain"} />`) },
  { key: "cp", title: "Charge point", cell: (tx) => html`<${ChargePointLink} id=${tx.cp_id} /> <span class="soft">/ ${tx.connector_id}</span>` },
  { key: "began", title: "Began", side: true, cell: (tx) => html`<${At} at=${tx.began_at} />` },
  { key: "lasted", title: "Lasted", number: true, noCard: true, cell: (tx) => duration(lasted(tx)) },
  { key: "energy", title: "Energy", number: true, cell: (tx) => energy(tx.energy_wh) },
  { key: "tag", title: "Id tag", side: true, cell: (tx) => html`<code>${tx.id_tag || "–"}</code>` },
  { key: "ended", title: "Ended", isHidden: true, cell: (tx) => (tx.ended_at ? html`<${At} at=${tx.ended_at} />` : "") },
  { key: "ocpp", title: "Transaction id", isHidden: true, cell: (tx) => html`<code>${tx.transaction_id}</code>` },
];

const withIds = (rows) => rows?.map((tx) => ({ ...tx, id: tx.number })) ?? null;
export const TransactionTable = ({ rows, empty, columns = TRANSACTION_COLUMNS.filter((each) => !each.isHidden) }) => html`<${Table} label="Sessions" columns=${columns} rows=${withIds(rows)} empty=${empty} />`;

const PERIODS = [["", "Any time"], ["today", "Today"], ["yesterday", "Yesterday"], ["7d", "Last 7 days"], ["30d", "Last 30 days"], ["month", "This month"], ["own", "From … to"]];
const day = (offset = 0) => { const at = new Date(); at.setHours(0, 0, 0, 0); at.setDate(at.getDate() + offset); return at; };

/** Returns [from, until] of a period, as dates or undefined. */
export function periodOf(name, from, to) {
  const now = new Date();
  const known = {
    today: () => [day()], yesterday: () => [day(-1), day()], "7d": () => [day(-6)], "30d": () => [day(-29)], month: () => [new Date(now.getFullYear(), now.getMonth(), 1)],
    own: () => [startOf(from), endOf(to)],
  };
  return known[name]?.() ?? [];
}

const MAX_SUGGESTIONS = 12;

/** Returns [identity, name] of charge points with the text in either, for the filter takes a whole identity. */
function suggested(text) {
  const wanted = text.trim().toLowerCase();
  const found = [];
  if (!wanted) return found;
  for (const cp of fleet.chargePoints.values()) {
    if (`${cp.cp_id} ${cp.name}`.toLowerCase().includes(wanted) && found.push([cp.cp_id, cp.name]) === MAX_SUGGESTIONS) break;
  }
  return found;
}

export function Sessions({ onEvent, may }) {
  const [read, change] = useQuery();
  const [columns, picker] = useColumns("sessions", TRANSACTION_COLUMNS);
  const [from, until] = periodOf(read("period"), read("from"), read("to"));
  const filter = { cp_id: read("cp"), id_tag: may("write") ? read("tag") : "", open: read("open"), from_at: from?.toISOString(), until_at: until?.toISOString() };
  const pages = usePages("/transactions", { ...filter, limit: 100 });
  const totals = useLoaded(() => api.get("/transactions/totals", filter), [JSON.stringify(filter)]);
  const soon = useThrottled(() => { if (!pages.isLong) pages.again(); totals.again(); }, 3000);
  useEffect(() => onEvent((event) => { if (event.kind.startsWith("Transaction") || event.kind === "Reset") soon(); }), []);
  const set = (name) => (e) => change({ [name]: e.target.value });
  const sums = totals.value;
  return html`<div key="sessions"><${Head} title="Sessions"><a class="button" href=${exportLink("sessions", { ...filter, format: "csv" })} download>Download CSV</a><${SavedViews} page="sessions" may=${may} />${picker}<//>
    <${Fault} of=${pages.fault ?? totals.fault} />
    <div class="filters">
      <${Search} label="Charge point" placeholder="Identity of a charge point" value=${read("cp")} onInput=${(cp) => change({ cp })} suggestions=${suggested(read("cp"))} />
      ${may("write") && html`<label><span class="hidden-label">Id tag</span><input type="search" value=${read("tag")} onInput=${set("tag")} placeholder="Id tag" /></label>`}
      <label><span class="hidden-label">Period</span><select value=${read("period")} onChange=${set("period")}>${PERIODS.map(([key, title]) => html`<option value=${key} selected=${key === read("period")}>${title}</option>`)}</select></label>
      ${read("period") === "own" && html`<label><span class="hidden-label">From</span><input type="date" value=${read("from")} onInput=${set("from")} /></label><label><span class="hidden-label">To</span><input type="date" value=${read("to")} onInput=${set("to")} /></label>`}
      <label><span class="hidden-label">State</span><select value=${read("open")} onChange=${set("open")}>${[["", "Running and ended"], ["true", "Running"], ["false", "Ended"]].map(([key, title]) => html`<option value=${key} selected=${key === read("open")}>${title}</option>`)}</select></label>
    </div>
    <${Figures} of=${[["Sessions", sums ? html`${count(sums.transactions)} <small>${count(sums.open)} running</small>` : "…"], ["Energy", sums ? energy(sums.energy_wh) : "…"], ["Time", sums ? duration(sums.duration_s) : "…"],
      ["Energy per session", sums?.transactions ? energy(sums.energy_wh / sums.transactions) : "–"]]} />
    <${TransactionTable} rows=${pages.items} columns=${columns} empty="No session matches. Choose a longer period or clear the filters." />
    <p hidden=${!pages.more}><button onClick=${pages.more}>Show earlier sessions</button></p></div>`;
}
