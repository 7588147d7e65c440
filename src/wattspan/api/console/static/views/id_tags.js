// Id tags on file.

import * as api from "../api.js";
import { Chip, Choice, Dialog, Fault, Field, Head, Table, html, toast, useEffect, useState, useRef } from "../ui.js";
import { time } from "../format.js";

const STATUSES = ["Accepted", "Blocked", "Expired", "Invalid"];
const at = (tag) => `/id-tags/${encodeURIComponent(tag)}`;

export function IdTags({ may }) {
  const [search, setSearch] = useState("");
  const [pages, setPages] = useState(null);
  const [fault, setFault] = useState(null);
  const [open, setOpen] = useState(null);
  const turn = useRef(0);
  const load = async (cursor) => {
    const mine = ++turn.current;
    try {
      const page = await api.get("/id-tags", { search, limit: 100, cursor });
      if (mine === turn.current) setPages((before) => ({ items: cursor ? [...before.items, ...page.items] : page.items, next: page.next }));
      setFault(null);
    } catch (problem) { setFault(problem); }
  };
  useEffect(() => { if (!may("write")) return undefined; const wait = setTimeout(load, 200); return () => clearTimeout(wait); }, [search]);
  if (!may("write")) return html`<${Head} title="Id tags" /><p>Id tags are personal data, which only operators see.</p>`;
  const edit = async (tag) => { try { const found = await api.get(at(tag.id_tag)); setOpen({ tag: found, etag: found.etag }); } catch (problem) { toast(problem.message, true); } };
  const done = (sent) => { setOpen(null); if (sent) load(); };
  const columns = [
    ["Id tag", (tag) => html`<code>${tag.id_tag}</code>`], ["Status", (tag) => html`<${Chip} of=${tag.status} />`], ["Expires", (tag) => (tag.expires_at ? time(tag.expires_at) : "never")],
    ["Parent", (tag) => tag.parent ?? "–"], ["At once", (tag) => tag.max_active_transactions ?? "any", "number"],
    ["", (tag) => html`<button class="plain" onClick=${() => edit(tag)}>Edit<span class="hidden-label"> ${tag.id_tag}</span></button>`],
  ];
  return html`<${Head} title="Id tags"><button onClick=${() => setOpen({ csv: true })}>Import CSV</button><button class="main" onClick=${() => setOpen({ tag: {} })}>Add id tag</button><//>
    <${Fault} of=${fault} />
    <p><label><span class="hidden-label">Search</span><input type="search" placeholder="Begins with …" value=${search} onInput=${(e) => setSearch(e.target.value)} /></label></p>
    <${Table} label="Id tags" columns=${columns} rows=${pages?.items.map((tag) => ({ ...tag, id: tag.id_tag }))} empty="No id tags on file. The setting unknown_id_tags decides whether unknown ones may charge." />
    ${pages?.next && html`<button onClick=${() => load(pages.next)}>More</button>`}
    ${open?.tag && html`<${Edit} ...${open} onDone=${done} />`}
    ${open?.csv && html`<${Dialog} title="Import id tags" action="Import" onDone=${done} submit=${async (form) => {
      const imported = await api.post("/id-tags/import", await form.get("file").text(), { "Content-Type": "text/csv" });
      toast(`${imported.added} added, ${imported.replaced} replaced.`);
    }}><p>The first line names the columns: <code>id_tag</code>, and optionally <code>status</code>, <code>expires_at</code>, <code>parent</code>, <code>max_active_transactions</code>. If a line has a fault, nothing is imported.</p>
      <label>File<input type="file" name="file" accept=".csv,text/csv" required /></label><//>`}`;
}

function Edit({ tag, etag, onDone }) {
  const isNew = !tag.id_tag;
  const local = tag.expires_at ? new Date(new Date(tag.expires_at) - new Date().getTimezoneOffset() * 60000).toISOString().slice(0, 16) : "";
  return html`<${Dialog} title=${isNew ? "Add id tag" : `Edit ${tag.id_tag}`} onDone=${onDone} submit=${(form) => api.put(at(isNew ? form.get("id_tag").trim() : tag.id_tag), {
    status: form.get("status"), expires_at: form.get("expires_at") ? new Date(form.get("expires_at")).toISOString() : null, parent: form.get("parent").trim() || null,
    max_active_transactions: form.get("max") === "" ? null : Number(form.get("max")),
  }, etag)}>
    <div class="fields">
      ${isNew && html`<${Field} label="Id tag" name="id_tag" required maxlength="255" />`}
      <${Choice} label="Status" name="status" value=${tag.status ?? "Accepted"} of=${STATUSES} />
      <${Field} label="Expires" name="expires_at" type="datetime-local" value=${local} />
      <${Field} label="Parent (group)" name="parent" value=${tag.parent ?? ""} />
      <${Field} label="Sessions at once" name="max" type="number" min="0" value=${tag.max_active_transactions ?? ""} hint="Empty: any number." />
    </div>
    ${!isNew && html`<p><button type="button" class="danger" onClick=${async () => { try { await api.remove(at(tag.id_tag), etag); onDone(true); } catch (problem) { toast(problem.message, true); } }}>Remove</button></p>`}<//>`;
}
