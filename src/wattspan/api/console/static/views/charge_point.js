// One charge point: its connectors, operations, sessions, configuration and messages.

import * as api from "../api.js";
import { Ago, Chip, Choice, Dialog, Properties, Fault, Field, Head, Table, html, toast, useEffect, useLoaded, useRef, useThrottled, useState } from "../ui.js";
import { current, energy, power, time, words } from "../format.js";
import { PayloadForm } from "../form.js";
import { Secret } from "./fleet.js";
import { Certificates, SecurityEvents, Transfers } from "./security.js";
import { TransactionTable, tracePage } from "./sessions.js";

const at = (id) => `/charge-points/${encodeURIComponent(id)}`;

export function ChargePoint({ id, may, onEvent, settings }) {
  const cp = useLoaded(() => api.get(at(id)), [id]);
  const past = useLoaded(() => api.get("/transactions", { cp_id: id, limit: 10 }), [id]);
  const again = useThrottled(() => { cp.again(); past.again(); }, 700);
  const [open, setOpen] = useState(null);
  const [secret, setSecret] = useState(null);
  useEffect(() => onEvent((event) => { if (event.cp_id === id || event.kind === "Reset") again(); }), [id]);
  const here = cp.value;
  if (!here) return html`<div key="waiting"><${Head} title=${id} /><${Fault} of=${cp.fault} />${!cp.fault && html`<p class="soft">Loading …</p>`}</div>`;
  const ask = (operation) => setOpen({ operation });
  const done = (sent) => { setOpen(null); if (sent) again(); };
  return html`<div key="there">
    <p><a href="#/">Fleet</a></p>
    <${Head} title=${here.name || id}>
      <${Chip} of=${here.connected ? "connected" : "offline"} tone=${here.connected ? "good" : "bad"} /><${Chip} of=${here.status} />
    <//>
    <${Fault} of=${cp.fault} />
    ${may("command") && html`<div class="panel actions" role="group" aria-label="Commands">
      <button class="main" disabled=${!here.connected} onClick=${() => ask("start")}>Start</button>
      <button disabled=${!here.connected || !here.transactions} onClick=${() => ask("stop")}>Stop</button>
      <button disabled=${!here.connected} onClick=${() => ask("unlock")}>Unlock</button>
      <button disabled=${!here.connected} onClick=${() => ask("limit")}>Set limit</button>
      <button disabled=${!here.connected} onClick=${() => ask("reserve")}>Reserve</button>
      <button disabled=${!here.connected} onClick=${() => ask("availability")}>Availability</button>
      <button class="danger" disabled=${!here.connected} onClick=${() => ask("reset")}>Reset</button>
    </div>`}
    <div class="grid">${here.connectors.map((each) => html`<${Connector} key=${each.connector_id} of=${each} />`)}</div>
    <div class="grid">
      <section class="panel"><h2>About</h2><${Properties} of=${[
        ["Identity", id], ["Model", [here.vendor, here.model].filter(Boolean).join(" ")], ["Serial number", here.serial_number], ["Serial number in certificates", here.registered_serial], ["Firmware", here.firmware],
        ["Firmware update", here.firmware_status], ["Log upload", here.log_status], ["Protocol", here.protocol], ["Location", here.location], ["Note", here.note],
        ["Credentials", here.has_credentials ? "set" : "none"], ["Old credentials until", here.old_credentials_until && time(here.old_credentials_until)],
        ["Security profile", `${here.security_profile_now === null ? "" : `${here.security_profile_now} now, `}${here.security_profile || "none"} required${here.pending_security_profile === null ? "" : `, ${here.pending_security_profile} once it was used`}`],
        ["Client certificate until", here.certificate_expires_at && time(here.certificate_expires_at)],
        ...here.signing_requests.map((each) => ["Certificate request", certificateRequest(each)]), ["Known since", time(here.known_since)],
      ]} />
      ${may("write") && html`<div class="actions" style="margin-top:.8rem"><button onClick=${() => setOpen({ edit: true })}>Edit</button><button disabled=${!here.connected} onClick=${() => setOpen({ rotate: true })}>Rotate credentials</button><button onClick=${() => setOpen({ renew: true })}>New credentials</button><button class="danger" onClick=${() => setOpen({ retire: true })}>Decommission</button></div>`}</section>
      <section class="panel"><h2>Activity</h2><${Properties} of=${[
        ["Last message", html`<${Ago} at=${here.last_message_at} />`], ["Last heartbeat", html`<${Ago} at=${here.last_heartbeat_at} />`], ["Last session", html`<${Ago} at=${here.last_transaction_at} />`],
        ["Sessions", here.transactions_total.toLocaleString()], ["Energy", energy(here.energy_total_wh)], ["Boots", here.boots], ["Disconnects", here.disconnects],
        ...Object.entries(here.errors).map(([name, n]) => [`Error ${name}`, n]),
      ]} /></section>
    </div>
    <h2>Sessions</h2>
    <${TransactionTable} rows=${past.value?.items} empty="No session yet." />
    <${Transfers} id=${id} onEvent=${onEvent} />
    <${Certificates} id=${id} isConnected=${here.connected} may=${may} />
    <${SecurityEvents} id=${id} onEvent=${onEvent} />
    ${may("command") && html`<${AnyCommand} id=${id} isConnected=${here.connected} settings=${settings} />
      ${here.connected && html`<${Configuration} id=${id} protocol=${here.protocol} may=${may} />`}
      <${Messages} id=${id} />`}
    ${open?.operation && html`<${Operation} operation=${open.operation} cp=${here} settings=${settings} onDone=${done} />`}
    ${open?.edit && html`<${Edit} cp=${here} onDone=${done} />`}
    ${open?.rotate && html`<${Dialog} title="Rotate credentials" action="Rotate" onDone=${done} submit=${async () => {
      const outcome = await api.post(`${at(id)}/credentials/rotate`);
      toast(outcome.applied ? "It has a new secret. The old one works for a while." : `The charge point answered ${words(outcome.status)}.`, !outcome.applied);
    }}><p>The charge point gets a new secret over its own connection. Nobody sees it, and the old one works for a while.</p><//>`}
    ${open?.renew && html`<${Dialog} title="New credentials" action="Make a new secret" onDone=${done} submit=${async () => setSecret(await api.put(`${at(id)}/credentials`, {}))}>
      <p>The old secret stops working at the next connection. Bring the new one to the charge point first where it can't be reached otherwise.</p><//>`}
    ${open?.retire && html`<${Dialog} title=${`Decommission ${id}`} action="Decommission" danger=${true} onDone=${(sure) => { setOpen(null); if (sure) location.hash = "#/"; }} submit=${() => api.remove(at(id))}>
      <p>It is disconnected, may not connect again and leaves all metrics. Its sessions are kept.</p><//>`}
    ${secret && html`<${Secret} of=${secret} onDone=${() => setSecret(null)} />`}</div>`;
}

const certificateRequest = (of) => [
  of.certificate_type, of.state, of.reason && `(${of.reason})`, of.state === "installed" ? "" : of.next_try_at ? `next try ${time(of.next_try_at)}` : of.tries > 0 ? "no further try" : "",
].filter(Boolean).join(" ");

function Connector({ of }) {
  const share = of.limit_a ? Math.min(1, (of.current_a ?? 0) / of.limit_a) : null;
  return html`<section class="panel">
    <div class="head" style="margin-bottom:.5rem"><h2 style="margin:0">${of.connector_id === "0" ? "Whole charge point" : `Connector ${of.connector_id}`}</h2><span class="spring"></span><${Chip} of=${of.status} /></div>
    <${Properties} of=${[
      ["Power", power(of.power_w)], ["Current", current(of.current_a)], ["Limit", of.limit_a === null ? null : current(of.limit_a)],
      ["Energy", of.transaction === null ? null : energy(of.energy_wh)], ["Battery", of.soc_percent === null ? null : `${of.soc_percent} %`],
      ["Error", of.error_code === "NoError" ? null : of.error_code], ["Since", html`<${Ago} at=${of.status_at} />`],
      ["Session", of.transaction === null ? null : html`<a href=${`#/sessions/${of.transaction}`}>${of.transaction}</a>`],
    ]} />
    ${share !== null && html`<div class="bar" role="meter" aria-label="Share of the limit" aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(share * 100)}><span class=${share > 0.95 ? "near" : ""} style=${`width:${share * 100}%`}></span></div>`}
  </section>`;
}

const answered = (answer, settings) => toast(`${answer.action}: ${answer.status || "answered"}`, !answer.accepted) ?? tracePage(answer.trace_id, settings);
const number = (form, name) => (form.get(name) === "" || form.get(name) === null ? undefined : Number(form.get(name)));
const text = (form, name) => form.get(name)?.trim() || undefined;

const OPERATIONS = {
  start: { title: "Start a session", fields: (cp) => html`<${Field} label="Id tag" name="id_tag" required maxlength="255" /><${Pick} cp=${cp} isFree=${true} />`,
    body: (form) => ({ id_tag: text(form, "id_tag"), connector_id: number(form, "connector_id") }) },
  stop: { title: "Stop a session", fields: (cp) => html`<label>Session<select name="transaction">${cp.connectors.filter((each) => each.transaction !== null).map((each) => html`<option value=${each.transaction}>Connector ${each.connector_id}, ${energy(each.energy_wh)}</option>`)}</select></label>`,
    body: (form) => ({ transaction: number(form, "transaction") }) },
  unlock: { title: "Unlock a connector", fields: (cp) => html`<${Pick} cp=${cp} />${cp.protocol !== "ocpp1.6" && html`<${Field} label="Connector of the EVSE" name="evse_connector_id" type="number" min="1" hint="Empty: the one in use." />`}`,
    body: (form) => ({ connector_id: number(form, "connector_id"), evse_connector_id: number(form, "evse_connector_id") }) },
  limit: { title: "Set a limit", fields: (cp) => html`<${Field} label="Limit" name="limit" type="number" min="0" step="0.1" required /><label>Unit<select name="unit"><option value="A">A</option><option value="W">W</option></select></label><${LimitedPlace} cp=${cp} />
      <${Field} label="Lasts, minutes" name="minutes" type="number" min="1" hint="Empty: until it is cleared." />
      <label>Later limits<textarea name="periods" rows="3" style="min-height:4.5rem" placeholder="30: 10"></textarea><span class="hint">One a line: minutes from now, a colon, the limit.</span></label>`,
    body: (form) => ({ ...limits(form), unit: form.get("unit"), ...limitedPlace(form), lasts_s: form.get("minutes") ? number(form, "minutes") * 60 : undefined }) },
  reserve: { title: "Reserve a connector", fields: (cp) => html`<${Field} label="Id tag" name="id_tag" required maxlength="255" /><${Pick} cp=${cp} isWhole=${true} /><${Field} label="Until" name="expires_at" type="datetime-local" required />`,
    body: (form) => ({ id_tag: text(form, "id_tag"), connector_id: number(form, "connector_id"), expires_at: new Date(form.get("expires_at")).toISOString() }) },
  availability: { title: "Change availability", fields: (cp) => html`<label>In service<select name="operative"><option value="yes">yes</option><option value="no">no</option></select></label><${Pick} cp=${cp} isWhole=${true} />`,
    body: (form) => ({ operative: form.get("operative") === "yes", connector_id: number(form, "connector_id") }) },
  reset: { title: "Restart the charge point", isDanger: true, fields: () => html`<label>When<select name="hard"><option value="no">when idle (soft)</option><option value="yes">at once (hard)</option></select></label>`,
    body: (form) => ({ hard: form.get("hard") === "yes" }) },
};

/** Where a limit applies: a connector, the whole charge point, or one session. */
function LimitedPlace({ cp }) {
  const sessions = cp.connectors.filter((each) => each.transaction !== null);
  const ids = cp.connectors.map((each) => each.connector_id).filter((each) => each !== "0" && /^\d+$/.test(each));
  return html`<label>Where<select name="place"><option value="0">the whole charge point</option>${(ids.length ? ids : ["1"]).map((each) => html`<option value=${each}>each session at connector ${each}</option>`)}
    ${sessions.map((each) => html`<option value=${`session ${each.transaction}`}>only session ${each.transaction} at connector ${each.connector_id}</option>`)}</select></label>`;
}

function limitedPlace(form) {
  const [kind, session] = form.get("place").split(" ");
  return session ? { transaction: Number(session) } : { connector_id: Number(kind) };
}

/** Returns `limit`, or `periods` if later limits are given. Throws for a line that is none. */
function limits(form) {
  const lines = form.get("periods").split("\n").map((line) => line.trim()).filter(Boolean);
  if (!lines.length) return { limit: number(form, "limit") };
  const later = lines.map((line) => {
    const found = /^(\d+)\s*:\s*(\d+(?:\.\d)?)$/.exec(line);
    if (!found) throw new Error(`“${line}” is not minutes, a colon and a limit, such as 30: 10`);
    return { start_s: Number(found[1]) * 60, limit: Number(found[2]) };
  });
  return { periods: [{ start_s: 0, limit: number(form, "limit") }, ...later] };
}

function Pick({ cp, isWhole = false }) {
  const ids = cp.connectors.map((each) => each.connector_id).filter((each) => each !== "0" && /^\d+$/.test(each));
  return html`<label>Connector<select name="connector_id">${isWhole && html`<option value="0">the whole charge point</option>`}${(ids.length ? ids : ["1"]).map((each) => html`<option value=${each}>${each}</option>`)}</select></label>`;
}

function Operation({ operation, cp, settings, onDone }) {
  const { title, fields, body, isDanger } = OPERATIONS[operation];
  return html`<${Dialog} title=${title} action=${title} danger=${isDanger} onDone=${onDone} submit=${async (form) => answered(await api.post(`${at(cp.cp_id)}/${operation}`, body(form)), settings)}>
    <div class="fields">${fields(cp)}</div><//>`;
}

const PROFILES = [["0", "The server's minimum"], ["1", "1: credentials"], ["2", "2: credentials and TLS"], ["3", "3: client certificate"]];
const TAG_POLICIES = [["default", "The server's setting"], ["accept", "May charge"], ["reject", "May not charge"]];

function Edit({ cp, onDone }) {
  return html`<${Dialog} title=${`Edit ${cp.cp_id}`} onDone=${onDone} submit=${(form) => api.patch(at(cp.cp_id), { ...Object.fromEntries(form), security_profile: +form.get("security_profile") }, cp.etag)}>
    <div class="fields"><${Field} label="Name" name="name" value=${cp.name} maxlength="500" /><${Field} label="Location" name="location" value=${cp.location} maxlength="500" /><${Field} label="Note" name="note" value=${cp.note} maxlength="500" />
      <${Field} label="Serial number in certificates" name="registered_serial" value=${cp.registered_serial} maxlength="64" hint="Its client certificate may name it instead of the identity." />
      <${Choice} label="Security profile required" name="security_profile" value=${String(cp.security_profile)} of=${PROFILES} />
      <${Choice} label="Unknown id tags" name="unknown_id_tags" value=${cp.unknown_id_tags} of=${TAG_POLICIES} /></div><//>`;
}

/** Every command of the negotiated OCPP version, with a form from OCPP's own schema. */
function AnyCommand({ id, isConnected, settings }) {
  const supported = useLoaded(() => (isConnected ? api.get(`${at(id)}/commands`) : Promise.resolve(null)), [id, isConnected]);
  const [action, setAction] = useState("");
  const [schema, setSchema] = useState(null);
  const [payload, setPayload] = useState({});
  const [answer, setAnswer] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const chosen = async (name) => {
    setAction(name); setPayload({}); setAnswer(null); setSchema(null);
    if (name) api.get(`${at(id)}/commands/${name}`).then(({ schema: found }) => setSchema(found), (problem) => setAnswer({ problem }));
  };
  const send = async (event) => {
    event.preventDefault();
    setBusy(true); setAnswer(null);
    try { setAnswer({ answer: await api.post(`${at(id)}/commands/${action}`, payload) }); } catch (problem) { setAnswer({ problem }); }
    setBusy(false);
  };
  return html`<section class="panel"><h2>Any command</h2>
    ${!isConnected ? html`<p class="soft">The charge point is not connected.</p>` : html`<form onSubmit=${send}>
      <label style="max-width:340px">Command of OCPP ${supported.value?.version}<select value=${action} onChange=${(e) => chosen(e.target.value)}><option value="">Choose …</option>${(supported.value?.commands ?? []).map((name) => html`<option value=${name} selected=${name === action}>${name}</option>`)}</select></label>
      ${schema && html`<div style="margin:.8rem 0"><${PayloadForm} schema=${schema} payload=${payload} onChange=${setPayload} /></div><button class="main" disabled=${isBusy}>${isBusy ? "Waiting for the answer …" : `Send ${action}`}</button>`}
      <div role="status">${answer?.answer && html`<p><${Chip} of=${answer.answer.status || "answered"} tone=${answer.answer.accepted ? "good" : "bad"} /> after ${answer.answer.duration_s.toFixed(2)} s <${Trace} id=${answer.answer.trace_id} settings=${settings} /></p><pre class="mono" style="overflow:auto">${JSON.stringify(answer.answer.payload, null, 2)}</pre>`}</div>
      <${Fault} of=${answer?.problem} />${answer?.problem?.body?.errors && html`<ul>${answer.problem.body.errors.map((each) => html`<li><code>${each.path ?? each.at}</code> ${each.detail ?? each.message}</li>`)}</ul>`}
    </form>`}</section>`;
}

export const Trace = ({ id, settings }) => (tracePage(id, settings) ? html`<a href=${tracePage(id, settings)} target="_blank" rel="noreferrer">its trace</a>` : html`<span class="soft">trace <code>${id}</code></span>`);

/** The configuration keys of 1.6, read from the charge point; the device model that 2.x reported. */
function Configuration({ id, protocol, may }) {
  const isOld = protocol === "ocpp1.6";
  const [shown, setShown] = useState(null);
  const [fault, setFault] = useState(null);
  const [edit, setEdit] = useState(null);
  const [wanted, setWanted] = useState("");
  const load = async () => {
    setFault(null);
    try {
      setShown(isOld ? (await api.get(`${at(id)}/configuration`)).keys.map((key) => ({ ...key, id: key.key }))
        : (await api.all(`${at(id)}/device-model`, { limit: 500 })).map((each) => ({ ...each, id: [each.component, each.component_instance, each.evse_id, each.connector_id, each.variable, each.variable_instance].join("/") })));
    } catch (problem) { setFault(problem); }
  };
  const columns = isOld
    ? [["Key", (key) => key.key], ["Value", (key) => html`<code>${key.value ?? "–"}</code>`], ["", (key) => (!key.readonly && may("write") ? html`<button class="plain" onClick=${() => setEdit(key)}>Change</button>` : html`<span class="soft">${key.readonly ? "read only" : ""}</span>`)]]
    : [["Component", (each) => [each.component, each.component_instance, each.evse_id && `EVSE ${each.evse_id}`].filter(Boolean).join(" ")], ["Variable", (each) => [each.variable, each.variable_instance].filter(Boolean).join(" ")], ["Value", (each) => each.attributes.map((one) => html`<code>${one.value ?? "–"}</code> <span class="soft">${one.type === "Actual" ? "" : one.type} ${words(one.mutability)}</span> `)], ["Unit", (each) => each.characteristics?.unit ?? ""]];
  const rows = shown?.filter((row) => row.id.toLowerCase().includes(wanted.toLowerCase()));
  return html`<section class="panel"><div class="head"><h2 style="margin:0">${isOld ? "Configuration" : "Device model"}</h2><span class="spring"></span>
      ${shown && html`<label><span class="hidden-label">Search keys</span><input type="search" placeholder="Search" value=${wanted} onInput=${(e) => setWanted(e.target.value)} /></label>`}
      <button onClick=${load}>${shown ? "Read again" : isOld ? "Read from the charge point" : "Show"}</button></div>
    <${Fault} of=${fault} />
    ${shown && html`<${Table} label="Configuration" columns=${columns} rows=${rows} empty="Nothing was reported." />`}
    ${edit && html`<${Dialog} title=${`Change ${edit.key}`} onDone=${(sent) => { setEdit(null); if (sent) load(); }} submit=${async (form) => {
      const answer = await api.put(`${at(id)}/configuration/${encodeURIComponent(edit.key)}`, { value: form.get("value") });
      toast(`${edit.key}: ${answer.status}`, !answer.accepted);
    }}><${Field} label="Value" name="value" value=${edit.value ?? ""} maxlength="500" /><//>`}</section>`;
}

const MAX_ROWS = 200;

/** The messages as they are sent and received; the server masks id tokens and secrets. */
function Messages({ id }) {
  const [isOn, setOn] = useState(false);
  const [rows, setRows] = useState([]);
  const next = useRef(0);
  useEffect(() => {
    if (!isOn) return undefined;
    return api.stream(`${at(id)}/messages`, ["Message"], (message) => setRows((before) => [{ ...message, id: next.current++ }, ...before].slice(0, MAX_ROWS)));
  }, [isOn, id]);
  return html`<section class="panel"><div class="head"><h2 style="margin:0">Messages</h2><span class="spring"></span><button aria-pressed=${isOn} onClick=${() => setOn(!isOn)}>${isOn ? "Stop watching" : "Watch"}</button></div>
    ${isOn && !rows.length && html`<p class="soft">Waiting for the next message …</p>`}
    ${rows.length > 0 && html`<div class="log scroll" role="log" aria-label="Messages" tabindex="0"><table><tbody>${rows.map((row) => html`<tr key=${row.id}><td>${time(row.at)}</td><td>${row.direction === "in" ? "from it" : "to it"}</td><td class="mono">${JSON.stringify(row.frame)}</td></tr>`)}</tbody></table></div>`}</section>`;
}
