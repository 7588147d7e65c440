// Id tags on file: groups, import with a preview, blocking, enrolment by tapping a card.

import * as api from "../api.js";
import { fleet } from "../fleet_store.js";
import { count, plural, time } from "../format.js";
import { ChargePointLink } from "./charge_point_link.js";
import { to, useQuery } from "../router.js";
import { Ago, Chip, Choice, Dialog, Fault, Field, Head, Search, Segments, Table, html, toast, useEffect, useLoaded, usePages, useRef, useState } from "../ui.js";

const STATUSES = ["Accepted", "Blocked", "Expired", "Invalid"];
const SOON_DAYS = 30;
const POLL_MS = 1000;
const at = (tag) => `/id-tags/${encodeURIComponent(tag)}`;
const soon = () => new Date(Math.ceil(Date.now() / 60_000) * 60_000 + SOON_DAYS * 86_400_000).toISOString();

export function IdTags({ may }) {
  const [read, change] = useQuery();
  const [open, setOpen] = useState(null);
  const isAllowed = may("write");
  const [group, expiring] = [read("group"), read("show") === "expiring"];
  const pages = usePages("/id-tags", isAllowed ? { search: read("q"), limit: 100, ...(group ? { group: group === "-" ? undefined : group } : {}), expires_before: expiring ? soon() : undefined } : null);
  const groups = useLoaded(() => (isAllowed ? api.get("/id-tag-groups") : Promise.resolve([])));
  if (!isAllowed) return html`<${Head} title="Id tags" /><p>Id tags are personal data, which only operators see.</p>`;
  const edit = async (tag) => { try { const found = await api.get(at(tag.id_tag)); setOpen({ tag: found, etag: found.etag }); } catch (problem) { toast(problem.message, true); } };
  const done = (sent) => { setOpen(null); if (sent) { pages.again(); groups.again(); } };
  const block = async (body, text) => { try { const { changed } = await api.post("/id-tags/block", body); toast(`${plural(changed, "id tag")} ${text}.`); pages.again(); groups.again(); } catch (problem) { toast(problem.message, true); } };
  const columns = [
    { title: "Id tag", cell: (tag) => html`<code>${tag.id_tag}</code>` }, { title: "Status", side: true, cell: (tag) => html`<${Chip} of=${tag.status} />` },
    { title: "Group", cell: (tag) => tag.group ?? "" }, { title: "Expires", side: true, cell: (tag) => (tag.expires_at ? html`<span class=${new Date(tag.expires_at) - Date.now() < SOON_DAYS * 86_400_000 ? "chip hold" : ""}>${time(tag.expires_at)}</span>` : "never") },
    { title: "Last used", cell: (tag) => (tag.last_used_at ? html`<${Ago} at=${tag.last_used_at} /> <${ChargePointLink} id=${tag.last_used_cp_id} />` : "") },
    ...(pages.items?.some((tag) => tag.parent) ? [{ title: "Parent", noCard: true, cell: (tag) => tag.parent ?? "" }] : []),
    ...(pages.items?.some((tag) => tag.max_active_transactions !== null) ? [{ title: "At once", number: true, noCard: true, cell: (tag) => tag.max_active_transactions ?? "any" }] : []),
    { title: "", cell: (tag) => html`<span class="actions row"><a class="plain" href=${to("/sessions", { tag: tag.id_tag, period: "7d" })}>Sessions<span class="hidden-label"> of ${tag.id_tag}</span></a>
      ${tag.status === "Blocked" ? html`<button class="plain" onClick=${() => block({ id_tags: [tag.id_tag], blocked: false }, "accepted")}>Accept<span class="hidden-label"> ${tag.id_tag}</span></button>` : html`<button class="plain" onClick=${() => block({ id_tags: [tag.id_tag], blocked: true }, "blocked everywhere")}>Block<span class="hidden-label"> ${tag.id_tag}</span></button>`}
      <button class="plain" onClick=${() => edit(tag)}>Edit<span class="hidden-label"> ${tag.id_tag}</span></button></span>` },
  ];
  const named = (groups.value ?? []).filter((each) => each.group);
  const here = named.find((each) => each.group === group);
  return html`<${Head} title="Id tags"><button onClick=${() => setOpen({ enrol: true })}>Enrol by tapping</button><button onClick=${() => setOpen({ csv: true })}>Import CSV</button><button class="main" onClick=${() => setOpen({ tag: {} })}>Add id tag</button><//>
    <${Fault} of=${pages.fault} />
    <div class="filters"><${Search} label="Search" placeholder="Begins with …" value=${read("q")} onInput=${(q) => change({ q })} />
      ${named.length > 0 && html`<label><span class="hidden-label">Group</span><select value=${group} onChange=${(e) => change({ group: e.target.value })}>${[["", "All groups"], ...named.map((each) => [each.group, `${each.group} (${count(each.id_tags)})`])].map(([key, title]) => html`<option value=${key} selected=${key === group}>${title}</option>`)}</select></label>`}
      <${Segments} label="Show" of=${[["", "All"], ["expiring", "Expire soon"]]} value=${read("show")} onChange=${(show) => change({ show })} />
      ${here && html`<button class="danger" onClick=${() => setOpen({ group: here })}>Block the group</button>`}</div>
    <${Table} label="Id tags" columns=${columns} rows=${pages.items?.map((tag) => ({ ...tag, id: tag.id_tag })) ?? null} empty=${read("q") || group || expiring ? "No id tag matches." : "No id tags on file. The setting unknown_id_tags decides whether unknown ones may charge."} />
    ${pages.more && html`<button onClick=${pages.more}>More</button>`}
    ${open?.tag && html`<${Edit} ...${open} groups=${named} onRemove=${() => setOpen({ removed: open.tag, etag: open.etag })} onDone=${done} />`}
    ${open?.removed && html`<${Dialog} title=${`Remove ${open.removed.id_tag}`} action="Remove" danger=${true} onDone=${done} submit=${() => api.remove(at(open.removed.id_tag), open.etag)}><p>It is then unknown. The setting unknown_id_tags decides whether it may charge. Its sessions are kept.</p><//>`}
    ${open?.csv && html`<${Import} onDone=${done} />`}
    ${open?.enrol && html`<${Enrol} groups=${named} onDone=${done} />`}
    ${open?.group && html`<${Dialog} title=${`Block ${open.group.group}`} action=${`Block ${plural(open.group.id_tags, "id tag")}`} danger=${true} onDone=${done} submit=${() => api.post("/id-tags/block", { group: open.group.group, blocked: true }).then(({ changed }) => toast(`${plural(changed, "id tag")} blocked.`))}>
      <p>Nobody can start a session with an id tag of this group any more. Sessions that run go on.</p><//>`}`;
}

const GroupField = ({ value = "", groups }) => html`<label>Group<input name="group" defaultValue=${value ?? ""} maxlength="100" list="tag-groups" autocomplete="off" /><datalist id="tag-groups">${groups.map((each) => html`<option value=${each.group} />`)}</datalist></label>`;

function Edit({ tag, etag, groups, onRemove, onDone }) {
  const isNew = !tag.id_tag;
  const local = tag.expires_at ? new Date(new Date(tag.expires_at) - new Date().getTimezoneOffset() * 60000).toISOString().slice(0, 16) : "";
  return html`<${Dialog} title=${isNew ? "Add id tag" : `Edit ${tag.id_tag}`} onDone=${onDone} submit=${(form) => put(isNew ? form.get("id_tag").trim() : tag.id_tag, {
    status: form.get("status"), expires_at: form.get("expires_at") ? new Date(form.get("expires_at")).toISOString() : null, parent: form.get("parent").trim() || null, group: form.get("group").trim(), note: form.get("note"),
    max_active_transactions: form.get("max") === "" ? null : Number(form.get("max")),
  }, etag)}>
    <div class="fields">
      ${isNew && html`<${Field} label="Id tag" name="id_tag" required maxlength="255" />`}
      <${Choice} label="Status" name="status" value=${tag.status ?? "Accepted"} of=${STATUSES} />
      <${GroupField} value=${tag.group} groups=${groups} />
      <${Field} label="Expires" name="expires_at" type="datetime-local" value=${local} />
      <${Field} label="Parent (OCPP's group)" name="parent" value=${tag.parent ?? ""} />
      <${Field} label="Sessions at once" name="max" type="number" min="0" value=${tag.max_active_transactions ?? ""} hint="Empty: any number." />
      <${Field} label="Note" name="note" value=${tag.note ?? ""} maxlength="500" />
    </div>
    ${!isNew && html`<div class="actions below"><button type="button" class="danger" onClick=${onRemove}>Remove</button></div>`}<//>`;
}

