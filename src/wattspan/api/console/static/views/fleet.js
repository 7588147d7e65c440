// All charge points: as a list to search, filter and sort, or as the status matrix.

import * as api from "../api.js";
import { isStale } from "../attention.js";
import { fleet, useFleet } from "../fleet_store.js";
import { count, power } from "../format.js";
import { Matrix } from "../matrix.js";
import { to, toChargePoint, useQuery } from "../router.js";
import { stateOf } from "../status.js";
import { placeOf, siteName, useSites } from "../sites.js";
import { Ago, Chip, Choice, Counts, Dialog, Fault, Field, Head, Search, Segments, Table, html, sorted, toast, useColumns, useMemo, useState } from "../ui.js";
import { NewJob } from "./jobs.js";
import { SetSite } from "./set_site.js";
import { SavedViews } from "./saved.js";
import { StateLegend } from "./legend.js";

const SHOWS = [["", "All"], ["connected", "Connected"], ["offline", "Offline"], ["charging", "Charging"], ["faulted", "Faulted"], ["stale", "Stale"]];

/** On a screen of middle width, what the site says already is left out; the picker shows it. */
const IS_MEDIUM = matchMedia("(min-width: 761px) and (max-width: 1360px)").matches;

const COLUMNS = [
  { key: "id", isStatic: true, title: "Charge point", isFixed: true, sort: (cp) => cp.name || cp.cp_id, cell: (cp) => html`<a href=${toChargePoint(cp.cp_id)}>${cp.name || cp.cp_id}</a>${cp.name && html` <span class="soft">${cp.cp_id}</span>`}` },
  { key: "status", title: "Status", width: "150px", side: true, sort: (cp) => (cp.connected ? cp.worst : "Offline"), cell: (cp) => html`<${Chip} of=${cp.connected ? cp.worst ?? "Unknown" : "Offline"} />` },
  { key: "connectors", title: "Connectors", width: "150px", cell: (cp) => html`<${Counts} of=${cp.statuses} isPast=${!cp.connected} />` },
  { key: "power", title: "Power", number: true, side: true, width: "95px", sort: (cp) => cp.power_w, cell: (cp) => (cp.power_w ? power(cp.power_w) : "") },
  { key: "sessions", title: "Sessions", number: true, isHidden: IS_MEDIUM, noCard: true, width: "90px", sort: (cp) => cp.transactions, cell: (cp) => cp.transactions || "" },
  { key: "site", isStatic: true, title: "Site" },
  { key: "location", isStatic: true, title: "Location", isHidden: IS_MEDIUM, width: "160px", sort: (cp) => cp.location, cell: (cp) => cp.location },
  { key: "seen", title: "Last message", side: true, width: "140px", sort: (cp) => cp.seen_ms, cell: (cp) => html`<${Ago} at=${cp.last_message_at} />` },
  { key: "model", isStatic: true, title: "Model", isHidden: IS_MEDIUM, noCard: true, width: "190px", sort: (cp) => `${cp.vendor} ${cp.model}`, cell: (cp) => [cp.vendor, cp.model].filter(Boolean).join(" ") },
  { key: "firmware", isStatic: true, title: "Firmware", noCard: true, isHidden: true, width: "130px", sort: (cp) => cp.firmware, cell: (cp) => cp.firmware },
  { key: "protocol", isStatic: true, title: "OCPP", isHidden: IS_MEDIUM, noCard: true, width: "80px", sort: (cp) => cp.protocol, cell: (cp) => cp.protocol.replace("ocpp", "") },
  { key: "boots", title: "Boots", number: true, noCard: true, isHidden: true, width: "80px", sort: (cp) => cp.boots ?? 0, cell: (cp) => cp.boots ?? "" },
];

const pickColumn = (picked, toggle) => ({ key: "pick", title: "", noCard: true, isPick: true, width: "40px", cell: (cp) => html`<input type="checkbox" aria-label=${`Choose ${cp.cp_id}`} checked=${picked.has(cp.cp_id)} onChange=${() => toggle(cp.cp_id)} />` });

