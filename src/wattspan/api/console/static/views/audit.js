// Who did what, when, in which trace.

import * as api from "../api.js";
import { Chip, Fault, Head, Table, html, useEffect, useRef, useState } from "../ui.js";
import { time } from "../format.js";
import { tracePage } from "./sessions.js";

const REFUSED = 400;

export function Audit({ settings }) {
  const [filter, setFilter] = useState({ who: "", target: "" });
  const [pages, setPages] = useState(null);
  const [fault, setFault] = useState(null);
  const turn = useRef(0);
  const load = async (cursor) => {
    const mine = ++turn.current;
    try {
      const page = await api.get("/audit", { ...filter, limit: 100, cursor });
      if (mine === turn.current) setPages((before) => ({ items: cursor ? [...before.items, ...page.items] : page.items, next: page.next }));
      setFault(null);
    } catch (problem) { setFault(problem); }
  };
  useEffect(() => { const wait = setTimeout(load, 250); return () => clearTimeout(wait); }, [filter]);
  const columns = [
    ["When", (row) => time(row.at)], ["Who", (row) => row.who || "not logged in"], ["How", (row) => row.means], ["What", (row) => html`${row.action} <code>${row.target}</code>`],
    ["Answer", (row) => html`<${Chip} of=${String(row.status)} tone=${row.status >= REFUSED ? "bad" : "good"} />`],
    ["Trace", (row) => { const page = tracePage(row.trace_id, settings); return page ? html`<a href=${page} target="_blank" rel="noreferrer">open</a>` : html`<code class="soft">${row.trace_id.slice(0, 8)}</code>`; }],
  ];
  return html`<${Head} title="Audit" /><${Fault} of=${fault} />
    <div class="fields" style="margin-bottom:1rem"><label>Who<input type="search" value=${filter.who} onInput=${(e) => setFilter({ ...filter, who: e.target.value })} /></label><label>Path contains<input type="search" value=${filter.target} onInput=${(e) => setFilter({ ...filter, target: e.target.value })} /></label></div>
    <${Table} label="Audit log" columns=${columns} rows=${pages?.items} />
    ${pages?.next && html`<button onClick=${() => load(pages.next)}>Earlier</button>`}`;
}
