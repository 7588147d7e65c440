// Charging sessions, open and closed.

import * as api from "../api.js";
import { Chip, Fault, Head, Table, html, useEffect, useThrottled, useState, useRef } from "../ui.js";
import { duration, energy, time } from "../format.js";

/** Returns the URL of a trace, or null if no trace UI is configured. */
export const tracePage = (id, settings) => (settings?.jaeger_url && id ? `${settings.jaeger_url.replace(/\/$/, "")}/trace/${id}` : null);

const COLUMNS = [
  ["Session", (tx) => html`<a href=${`#/sessions/${tx.number}`}>${tx.number}</a>`],
  ["Charge point", (tx) => html`<a href=${`#/charge-points/${encodeURIComponent(tx.cp_id)}`}>${tx.cp_id}</a> <span class="soft">/ ${tx.connector_id}</span>`],
  ["Began", (tx) => time(tx.began_at)],
  ["Lasted", (tx) => duration(((tx.ended_at ? new Date(tx.ended_at) : Date.now()) - new Date(tx.began_at)) / 1000)],
  ["Energy", (tx) => energy(tx.energy_wh), "number"],
  ["Id tag", (tx) => html`<code>${tx.id_tag || "–"}</code>`],
  ["", (tx) => (tx.open ? html`<${Chip} of="charging" tone="busy" />` : html`<${Chip} of=${tx.reason} tone=${tx.reason === "Orphaned" ? "warn" : ""} />`)],
];

export const TransactionTable = ({ rows, empty }) => html`<${Table} label="Sessions" columns=${COLUMNS} rows=${rows?.map((tx) => ({ ...tx, id: tx.number }))} empty=${empty} />`;

export function Sessions({ onEvent, may }) {
  const [filter, setFilter] = useState({ cp_id: "", id_tag: "", open: "" });
  const [pages, setPages] = useState(null);
  const [fault, setFault] = useState(null);
  const turn = useRef(0);
  const load = async (cursor) => {
    const mine = cursor ? turn.current : ++turn.current;
    try {
      const page = await api.get("/transactions", { ...filter, limit: 50, cursor });
      if (mine !== turn.current) return;
      setPages((before) => ({ items: cursor ? [...before.items, ...page.items] : page.items, next: page.next, isLong: Boolean(cursor) }));
      setFault(null);
    } catch (problem) { if (mine === turn.current) setFault(problem); }
  };
  const soon = useThrottled(() => { if (!pages?.isLong) load(); }, 2000);
  useEffect(() => { const wait = setTimeout(load, 250); return () => clearTimeout(wait); }, [filter]);
  useEffect(() => onEvent((event) => { if (event.kind.startsWith("Transaction")) soon(); }), []);
  const set = (name) => (e) => setFilter({ ...filter, [name]: e.target.value });
  return html`<${Head} title="Sessions" />
    <${Fault} of=${fault} />
    <div class="fields" style="margin-bottom:1rem">
      <label>Charge point<input type="search" value=${filter.cp_id} onInput=${set("cp_id")} placeholder="whole identity" /></label>
      ${may("write") && html`<label>Id tag<input type="search" value=${filter.id_tag} onInput=${set("id_tag")} placeholder="whole tag" /></label>`}
      <label>State<select value=${filter.open} onChange=${set("open")}><option value="">all</option><option value="true">running</option><option value="false">ended</option></select></label>
    </div>
    <${TransactionTable} rows=${pages?.items} empty="No session matches." />
    ${pages?.next && html`<button onClick=${() => load(pages.next)}>Earlier sessions</button>`}`;
}