const siteColumn = (sites) => ({ key: "site", isStatic: true, title: "Site", width: "150px", noCard: true, isHidden: sites.size === 0, sort: (cp) => siteName(sites, cp.site_id), cell: (cp) => (cp.site_id ? html`<a href=${to(`/sites/${encodeURIComponent(cp.site_id)}`)}>${siteName(sites, cp.site_id)}</a>` : "") });

/** Returns whether a text of the search is in what people call a charge point. */
function matches(cp, wanted) {
  return `${cp.cp_id} ${cp.name} ${cp.location} ${cp.site_id ?? ""} ${Object.entries(cp.labels ?? {}).flat().join(" ")} ${cp.vendor} ${cp.model} ${cp.firmware}`.toLowerCase().includes(wanted);
}

/** Returns the charge points that a filter shows. `state`: those with a connector in it. */
export function filtered(rows, { search, show, state, site, label }, staleAfterS) {
  const [labelName, labelValue] = label.split(":");
  const wanted = search.trim().toLowerCase();
  const now = Date.now();
  const shows = {
    "": () => true, connected: (cp) => cp.connected, offline: (cp) => !cp.connected, charging: (cp) => cp.transactions > 0,
    faulted: (cp) => cp.connectors.some((each) => each.status === "Faulted"), stale: (cp) => isStale(cp, staleAfterS, now),
  };
  const isShown = shows[show] ?? shows[""];
  return rows.filter((cp) => isShown(cp) && (!site || (cp.site_id ?? "-") === site) && (!label || (labelName in cp.labels && (labelValue === undefined || cp.labels[labelName] === labelValue))) && (!wanted || matches(cp, wanted)) && (!state || cp.outlets.some((each) => stateOf(cp, each) === state)));
}

