// One charge point, in tabs: overview, sessions, messages, configuration, firmware and logs, security, events.

import * as api from "../api.js";
import { energy, time, words } from "../format.js";
import { to, toChargePoint, useQuery } from "../router.js";
import { siteName, useSites } from "../sites.js";
import { Ago, Chip, Dialog, Fault, Head, Properties, Skeleton, html, toast, useEffect, useLoaded, usePages, useRef, useState, useThrottled } from "../ui.js";
import { fleet } from "../fleet_store.js";
import { AnyCommand } from "./cp/commands.js";
import { Configuration } from "./cp/configuration.js";
import { Connector } from "./cp/connector.js";
import { Edit } from "./cp/edit.js";
import { Events } from "./cp/events.js";
import { FirmwareTab } from "./cp/firmware.js";
import { Health, health } from "./cp/health.js";
import { History, useHistory } from "./cp/history.js";
import { Messages } from "./cp/messages.js";
import { Operation } from "./cp/operations.js";
import { Outages } from "./cp/outages.js";
import { Secret } from "./fleet.js";
import { Certificates, SecurityEvents } from "./security.js";
import { TRANSACTION_COLUMNS, TransactionTable } from "./sessions.js";

const at = (id) => `/charge-points/${encodeURIComponent(id)}`;
/** The columns of sessions of this charge point: its connector, and not its name in each row. */
const OWN_SESSION_COLUMNS = TRANSACTION_COLUMNS.filter((each) => !each.isHidden).map((each) => (each.key === "cp" ? { key: "connector", title: "Connector", cell: (tx) => html`<span class="soft phone">Connector </span>${tx.connector_id}` } : each));

const TABS = [["", "Overview"], ["sessions", "Sessions"], ["messages", "Messages", "command"], ["configuration", "Configuration"], ["firmware", "Firmware and logs"], ["security", "Security"], ["events", "Events", null, "history"]];
/** The operations: name, title, whether it is seldom used, and what must be true of the charge point. */
const OPERATIONS = [["start", "Start"], ["stop", "Stop", false, (cp) => cp.transactions > 0], ["unlock", "Unlock"], ["reset", "Reset"], ["limit", "Set limit", true], ["reserve", "Reserve", true], ["availability", "Availability", true]];