const PRECONDITION_REQUIRED = 428;

/** Adds or replaces an id tag. Without an etag, one that exists is not replaced. */
async function put(id_tag, fields, etag) {
  try {
    await api.put(at(id_tag), fields, etag);
  } catch (problem) {
    throw problem.status === PRECONDITION_REQUIRED ? new Error(`${id_tag} is on file already. Edit it in the list.`) : problem;
  }
}

/** Shows what an import would change before it changes it. */
function Import({ onDone }) {
  const [preview, setPreview] = useState(null);
  const send = async (form) => {
    const csv = preview?.csv ?? await form.get("file").text();
    const answer = await api.post(`/id-tags/import${preview ? "" : "?preview=true"}`, csv, { "Content-Type": "text/csv" });
    if (preview) { toast(`${answer.added} added, ${answer.replaced - answer.unchanged} changed.`); return true; }
    setPreview({ csv, ...answer });
    return false;
  };
  return html`<${Dialog} title="Import id tags" action=${preview ? "Import" : "Preview"} onDone=${onDone} submit=${send}>
    ${!preview && html`<p>The first line names the columns: <code>id_tag</code>, and optionally <code>status</code>, <code>expires_at</code>, <code>parent</code>, <code>max_active_transactions</code>, <code>group</code>, <code>note</code>. If a line has a fault, nothing is imported.</p>
      <label>File<input type="file" name="file" accept=".csv,text/csv" required /></label>`}
    ${preview && html`<p>${count(preview.added)} new, ${count(preview.replaced - preview.unchanged)} changed, ${count(preview.unchanged)} unchanged.</p>
      <div class="scroll" style="max-height:260px" role="region" aria-label="Changes" tabindex="0"><table><thead><tr><th scope="col">Id tag</th><th scope="col">Change</th></tr></thead><tbody>${preview.changes.map((each) => html`<tr key=${each.id_tag}><td><code>${each.id_tag}</code></td><td>${each.before ? each.fields.map((name) => `${name}: ${each.before[name] || "–"} → ${each.after[name] || "–"}`).join(", ") : `new, ${each.after.status}`}</td></tr>`)}</tbody></table></div>`}<//>`;
}

