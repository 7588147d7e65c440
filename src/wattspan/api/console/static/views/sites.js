// Sites: a list with what each does now, and one site with its power, charge points and fields.

import * as api from "../api.js";
import { useFleet } from "../fleet_store.js";
import { count, percent, power } from "../format.js";
import { Matrix } from "../matrix.js";
import { to, toChargePoint, useQuery } from "../router.js";
import { readSites } from "../sites.js";
import { worstFirst } from "../status.js";
import { Ago, Chip, Counts, Dialog, Fault, Field, Figures, Head, Properties, Search, Segments, Skeleton, Table, html, sorted, toast, useEffect, useLoaded, useMemo, useState } from "../ui.js";
import { LabelsField, labelsOf } from "./labels_field.js";
import { SiteMap, placed } from "./map.js";
import { PowerChart } from "./power.js";

const at = (id) => `/sites/${encodeURIComponent(id)}`;
const REFRESH_MS = 10_000;
const limitOf = (site) => [site.grid_limit_kw && `${site.grid_limit_kw} kW`, site.grid_limit_a && `${site.grid_limit_a} A`].filter(Boolean).join(", ");
/** The share of the grid limit in use, or null without one in kW. */
const loadOf = (site) => (site.grid_limit_kw ? site.now.power_w / 1000 / site.grid_limit_kw : null);

const Load = ({ of }) => { const share = loadOf(of); return share === null ? "" : html`<div class="bar" style="margin:0;width:90px" role="meter" aria-label="Share of the grid limit" aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(share * 100)} title=${percent(share, 0)}><span class=${share > 0.9 ? "near" : ""} style=${`width:${Math.min(1, share) * 100}%`}></span></div>`; };

const COLUMNS = [
  { key: "name", title: "Site", sort: (site) => site.name || site.site_id, cell: (site) => html`<a href=${to(at(site.site_id))}>${site.name || site.site_id}</a>` },
  { key: "cps", title: "Charge points", number: true, side: true, sort: (site) => site.now.charge_points, cell: (site) => html`${count(site.now.connected)} <span class="soft">of ${count(site.now.charge_points)}<span class="phone"> connected</span></span>` },
  { key: "states", title: "Connectors", cell: (site) => html`<${Counts} of=${worstFirst(site.now.statuses)} />` },
  { key: "sessions", title: "Sessions", number: true, noCard: true, wide: true, sort: (site) => site.now.sessions, cell: (site) => site.now.sessions || "" },
  { key: "power", title: "Power", number: true, side: true, sort: (site) => site.now.power_w, cell: (site) => (site.now.power_w ? power(site.now.power_w) : "") },
  { key: "limit", title: "Grid limit", noCard: true, sort: (site) => site.grid_limit_kw ?? 0, cell: (site) => limitOf(site) },
  { key: "load", title: "Load", noCard: true, sort: (site) => loadOf(site) ?? -1, cell: (site) => html`<${Load} of=${site} />` },
  { key: "address", title: "Address", sort: (site) => site.address, cell: (site) => site.address },
];

export function Sites({ may, settings }) {
  const loaded = useLoaded(() => api.get("/sites"));
  const [read, change] = useQuery();
  const [isAdding, setAdding] = useState(false);
  useEffect(() => { const timer = setInterval(loaded.again, REFRESH_MS); return () => clearInterval(timer); }, []);
  const [search, order] = [read("q").trim().toLowerCase(), read("sort") || "name"];
  const rows = useMemo(() => (loaded.value ? sorted(loaded.value.items.filter((site) => `${site.site_id} ${site.name} ${site.address} ${Object.entries(site.labels).flat().join(" ")}`.toLowerCase().includes(search)).map((site) => ({ ...site, id: site.site_id })), COLUMNS, order) : null), [loaded.value, search, order]);
  const onMap = useMemo(() => placed(rows ?? []), [rows]);
  const isMap = Boolean(settings.map_style_url) && read("view") === "map";
  return html`<${Head} title="Sites">${settings.map_style_url && html`<${Segments} label="View" of=${[["", "List"], ["map", "Map"]]} value=${read("view")} onChange=${(view) => change({ view })} />`}${may("write") && html`<button onClick=${() => setAdding(true)}>Add site</button>`}<//>
    <${Fault} of=${loaded.fault} />
    <div class="filters"><${Search} label="Search" placeholder="Search name, address, label" value=${read("q")} onInput=${(q) => change({ q })} /></div>
    ${isMap && rows && (onMap.length ? html`<${SiteMap} url=${settings.map_style_url} sites=${onMap} />` : html`<section class="panel"><p class="soft">No site shown has a position. Set latitude and longitude under <em>Edit</em> on its page.</p></section>`)}
    <${Table} label="Sites" columns=${COLUMNS} rows=${rows} order=${order} onOrder=${(sort) => change({ sort })} empty=${loaded.value?.items.length ? "No site matches the search." : "No sites yet. A site groups charge points, sums their power and has a grid limit. Add one, then choose charge points in the fleet and set their site."} />
    ${isAdding && html`<${Edit} onDone=${(sent) => { setAdding(false); if (sent) loaded.again(); }} />`}`;
}