export function ChargePoint({ id, may, onEvent, settings }) {
  const cp = useLoaded(() => api.get(at(id)), [id]);
  const again = useThrottled(cp.again, 700);
  const [read, change] = useQuery();
  const [open, setOpen] = useState(null);
  const [secret, setSecret] = useState(null);
  useEffect(() => onEvent((event) => { if (event.cp_id === id || event.kind === "Reset") again(); }), [id]);
  useEffect(() => fleet.subscribe((ids) => { if (ids?.has(id)) again(); }), [id]); // figures
  const here = cp.value;
  const sites = useSites();
  const tabs = useRef();
  useEffect(() => { const [box, tab] = [tabs.current, tabs.current?.querySelector("[aria-current]")]; if (tab) box.scrollLeft = tab.offsetLeft - (box.clientWidth - tab.clientWidth) / 2; }, [read("tab"), here === null]);
  if (!here) return html`<div key="waiting"><p class="crumb"><a href="#/fleet">Fleet</a></p><${Head} title=${id} /><${Fault} of=${cp.fault} />${!cp.fault && html`<${Skeleton} />`}</div>`;
  const tab = read("tab");
  const done = (sent) => { setOpen(null); if (sent) again(); };
  const given = { id, here, may, onEvent, settings, again, setOpen, read, change };
  const shown = { "": Overview, sessions: SessionsTab, messages: MessagesTab, configuration: ConfigurationTab, firmware: FirmwareTab, security: SecurityTab, events: EventsTab }[tab] ?? Overview;
  return html`<div key="there">
    <p class="crumb"><a href="#/fleet">Fleet</a>${here.site_id ? html` <span class="soft">/ <a href=${to(`/sites/${encodeURIComponent(here.site_id)}`)}>${siteName(sites, here.site_id)}</a></span>` : here.location && html` <span class="soft">/ <a href=${to("/fleet", { q: here.location })}>${here.location}</a></span>`}</p>
    <${Head} title=${here.name || id} beside=${html`${here.name && html`<code class="soft">${id}</code>`}<${Chip} of=${here.connected ? "connected" : "offline"} />${here.connected && html`<${Chip} of=${here.worst} />`}`} />
    <${Fault} of=${cp.fault} />
    ${may("command") && html`<div class="actions operations" role="group" aria-label="Commands" style="margin-bottom:16px">${OPERATIONS.map(([name, title, isRare, isPossible]) => html`
      <button key=${name} class=${`${name === "start" ? "main" : name === "reset" ? "danger" : ""} ${isRare ? "rare" : ""}`} disabled=${!here.connected || (isPossible && !isPossible(here))} onClick=${() => setOpen({ operation: name })}>${title}</button>`)}</div>`}
    <nav class="tabs" ref=${tabs} aria-label="Parts of the charge point">${TABS.filter(([, , right, setting]) => (!right || may(right)) && (!setting || settings[setting])).map(([key, title]) => html`<a key=${key} href=${toChargePoint(id, { tab: key })} aria-current=${tab === key ? "page" : undefined} onClick=${(e) => { e.preventDefault(); change({ tab: key, q: "", action: "", kind: "", type: "", days: "" }, { push: true }); }}>${title}</a>`)}</nav>
    <${shown} key=${tab} ...${given} />
    ${open?.operation && html`<${Operation} operation=${open.operation} cp=${here} may=${may} settings=${settings} onDone=${done} />`}
    ${open?.edit && html`<${Edit} cp=${here} onDone=${done} />`}
    ${open?.rotate && html`<${Dialog} title="Rotate credentials" action="Rotate" onDone=${done} submit=${async () => {
      const outcome = await api.post(`${at(id)}/credentials/rotate`);
      toast(outcome.applied ? "It has a new secret. The old one works for a while." : `The charge point answered ${words(outcome.status)}.`, !outcome.applied);
    }}><p>The charge point gets a new secret over its own connection. Nobody sees it, and the old one works for a while.</p><//>`}
    ${open?.renew && html`<${Dialog} title="New credentials" action="Make a new secret" onDone=${done} submit=${async () => setSecret(await api.put(`${at(id)}/credentials`, {}))}>
      <p>The old secret stops working at the next connection. Bring the new one to the charge point first where it can't be reached otherwise.</p><//>`}
    ${open?.retire && html`<${Dialog} title=${`Decommission ${id}`} action="Decommission" danger=${true} onDone=${(sure) => { setOpen(null); if (sure) location.hash = "#/fleet"; }} submit=${() => api.remove(at(id))}>
      <p>It is disconnected, may not connect again and leaves all metrics. Its sessions are kept.</p><//>`}
    ${secret && html`<${Secret} of=${secret} onDone=${() => setSecret(null)} />`}</div>`;
}

function Overview({ id, here, may, settings, setOpen, read, change }) {
  const sites = useSites();
  const span = read("span") || "24h";
  const history = useHistory(id, span, settings);
  const past = useLoaded(() => api.get("/transactions", { cp_id: id, limit: 5 }), [id, here.transactions, here.transactions_total]);
  const connection = history.value?.timelines.find((each) => each.connector_id === "") ?? null;
  return html`<div class="grid connectors">${here.connectors.filter((each) => each.connector_id !== "0" || each.status !== "Available" || here.connectors.length === 1).map((each) => html`<${Connector} key=${each.connector_id} of=${each} isConnected=${here.connected} />`)}</div>
    <${History} settings=${settings} connectors=${here.connectors.length} history=${history} span=${span} onSpan=${(value) => change({ span: value })} measure=${read("measure") || "power"} onMeasure=${(value) => change({ measure: value === "power" ? "" : value })} />
    <div class="grid facts-grid">
      <${Health} of=${health(here, settings.stale_after_s, connection)} />
      <section class="panel"><h2>Activity</h2><${Properties} of=${[
        ["Last message", html`<${Ago} at=${here.last_message_at} />`], ["Last heartbeat", html`<${Ago} at=${here.last_heartbeat_at} />`], ["Last session", html`<${Ago} at=${here.last_transaction_at} />`],
        ["Sessions", here.transactions_total.toLocaleString()], ["Energy", energy(here.energy_total_wh)], ["Boots", here.boots], ["Disconnects", here.disconnects], ["Known since", time(here.known_since)],
      ]} /></section>
      <section class="panel"><h2>About</h2><${Properties} of=${[
        ["Identity", id], ["Model", [here.vendor, here.model].filter(Boolean).join(" ")], ["Serial number", here.serial_number], ["Firmware", here.firmware], ["Protocol", here.protocol], ["Site", here.site_id && html`<a href=${to(`/sites/${encodeURIComponent(here.site_id)}`)}>${siteName(sites, here.site_id)}</a>`], ["Location", here.location],
        ["Labels", Object.keys(here.labels).length ? Object.entries(here.labels).map(([name, value], i) => html`${i > 0 && ", "}<a href=${to("/fleet", { label: value ? `${name}:${value}` : name })}>${value ? `${name}: ${value}` : name}</a>`) : null], ["Note", here.note],
      ]} />${may("write") && html`<div class="actions below"><button onClick=${() => setOpen({ edit: true })}>Edit</button></div>`}</section>
    </div>
    ${settings.history && html`<${Outages} cp=${here} may=${may} onChanged=${history.again} />`}
    <div class="head"><h2>Latest sessions</h2><span class="spring"></span><a class="small" href=${toChargePoint(id, { tab: "sessions" })}>All sessions</a></div>
    <${TransactionTable} rows=${past.value?.items} columns=${OWN_SESSION_COLUMNS} empty="No session yet." />`;
}

function SessionsTab({ id, onEvent }) {
  const pages = usePages("/transactions", { cp_id: id, limit: 50 });
  const soon = useThrottled(() => { if (!pages.isLong) pages.again(); }, 2000);
  useEffect(() => onEvent((event) => { if ((event.cp_id === id && event.kind.startsWith("Transaction")) || event.kind === "Reset") soon(); }), [id]);
  return html`<${Fault} of=${pages.fault} /><${TransactionTable} rows=${pages.items} columns=${OWN_SESSION_COLUMNS} empty="No session yet." />
    <p hidden=${!pages.more}><button onClick=${pages.more}>Show earlier sessions</button></p>
    <p class="small"><a href=${to("/sessions", { cp: id })}>With a period and totals</a></p>`;
}

const MessagesTab = ({ id, here, settings, read, change }) => html`<${Messages} id=${id} settings=${settings} read=${read} change=${change} /><${AnyCommand} id=${id} isConnected=${here.connected} settings=${settings} />`;

const ConfigurationTab = ({ id, here, may }) => (here.connected || here.protocol !== "ocpp1.6" ? html`<${Configuration} id=${id} protocol=${here.protocol} isConnected=${here.connected} may=${may} />` : html`<p class="soft">Its configuration is read from the charge point, which is not connected.</p>`);

function SecurityTab({ id, here, may, onEvent, setOpen, read, change }) {
  return html`<section class="panel"><h2>Access</h2><${Properties} of=${[
      ["Credentials", here.has_credentials ? "set" : "none"], ["Old credentials until", here.old_credentials_until && time(here.old_credentials_until)],
      ["Security profile", `${here.security_profile_now === null ? "" : `${here.security_profile_now} now, `}${here.security_profile || "none"} required${here.pending_security_profile === null ? "" : `, ${here.pending_security_profile} once it was used`}`],
      ["Client certificate until", here.certificate_expires_at && time(here.certificate_expires_at)], ["Serial number in certificates", here.registered_serial],
      ["Unknown id tags", { accept: "may charge", reject: "may not charge" }[here.unknown_id_tags] ?? "the server's setting"],
      ...here.signing_requests.map((each) => ["Certificate request", certificateRequest(each)]),
    ]} />
    ${may("write") && html`<div class="actions below"><button onClick=${() => setOpen({ edit: true })}>Edit</button><button disabled=${!here.connected} onClick=${() => setOpen({ rotate: true })}>Rotate credentials</button><button onClick=${() => setOpen({ renew: true })}>New credentials</button><button class="danger" onClick=${() => setOpen({ retire: true })}>Decommission</button></div>`}</section>
    <${Certificates} id=${id} isConnected=${here.connected} may=${may} />
    <${SecurityEvents} id=${id} onEvent=${onEvent} read=${read} change=${change} />`;
}

function EventsTab({ id, settings, read, change }) {
  const history = useHistory(id, "7d", settings);
  return html`<${Events} history=${history} kind=${read("kind")} onKind=${(kind) => change({ kind })} />`;
}

const certificateRequest = (of) => [
  of.certificate_type, of.state, of.reason && `(${of.reason})`, of.state === "installed" ? "" : of.next_try_at ? `next try ${time(of.next_try_at)}` : of.tries > 0 ? "no further try" : "",
].filter(Boolean).join(" ");
