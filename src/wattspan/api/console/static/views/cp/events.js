// What happened to a charge point: changes of its connection and connectors, commands, sessions, newest first.

import { duration, words } from "../../format.js";
import { toSession } from "../../router.js";
import { At, Chip, Fault, Table, html, useMemo } from "../../ui.js";

const KINDS = [["", "All"], ["connection", "Connection"], ["status", "Statuses"], ["command", "Commands"], ["session", "Sessions"]];
const ms = (at) => new Date(at).getTime();

/** Returns the rows of the timelines: [{id, at, kind, what, detail}]. */
function happened(timelines) {
  const rows = [];
  for (const each of timelines) {
    const where = each.connector_id === "" ? "Connection" : each.connector_id === "0" ? "Whole charge point" : `Connector ${each.connector_id}`;
    for (const one of each.intervals) rows.push({ at: one.from_at, kind: each.connector_id === "" ? "connection" : "status", where, what: html`<${Chip} of=${one.state === "disconnected" ? "Offline" : one.state} />`, detail: [one.detail && one.detail !== "NoError" ? one.detail : "", `for ${duration((ms(one.until_at) - ms(one.from_at)) / 1000)}`].filter(Boolean).join(", ") });
    for (const one of each.commands) rows.push({ at: one.at, kind: "command", where, what: one.action, detail: words(one.result) });
    for (const one of each.sessions) rows.push({ at: one.began_at, kind: "session", where, what: html`<a href=${toSession(one.number)}>Session ${one.number}</a>`, detail: `${(one.energy_wh / 1000).toFixed(2)} kWh${one.ended_at ? "" : ", running"}` });
  }
  return rows.sort((a, b) => ms(b.at) - ms(a.at)).map((row, i) => ({ ...row, id: `${row.at} ${row.kind} ${row.where} ${i}` }));
}

export function Events({ history, kind, onKind }) {
  const rows = useMemo(() => (history.value ? happened(history.value.timelines).filter((row) => !kind || row.kind === kind) : history.fault ? [] : null), [history.value, history.fault, kind]);
  const columns = [{ title: "When", width: "190px", cell: (row) => html`<${At} at=${row.at} />` }, { title: "What", side: true, width: "200px", cell: (row) => row.what }, { title: "Where", width: "200px", cell: (row) => row.where }, { title: "Details", side: true, cell: (row) => row.detail }];
  return html`<${Fault} of=${history.fault} />
    <div class="filters"><label><span class="hidden-label">Kind</span><select value=${kind} onChange=${(e) => onKind(e.target.value)}>${KINDS.map(([key, title]) => html`<option value=${key} selected=${key === kind}>${title}</option>`)}</select></label><span class="soft small beside">The last 7 days</span></div>
    <${Table} label="Events" columns=${columns} rows=${rows} empty="Nothing is known of the last 7 days." />`;
}
