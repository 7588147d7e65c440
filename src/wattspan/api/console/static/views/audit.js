// Who did what, when, in which trace.

import { titled } from "../format.js";
import { useQuery } from "../router.js";
import { At, Chip, Fault, Head, Search, Table, html, usePages } from "../ui.js";
import { tracePage } from "./sessions.js";

const REFUSED = 400;

export function Audit({ settings }) {
  const [read, change] = useQuery();
  const pages = usePages("/audit", { target: read("q"), who: read("who"), limit: 100 });
  const columns = [
    { title: "What", cell: (row) => html`<span>${titled(row.action)} <code class="soft">${row.target}</code></span>` }, { title: "Answer", side: true, cell: (row) => html`<${Chip} of=${String(row.status)} tone=${row.status >= REFUSED ? "bad" : "good"} />` },
    { title: "Who", cell: (row) => row.who || "not logged in" }, { title: "How", noCard: true, cell: (row) => row.means }, { title: "When", side: true, cell: (row) => html`<${At} at=${row.at} />` },
    { title: "Trace", noCard: true, cell: (row) => { const page = tracePage(row.trace_id, settings); return page ? html`<a href=${page} target="_blank" rel="noreferrer">open</a>` : html`<code class="soft" title=${row.trace_id}>${row.trace_id.slice(0, 8)}</code>`; } },
  ];
  return html`<${Head} title="Audit" /><${Fault} of=${pages.fault} />
    <div class="filters"><${Search} label="Path contains" placeholder="Path contains …" value=${read("q")} onInput=${(q) => change({ q })} /><label><span class="hidden-label">Who</span><input type="search" placeholder="User, whole name" value=${read("who")} onInput=${(e) => change({ who: e.target.value })} /></label></div>
    <${Table} label="Audit log" columns=${columns} rows=${pages.items} empty="Nothing matches." />
    <p hidden=${!pages.more}><button onClick=${pages.more}>Show earlier entries</button></p>`;
}