const CP_COLUMNS = [
  { key: "id", title: "Charge point", sort: (cp) => cp.name || cp.cp_id, cell: (cp) => html`<a href=${toChargePoint(cp.cp_id)}>${cp.name || cp.cp_id}</a>` },
  { key: "status", title: "Status", side: true, sort: (cp) => cp.worst, cell: (cp) => html`<${Chip} of=${cp.connected ? cp.worst ?? "Unknown" : "Offline"} />` },
  { key: "states", title: "Connectors", cell: (cp) => html`<${Counts} of=${cp.statuses} isPast=${!cp.connected} />` },
  { key: "power", title: "Power", number: true, side: true, sort: (cp) => cp.power_w, cell: (cp) => (cp.power_w ? power(cp.power_w) : "") },
  { key: "location", title: "Location", sort: (cp) => cp.location, cell: (cp) => cp.location },
  { key: "seen", title: "Last message", side: true, sort: (cp) => cp.seen_ms, cell: (cp) => html`<${Ago} at=${cp.last_message_at} />` },
];

export function Site({ id, may, settings }) {
  const loaded = useLoaded(() => api.get(at(id)), [id]);
  const availability = useLoaded(() => (settings.history ? api.get("/availability", { site_id: id }) : Promise.resolve(null)), [id]);
  const store = useFleet(1000);
  const [read, change] = useQuery();
  const [open, setOpen] = useState(null);
  useEffect(() => { const timer = setInterval(loaded.again, REFRESH_MS); return () => clearInterval(timer); }, [id]);
  const order = read("sort") || "id";
  const rows = useMemo(() => sorted([...store.chargePoints.values()].filter((cp) => cp.site_id === id), CP_COLUMNS, order), [store.version, store.isLoaded, id, order]);
  const site = loaded.value;
  if (!site) return html`<div key="waiting"><p class="crumb"><a href="#/sites">Sites</a></p><${Head} title=${id} /><${Fault} of=${loaded.fault} />${!loaded.fault && html`<${Skeleton} />`}</div>`;
  const ids = new Set(rows.map((cp) => cp.cp_id));
  return html`<div key="there"><p class="crumb"><a href="#/sites">Sites</a></p>
    <${Head} title=${site.name || id}>${may("write") && html`<button onClick=${() => setOpen("edit")}>Edit</button><button class="danger" onClick=${() => setOpen("remove")}>Remove</button>`}<//>
    <${Fault} of=${loaded.fault} />
    <${Figures} of=${[
      ["Power now", html`${power(site.now.power_w)}<span class="note">${limitOf(site) ? `of ${limitOf(site)}${loadOf(site) === null ? "" : `, ${percent(loadOf(site), 0)}`}` : "no grid limit set"}</span>`],
      ["Sessions", count(site.now.sessions)], ["Connected", html`${count(site.now.connected)} <small>of ${count(site.now.charge_points)}</small>`], ["Connectors", html`${count(site.now.connectors)}<span class="note"><${Counts} of=${worstFirst(site.now.statuses)} /></span>`],
      ...(availability.value ? [["Available, 30 days", percent(availability.value.availability)]] : []),
    ]} />
    ${settings.history && html`<${PowerChart} span=${read("span") || "today"} onSpan=${(span) => change({ span })} filter=${{ site_id: id }} by="total" limit_kw=${site.grid_limit_kw} />`}
    ${rows.length > 0 && html`<section class="panel"><h2>Connectors</h2><${Matrix} store=${store} groupOf=${(cp) => cp.location} wanted=${(cp) => ids.has(cp.cp_id)} filterKey=${`${id} ${rows.length}`} /></section>`}
    <${Table} label="Charge points" columns=${CP_COLUMNS} rows=${rows} order=${order} onOrder=${(sort) => change({ sort })} empty=${html`No charge point is at this site. <a href=${to("/fleet", { site: "-" })}>Choose those without a site</a> in the fleet, and <em>Set site</em>.`} />
    <section class="panel"><h2>About</h2><${Properties} of=${[["Id", html`<code>${id}</code>`], ["Address", site.address], ["Time zone", site.time_zone], ["Position", site.latitude === null || site.longitude === null ? null : `${site.latitude}, ${site.longitude}`], ["Grid limit", limitOf(site)], ["Labels", Object.entries(site.labels).map(([name, value]) => (value ? `${name}: ${value}` : name)).join(", ")], ["Note", site.note]]} /></section>
    ${open === "edit" && html`<${Edit} site=${site} etag=${site.etag} onDone=${(sent) => { setOpen(null); if (sent) loaded.again(); }} />`}
    ${open === "remove" && html`<${Dialog} title=${`Remove ${site.name || id}`} action="Remove" danger=${true} onDone=${(sure) => { setOpen(null); if (sure) { readSites(); location.hash = "#/sites"; } }} submit=${() => api.remove(at(id), site.etag)}><p>Its charge points stay, without a site.</p><//>`}</div>`;
}

