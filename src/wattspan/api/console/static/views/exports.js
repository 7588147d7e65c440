// Exports as CSV or JSON Lines, and the summary of a month.

import * as api from "../api.js";
import { count, duration, endOf, energy, percent, startOf } from "../format.js";
import { useQuery } from "../router.js";
import { siteName, useSites } from "../sites.js";
import { Fault, Head, Segments, Table, html, sorted, useLoaded, useMemo } from "../ui.js";

const KINDS = [
  ["sessions", "Sessions", "One row per session: charge point, id tag, times, energy and why it ended.", "read", true],
  ["readings", "Meter readings", "Every reading: energy, power, current and battery.", "read", true],
  ["audit", "Audit log", "Who did what, when and with which result.", "admin", true],
  ["id-tags", "Id tags", "All id tags on file. The CSV file can be imported again.", "write", false],
];
const REPORTS = [["site", "Site"], ["tag_group", "Tag group"], ["charge_point", "Charge point"]];
const isoDay = (at) => `${at.getFullYear()}-${String(at.getMonth() + 1).padStart(2, "0")}-${String(at.getDate()).padStart(2, "0")}`;
/** The link to a download; `query` values that are empty are left out. */
export const exportLink = (path, query) => `/api/v1/exports/${path}?${new URLSearchParams(Object.entries(query).filter(([, value]) => value))}`;

export function Exports({ may }) {
  const [read, change] = useQuery();
  const sites = useSites();
  const firstOfMonth = new Date(new Date().getFullYear(), new Date().getMonth(), 1);
  const [from, to, site] = [read("from") || isoDay(firstOfMonth), read("to") || isoDay(new Date()), read("site")];
  const range = { from_at: startOf(from)?.toISOString(), until_at: endOf(to)?.toISOString() };
  const set = (name) => (e) => change({ [name]: e.target.value });
  return html`<${Head} title="Exports" />
    <section class="panel"><h2>Download</h2>
      <div class="filters"><label>From<input type="date" value=${from} onInput=${set("from")} /></label><label>To<input type="date" value=${to} onInput=${set("to")} /></label>
        ${sites.size > 0 && html`<label>Site<select value=${site} onChange=${set("site")}>${[["", "All sites"], ...[...sites.values()].map((each) => [each.site_id, each.name || each.site_id])].map(([key, title]) => html`<option value=${key} selected=${key === site}>${title}</option>`)}</select></label>`}</div>
      <ul class="list downloads">${KINDS.filter(([, , , right]) => may(right)).map(([path, title, text, , hasRange]) => {
        const query = { ...(hasRange ? range : {}), ...(path === "sessions" || path === "readings" ? { site_id: site } : {}) };
        return html`<li key=${path}><span><strong>${title}</strong> <span class="soft">${text}${hasRange ? "" : " The period does not apply."}</span></span>
          <span class="actions"><a class="button" href=${exportLink(path, { ...query, format: "csv" })} download>CSV<span class="hidden-label"> of ${title}</span></a><a class="button" href=${exportLink(path, { ...query, format: "jsonl" })} download>JSON Lines<span class="hidden-label"> of ${title}</span></a></span></li>`;
      })}</ul></section>
    <${Month} read=${read} change=${change} sites=${sites} />`;
}

function Month({ read, change, sites }) {
  const month = read("month") || isoDay(new Date()).slice(0, 7);
  const by = read("by") || "site";
  const order = read("sort") || "-energy";
  const query = { month, by, time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone };
  const loaded = useLoaded(() => api.get("/reports/monthly", query), [month, by]);
  const columns = useMemo(() => [
    { key: "key", title: REPORTS.find(([key]) => key === by)[1], sort: (row) => row.name || row.key, cell: (row) => (by === "site" ? siteName(sites, row.key) : row.name || row.key) || html`<span class="soft">none</span>` },
    { key: "energy", title: "Energy", number: true, side: true, sort: (row) => row.energy_wh, cell: (row) => energy(row.energy_wh) },
    { key: "sessions", title: "Sessions", number: true, sort: (row) => row.sessions, cell: (row) => html`${count(row.sessions)}<span class="phone soft"> ${row.sessions === 1 ? "session" : "sessions"}</span>` },
    { key: "time", title: "Time", number: true, side: true, sort: (row) => row.charging_s, cell: (row) => duration(row.charging_s) },
    ...(by === "tag_group" ? [] : [{ key: "availability", title: "Available", number: true, noCard: true, sort: (row) => row.availability ?? -1, cell: (row) => percent(row.availability) }]),
  ], [by, sites]);
  const rows = useMemo(() => (loaded.value ? sorted(loaded.value.rows.map((row) => ({ ...row, id: row.key })), columns, order) : null), [loaded.value, columns, order]);
  const total = loaded.value?.total;
  return html`<section class="panel"><div class="head"><h2>Month</h2><label><span class="hidden-label">Month</span><input type="month" value=${month} onInput=${(e) => e.target.value && change({ month: e.target.value })} style="margin:0" /></label>
      <${Segments} label="By" of=${REPORTS} value=${by} onChange=${(value) => change({ by: value })} /><span class="spring"></span>${total && html`<span class="soft">${energy(total.energy_wh)} in ${count(total.sessions)} sessions</span>`}<a class="button" href=${exportLink("monthly", { ...query, format: "csv" })} download>CSV<span class="hidden-label"> of the month</span></a></div>
    <${Fault} of=${loaded.fault} />
    <${Table} label="Summary of the month" columns=${columns} rows=${rows} order=${order} onOrder=${(sort) => change({ sort })} empty="No session began in this month." /></section>`;
}