const ENROL_ACTIONS = { waiting: "Stop waiting", enrolled: "Close", expired: "Wait again" };

/** Puts the next unknown card at a charge point on file. The server stops waiting for it when the dialog is closed. */
function Enrol({ groups, onDone }) {
  const [state, setState] = useState(null);
  const asked = useRef(null);
  const waiting = useRef(null); // the id of the charge point
  waiting.current = state?.state === "waiting" ? state.cp_id : null;
  const polled = useRef(Promise.resolve());
  const path = (id) => `/charge-points/${encodeURIComponent(id)}/enrol`;
  useEffect(() => () => {
    const left = waiting.current; // after a poll on its way, which would find nothing any more
    if (left) polled.current.then(() => api.remove(path(left))).catch((problem) => toast(problem.message, true));
  }, []);
  useEffect(() => {
    if (state?.state !== "waiting") return undefined;
    let timer = null;
    let isOver = false;
    const poll = async () => {
      await (polled.current = api.get(path(state.cp_id)).then(setState, () => {}));
      if (!isOver) timer = setTimeout(poll, POLL_MS);
    };
    timer = setTimeout(poll, POLL_MS);
    return () => { isOver = true; clearTimeout(timer); };
  }, [state?.state]);
  const connected = [...fleet.chargePoints.values()].filter((cp) => cp.connected);
  return html`<${Dialog} title="Enrol by tapping" action=${ENROL_ACTIONS[state?.state] ?? "Wait for a card"} canCancel=${state?.state !== "waiting" && state?.state !== "enrolled"} onDone=${() => onDone(state?.state === "enrolled")} submit=${async (form) => {
    if (state && state.state !== "expired") return true;
    asked.current ??= { cp_id: form.get("cp_id").trim(), seconds: 60, group: form.get("group").trim(), note: form.get("note") };
    const { cp_id, ...card } = asked.current;
    setState(await api.post(path(cp_id), card));
    return false;
  }}>
    ${!state && html`<div class="fields"><label>Charge point<input name="cp_id" required list="enrol-at" autocomplete="off" /><datalist id="enrol-at">${connected.slice(0, 500).map((cp) => html`<option value=${cp.cp_id}>${cp.name}</option>`)}</datalist></label>
      <${GroupField} groups=${groups} /><${Field} label="Note" name="note" maxlength="500" /></div>`}
    <div role="status">${state?.state === "waiting" && html`<p>Hold the card to the reader of <strong>${state.cp_id}</strong> within a minute.</p>`}
      ${state?.state === "enrolled" && html`<p><span class="chip free">Enrolled</span> <code>${state.id_tag}</code> is on file${state.group ? `, in ${state.group}` : ""}.</p>`}
      ${state?.state === "expired" && html`<p><span class="chip hold">No card</span> Nobody held an unknown card to the reader.</p>`}</div><//>`;
}