export function Fleet({ may, settings }) {
  const store = useFleet(1000);
  const [read, change] = useQuery();
  const [isAdding, setAdding] = useState(false);
  const [secret, setSecret] = useState(null);
  const sites = useSites();
  const all = useMemo(() => COLUMNS.map((each) => (each.key === "site" ? siteColumn(sites) : each)), [sites]);
  const [picked, setPicked] = useState(new Set());
  const [isCommanding, setCommanding] = useState(false);
  const [isPlacing, setPlacing] = useState(false);
  const [shownColumns, picker] = useColumns("fleet", all);
  const toggle = (id) => setPicked((before) => { const next = new Set(before); if (!next.delete(id)) next.add(id); return next; });
  const columns = useMemo(() => (may("command") ? [pickColumn(picked, toggle), ...shownColumns] : shownColumns), [shownColumns, picked]);
  const [search, show, state, order, view, site, label] = [read("q"), read("show"), read("state"), read("sort") || "id", read("view"), read("site"), read("label")];
  const isMatrix = view === "matrix";
  const isStatic = all.find((each) => each.key === order.replace("-", ""))?.isStatic;
  const ordered = useMemo(() => sorted([...store.chargePoints.values()], all, order), [isStatic ? store.structure : store.version, store.isLoaded, order, all]);
  const shown = useMemo(() => (store.isLoaded ? filtered(ordered, { search, show, site, label, state: isMatrix ? "" : state }, settings.stale_after_s) : null),
    [store.version, store.isLoaded, search, show, state, order, isMatrix, site, label, all]);
  const set = (name) => (value) => change({ [name]: value, row: "" });
  const ids = isMatrix && (search || show || site || label) ? new Set(shown?.map((cp) => cp.cp_id)) : null;
  return html`
    <${Head} title="Fleet"><${Segments} label="View" of=${[["", "List"], ["matrix", "Matrix"]]} value=${view} onChange=${set("view")} />${may("write") && html`<button onClick=${() => setAdding(true)}>Add charge point</button>`}<//>
    <${Fault} of=${store.fault} />
    <div class="filters"><${Search} label="Search" placeholder="Search name, location, label, model" value=${search} onInput=${set("q")} />
      <${Segments} label="Show" of=${SHOWS} value=${show} onChange=${set("show")} />
      ${sites.size > 0 && html`<label><span class="hidden-label">Site</span><select value=${site} onChange=${(e) => set("site")(e.target.value)}>${[["", "All sites"], ...[...sites.values()].map((each) => [each.site_id, each.name || each.site_id]), ["-", "No site"]].map(([key, title]) => html`<option value=${key} selected=${key === site}>${title}</option>`)}</select></label>`}
      <span class="spring"></span><${SavedViews} page="fleet" may=${may} />${!isMatrix && picker}</div>
    ${label && html`<p><span class="chip plain">${label}</span> <button class="plain" onClick=${() => change({ label: "" })}>Show all</button></p>`}
    ${state && !isMatrix && html`<p><span class="chip">Connector ${state}</span> <button class="plain" onClick=${() => change({ state: "" })}>Show all</button></p>`}
    <div class="head chosen"><span class="soft small" role="status">${shown ? `${count(shown.length)} shown` : "Loading …"}</span>
      ${may("command") && shown?.length > 0 && !isMatrix && (picked.size ? html`<strong class="small">${count(picked.size)} chosen</strong><button class="main" onClick=${() => setCommanding(true)}>Command them</button>${may("write") && sites.size > 0 && html`<button onClick=${() => setPlacing(true)}>Set site</button>`}<button class="plain" onClick=${() => setPicked(new Set())}>Choose none</button>`
        : html`<button class="plain" onClick=${() => setPicked(new Set(shown.map((cp) => cp.cp_id)))}>Choose all shown</button>`)}</div>
    ${isMatrix && shown ? html`<section class="panel"><${StateLegend} states=${store.totals.states} value=${state} onChange=${set("state")} />
        <${Matrix} store=${store} groupOf=${(cp) => placeOf(sites, cp)} wanted=${ids ? (cp) => ids.has(cp.cp_id) : undefined} filterKey=${`${sites.size} ${ids ? [...ids].join(" ") : ""}`} lit=${state} /></section>`
      : html`<${Table} label="Charge points" name="fleet" columns=${columns} rows=${shown} order=${order} onOrder=${set("sort")} empty=${store.chargePoints.size ? "No charge point matches the search." : "No charge point has connected yet. Configure one with this server's OCPP URL, or try wattspan simulate."} />`}
    ${isCommanding && html`<${NewJob} ids=${[...picked]} may=${may} onDone=${(sent) => { setCommanding(false); if (sent) setPicked(new Set()); }} />`}
    ${isPlacing && html`<${SetSite} ids=${[...picked]} onDone=${(sent) => { setPlacing(false); if (sent) setPicked(new Set()); }} />`}
    ${isAdding && html`<${Add} onDone=${(made) => { setAdding(false); if (made) fleet.load(); }} onSecret=${setSecret} />`}
    ${secret && html`<${Secret} of=${secret} onDone=${() => setSecret(null)} />`}`;
}

function Add({ onDone, onSecret }) {
  return html`<${Dialog} title="Add charge point" action="Add" onDone=${onDone} submit=${async (form) => {
    const made = await api.post("/charge-points", { cp_id: form.get("cp_id").trim(), credentials: form.get("credentials") === "yes", name: form.get("name"), location: form.get("location") });
    toast(`${made.cp_id} is registered.`);
    if (made.secret) onSecret(made);
  }}>
    <div class="fields">
      <${Field} label="Identity" name="cp_id" required maxlength="255" hint="The last part of the URL that the charge point connects to." />
      <${Field} label="Name" name="name" />
      <${Field} label="Location" name="location" />
      <${Choice} label="Credentials" name="credentials" value="yes" of=${[["yes", "Generate a secret"], ["no", "None"]]} />
    </div>
  <//>`;
}

/** Shows a secret once: the server stores a hash of it. */
export function Secret({ of, onDone }) {
  return html`<${Dialog} title=${`Secret of ${of.cp_id}`} action="I have saved it" onDone=${onDone} submit=${async () => {}}>
    <p>Its Basic password (AuthorizationKey). It is not shown again.</p>
    <p><code style="overflow-wrap:anywhere">${of.secret}</code> <button type="button" class="plain" onClick=${() => navigator.clipboard?.writeText(of.secret).then(() => toast("Copied."))}>Copy</button></p>
  <//>`;
}