const number = (form, name) => (form.get(name) === "" ? null : Number(form.get(name)));

function Edit({ site = null, etag, onDone }) {
  return html`<${Dialog} title=${site ? `Edit ${site.name || site.site_id}` : "Add site"} onDone=${onDone} submit=${async (form) => {
    const id = site?.site_id ?? form.get("site_id").trim();
    await api.put(at(id), {
      name: form.get("name"), address: form.get("address"), time_zone: form.get("time_zone") || "UTC", latitude: number(form, "latitude"), longitude: number(form, "longitude"),
      grid_limit_kw: number(form, "grid_limit_kw"), grid_limit_a: number(form, "grid_limit_a"), note: form.get("note"), labels: labelsOf(form.get("labels")),
    }, etag);
    await readSites();
    toast(site ? "Saved." : `${form.get("name") || id} is added.`);
  }}><div class="fields">
      ${!site && html`<${Field} label="Id" name="site_id" required maxlength="64" pattern="[A-Za-z0-9][A-Za-z0-9._\\-]*" hint="Short and stable: metrics carry it." />`}
      <${Field} label="Name" name="name" value=${site?.name ?? ""} maxlength="500" /><${Field} label="Address" name="address" value=${site?.address ?? ""} maxlength="500" />
      <${Field} label="Time zone" name="time_zone" value=${site?.time_zone ?? Intl.DateTimeFormat().resolvedOptions().timeZone} />
      <${Field} label="Grid limit, kW" name="grid_limit_kw" type="number" min="0.001" step="any" value=${site?.grid_limit_kw ?? ""} /><${Field} label="Grid limit, A a phase" name="grid_limit_a" type="number" min="0.001" step="any" value=${site?.grid_limit_a ?? ""} />
      <${Field} label="Latitude" name="latitude" type="number" min="-90" max="90" step="any" value=${site?.latitude ?? ""} /><${Field} label="Longitude" name="longitude" type="number" min="-180" max="180" step="any" value=${site?.longitude ?? ""} />
      <${LabelsField} labels=${site?.labels ?? {}} /><${Field} label="Note" name="note" value=${site?.note ?? ""} maxlength="500" />
    </div><//>`;
}
