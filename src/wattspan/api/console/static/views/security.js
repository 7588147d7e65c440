// What a charge point reported beside charging: firmware updates and log uploads, certificates, security events.

import * as api from "../api.js";
import { Chip, Choice, Fault, Field, Table, html, useEffect, useLoaded, useMemo, usePages, useState, useThrottled } from "../ui.js";
import { time, words } from "../format.js";

const at = (id) => `/charge-points/${encodeURIComponent(id)}`;
const TRANSFER_EVENTS = new Set(["FileTransferRequested", "FirmwareStatusChanged", "LogStatusChanged", "Reset"]);
const KINDS = { firmware: "Firmware update", log: "Log upload" };
const FAILED = /Fail|Invalid|Rejected|BadMessage|NotSupported|PermissionDenied|Revoked/;
const DONE = new Set(["Installed", "Uploaded"]);
const EVENTS_SHOWN = 10;

const transferTone = (status) => (FAILED.test(status) ? "bad" : DONE.has(status) ? "good" : "busy");

/** Firmware updates and log uploads, each with its statuses and their times. */
export function Transfers({ id, onEvent }) {
  const found = useLoaded(() => api.get(`${at(id)}/transfers`), [id]);
  const again = useThrottled(found.again, 700);
  useEffect(() => onEvent((event) => { if (TRANSFER_EVENTS.has(event.kind) && (event.cp_id === id || event.kind === "Reset")) again(); }), [id]);
  const columns = [
    ["What", (each) => KINDS[each.kind] ?? words(each.kind)], ["Request", (each) => each.request_id ?? html`<span class="soft">no id</span>`],
    ["Status", (each) => html`<${Chip} of=${each.status} tone=${transferTone(each.status)} />`], ["Since", (each) => time(each.updated_at)],
    ["History", (each) => html`<details><summary>${each.statuses.length} ${each.statuses.length === 1 ? "status" : "statuses"}</summary><ol class="history">${each.statuses.map((one) => html`<li>${words(one.status)}${one.is_answer && " (answer)"} <span class="soft">${time(one.at)}</span></li>`)}</ol></details>`],
  ];
  return html`<h2>Firmware updates and log uploads</h2><${Fault} of=${found.fault} />
    <${Table} label="Firmware updates and log uploads" columns=${columns} rows=${found.value?.map((each, i) => ({ ...each, id: `${each.kind} ${each.request_id} ${each.statuses[0].at} ${i}` }))} empty="None requested or reported." />`;
}

/** Certificates that the server issued, and those that the charge point has installed. */
export function Certificates({ id, isConnected, may }) {
  const [found, setFound] = useState(null);
  const [fault, setFault] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const load = async (request) => {
    setBusy(true);
    try { setFound(await request()); setFault(null); } catch (problem) { setFault(problem); }
    setBusy(false);
  };
  useEffect(() => { load(() => api.get(`${at(id)}/certificates`)); }, [id]);
  const issued = [
    ["Serial number", (each) => html`<code>${each.serial}</code>`], ["Issued", (each) => time(each.issued_at)], ["Expires", (each) => time(each.expires_at)],
    ["Installed", (each) => (each.installed_at ? time(each.installed_at) : html`<${Chip} of="not accepted" tone="warn" />`)],
  ];
  const installed = [
    ["Type", (each) => words(each.type)], ["Serial number", (each) => (each.one ? html`<code>${each.one.serial_number}</code>` : html`<span class="soft">none</span>`)],
    ["Issuer's key", (each) => (each.one ? html`<code title=${each.one.issuer_key_hash}>${each.one.issuer_key_hash.slice(0, 16)}${each.one.issuer_key_hash.length > 16 ? "…" : ""}</code> <span class="soft">${each.one.hash_algorithm}</span>` : "")],
    ["Chain", (each) => (each.one?.children ? `${each.one.children} more` : "")], ["Reported", (each) => time(each.reported_at)],
  ];
  const rows = found?.installed.flatMap(({ type, certificates, reported_at }) => (certificates.length ? certificates : [null]).map((one, i) => ({ id: `${type} ${i}`, type, one, reported_at })));
  return html`<div class="head"><h2 style="margin:0">Certificates</h2><span class="spring"></span>
      ${may("command") && html`<button disabled=${!isConnected || isBusy} onClick=${() => load(() => api.post(`${at(id)}/certificates/read`))}>Read installed certificates</button>`}</div>
    <${Fault} of=${fault} />
    <h3>Issued by this server</h3>
    <${Table} label="Issued certificates" columns=${issued} rows=${found?.issued.map((each) => ({ ...each, id: each.serial }))} empty="None issued." />
    <h3>Installed on the charge point</h3>
    <${Table} label="Installed certificates" columns=${installed} rows=${rows} empty="Not read yet." />`;
}

const DAYS = [["", "At any time"], ["1", "In the last day"], ["7", "In the last week"], ["30", "In the last month"]];
const DAY_MS = 86_400_000;

/** The security events of a charge point, newest first. */
export function SecurityEvents({ id, onEvent, read, change }) {
  const days = read("days");
  const from = useMemo(() => (days ? new Date(Date.now() - Number(days) * DAY_MS).toISOString() : undefined), [days]);
  const pages = usePages("/security-events", { cp_id: id, type: read("type").trim(), from_at: from, limit: EVENTS_SHOWN });
  const again = useThrottled(() => { if (!pages.isLong) pages.again(); }, 700);
  useEffect(() => onEvent((event) => { if ((event.kind === "SecurityEventReported" && event.cp_id === id) || event.kind === "Reset") again(); }), [id]);
  const columns = [
    ["Received", (each) => time(each.received_at)], ["Type", (each) => words(each.type)], ["Details", (each) => each.tech_info],
    ["By its clock", (each) => time(each.charger_at)],
  ];
  return html`<h2>Security events</h2><${Fault} of=${pages.fault} />
    <div class="fields" style="margin-bottom:16px"><${Field} label="Type" type="search" placeholder="TamperDetectionActivated" value=${read("type")} onInput=${(e) => change({ type: e.target.value })} />
      <${Choice} label="Received" value=${days} of=${DAYS} onChange=${(e) => change({ days: e.target.value })} /></div>
    <${Table} label="Security events" columns=${columns} rows=${pages.items} empty="None reported." />
    <p hidden=${!pages.more}><button onClick=${pages.more}>Show earlier events</button></p>`;
}
