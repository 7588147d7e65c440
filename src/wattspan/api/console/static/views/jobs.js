// Bulk work: one command to many charge points. A list of jobs, one job with its progress, and the dialog that starts one.

import * as api from "../api.js";
import { count, duration, percent, plural, titled, words } from "../format.js";
import { go, to, useQuery } from "../router.js";
import { Ago, At, Chip, Dialog, Fault, Field, Figures, Head, Properties, Segments, Skeleton, Table, html, toast, useEffect, useLoaded, usePages, useState, useThrottled } from "../ui.js";
import { ChargePointLink } from "./charge_point_link.js";
import { FirmwareFields, firmwareOf } from "./firmware_fields.js";
import { tracePage } from "./sessions.js";

const TONES = { running: "busy", done: "free", stopped: "out", failed: "bad", succeeded: "free", rejected: "bad", waiting: "calm" };
const at = (id) => `/jobs/${encodeURIComponent(id)}`;
const commandOf = (job) => COMMANDS[job.operation]?.title ?? titled(job.operation);
const title = (job) => job.name || commandOf(job);
const ended = (job) => job.succeeded + job.failed;

const Progress = ({ of }) => html`<div class="bar" style="margin:0;width:140px;display:flex" role="meter" aria-label="Progress" aria-valuemin="0" aria-valuemax=${of.total} aria-valuenow=${ended(of)}>
  <span style=${`width:${(of.succeeded / of.total) * 100}%;background:var(--free-fill)`}></span><span style=${`width:${(of.failed / of.total) * 100}%;background:var(--bad-fill)`}></span></div>`;

const COLUMNS = [
  { title: "Job", cell: (job) => html`<a href=${to(at(job.job_id))}>${title(job)}</a>` },
  { title: "State", side: true, cell: (job) => html`<${Chip} of=${job.state} tone=${TONES[job.state]} />` },
  { title: "Progress", cell: (job) => html`<${Progress} of=${job} />` },
  { title: "Done", side: true, number: true, cell: (job) => html`${count(ended(job))} <span class="soft">of ${count(job.total)}</span>` },
  { title: "Failed", number: true, noCard: true, cell: (job) => (job.failed ? html`<span class="chip bad">${count(job.failed)}</span>` : "") },
  { title: "By", noCard: true, cell: (job) => job.created_by }, { title: "Started", side: true, cell: (job) => html`<${At} at=${job.created_at} />` },
];

export function Jobs({ onEvent }) {
  const pages = usePages("/jobs", { limit: 100 });
  const soon = useThrottled(() => { if (!pages.isLong) pages.again(); }, 1000);
  useEffect(() => onEvent((event) => { if (event.kind === "JobProgressed" || event.kind === "Reset") soon(); }), []);
  return html`<${Head} title="Bulk work"><a class="button" href="#/fleet">Choose charge points</a><//>
    <${Fault} of=${pages.fault} />
    <${Table} label="Jobs" columns=${COLUMNS} rows=${pages.items?.map((job) => ({ ...job, id: job.job_id })) ?? null} empty="No jobs yet. Choose charge points in the fleet, by hand or by a filter, and send them a command." />
    <p hidden=${!pages.more}><button onClick=${pages.more}>Show earlier jobs</button></p>`;
}

const STATES = [["", "All"], ["failed", "Failed"], ["rejected", "Rejected"], ["running", "Running"], ["waiting", "Waiting"], ["succeeded", "Succeeded"]];

/** The parameters of a job's command, and the name of the file instead of its id. */
function Parameters({ of }) {
  const { firmware_id, ...rest } = of;
  const files = useLoaded(() => (firmware_id ? api.get("/firmware") : Promise.resolve([])), [firmware_id]);
  const file = firmware_id && [["firmware", files.value?.find((each) => each.file_id === firmware_id)?.name ?? firmware_id]];
  return [...(file || []), ...Object.entries(rest)].map(([name, value]) => html`<span key=${name} class="parameter"><span class="soft">${words(name)}</span> ${typeof value === "object" ? JSON.stringify(value) : String(value)}</span>`);
}

/** What there is to say of a target; a firmware update runs until the charge point reports its end. */
const detailOf = (job, row) => (/\s/.test(row.detail) ? row.detail : words(row.detail)) || (row.state === "running" && job?.outcome_s ? "until it reports Installed" : "");

export function Job({ id, may, onEvent, settings }) {
  const [read, change] = useQuery();
  const job = useLoaded(() => api.get(at(id)), [id]);
  const results = usePages(`${at(id)}/results`, { limit: 200, state: read("state") });
  const again = useThrottled(() => { job.again(); if (!results.isLong) results.again(); }, 1000);
  useEffect(() => onEvent((event) => { if ((event.kind === "JobProgressed" && (event.job_id ?? id) === id) || event.kind === "Reset") again(); }), [id]);
  useEffect(() => { if (job.value?.state !== "running") return undefined; const timer = setInterval(again, 2000); return () => clearInterval(timer); }, [job.value?.state]);
  const here = job.value;
  const act = async (what, text) => { try { await api.post(`${at(id)}/${what}`); toast(text); again(); } catch (problem) { toast(problem.message, true); } };
  const columns = [
    { title: "Charge point", cell: (row) => html`<${ChargePointLink} id=${row.cp_id} />` }, { title: "Result", side: true, cell: (row) => html`<${Chip} of=${row.state} tone=${TONES[row.state]} />` },
    { title: "Details", cell: (row) => detailOf(here, row) }, { title: "Tries", number: true, noCard: true, cell: (row) => (row.tries > 1 ? row.tries : "") }, { title: "Took", number: true, noCard: true, cell: (row) => (row.duration_s === null ? "" : row.duration_s < 60 ? `${row.duration_s.toFixed(1)} s` : duration(row.duration_s)) },
    { title: "When", side: true, cell: (row) => (row.at ? html`<${Ago} at=${row.at} />` : "") }, ...(here?.wave_size ? [{ title: "Wave", number: true, noCard: true, cell: (row) => row.wave }] : []),
    ...(settings.jaeger_url ? [{ title: "Trace", noCard: true, cell: (row) => { const trace = tracePage(row.trace_id, settings); return trace ? html`<a href=${trace} target="_blank" rel="noreferrer">open<span class="hidden-label"> of ${row.cp_id}</span></a>` : ""; } }] : []),
  ];
  if (!here) return html`<div key="waiting"><p class="crumb"><a href="#/jobs">Bulk work</a></p><${Head} title="Job" /><${Fault} of=${job.fault} />${!job.fault && html`<${Skeleton} />`}</div>`;
  const canRetry = here.state !== "running" && here.failed + here.stopped > 0;
  return html`<div key="there"><p class="crumb"><a href="#/jobs">Bulk work</a></p>
    <${Head} title=${title(here)} beside=${html`<${Chip} of=${here.state} tone=${TONES[here.state]} />`}>
      ${may("command") && here.state === "running" && html`<button class="danger" onClick=${() => act("stop", "No more commands are sent.")}>Stop</button>`}
      ${may("command") && canRetry && html`<button class="main" onClick=${() => act("retry", "Those that failed are tried again.")}>Retry the failed</button>`}<//>
    <${Fault} of=${job.fault ?? results.fault} />
    ${here.reason && html`<p class="notice bad">${titled(here.reason)}</p>`}
    <${Figures} of=${[["Done", html`${count(ended(here))} <small>of ${count(here.total)}</small>`], ["Succeeded", count(here.succeeded)], ["Failed", count(here.failed)], ["Running", count(here.running)], here.stopped ? ["Stopped", count(here.stopped)] : ["Waiting", count(here.waiting)], ["Failure share", ended(here) ? percent(here.failed / ended(here), 0) : "–"]]} />
    <section class="panel"><${Properties} of=${[["Command", commandOf(here)], ["Parameters", Object.keys(here.parameters).length ? html`<${Parameters} of=${here.parameters} />` : null], ["Started", html`<${At} at=${here.created_at} /> by ${here.created_by}`], ["Ended", here.ended_at && html`<${At} at=${here.ended_at} />`], ["Rate", `${here.rate_per_s} a second`], ["Waves", here.wave_size && `${here.wave_size} at a time${here.wave_pause_s ? `, ${duration(here.wave_pause_s)} between` : ""}`], ["Stops above", here.stop_at_failure_share !== null ? `${percent(here.stop_at_failure_share, 0)} failed of a wave` : null]]} /></section>
    <div class="filters"><${Segments} label="Show" of=${STATES} value=${read("state")} onChange=${(state) => change({ state })} /></div>
    <${Table} label="Results" columns=${columns} rows=${results.items?.map((row) => ({ ...row, id: row.cp_id })) ?? null} empty="None." />
    ${results.more && html`<p><button onClick=${results.more}>Show more</button></p>`}</div>`;
}

const text = (form, name) => form.get(name)?.trim() || undefined;
const number = (form, name) => (form.get(name) === "" || form.get(name) === null ? undefined : Number(form.get(name)));
const yesNo = (label, name, yes, no) => html`<label>${label}<select name=${name}><option value="no">${no}</option><option value="yes">${yes}</option></select></label>`;

const MESSAGES = ["StatusNotification", "Heartbeat", "BootNotification", "MeterValues"];

/** The commands that make sense for many charge points: title, fields, and the parameters from the form. */
const COMMANDS = {
  reset: { title: "Reset", fields: () => yesNo("When", "hard", "at once (hard)", "when idle (soft)"), body: (form) => ({ hard: form.get("hard") === "yes" }) },
  configuration: { title: "Change configuration", fields: () => html`<${Field} label="Key" name="key" required maxlength="255" /><${Field} label="Value" name="value" required maxlength="500" />`, body: (form) => ({ key: text(form, "key"), value: form.get("value") }) },
  availability: { title: "Change availability", fields: () => yesNo("In service", "operative", "yes", "no"), body: (form) => ({ operative: form.get("operative") === "yes", connector_id: 0 }) },
  firmware: { title: "Update firmware", fields: (may) => html`<${FirmwareFields} may=${may} />`, body: firmwareOf, isCampaign: true },
  logs: { title: "Get diagnostics", fields: () => html`<p class="soft">Each charge point uploads its log to this server.</p>`, body: () => ({}) },
  "local-list": { title: "Send local list", fields: () => html`<p class="soft">All id tags on file are sent.</p>`, body: () => ({}) },
  limit: { title: "Set a limit", fields: () => html`<${Field} label="Limit" name="limit" type="number" min="0" step="0.1" required /><label>Unit<select name="unit"><option value="A">A</option><option value="W">W</option></select></label>`, body: (form) => ({ limit: number(form, "limit"), unit: form.get("unit"), connector_id: 0 }) },
  "clear-limit": { title: "Clear limits", fields: () => html`<p class="soft">All charging profiles are cleared.</p>`, body: () => ({}) },
  trigger: { title: "Ask for a message", fields: () => html`<label>Message<select name="message">${MESSAGES.map((name) => html`<option value=${name}>${name}</option>`)}</select></label>`, body: (form) => ({ message: form.get("message") }) },
};

/** Starts a job with these charge points, and opens its page. */
export function NewJob({ ids, may, onDone }) {
  const [operation, setOperation] = useState("reset");
  const chosen = COMMANDS[operation];
  return html`<${Dialog} title=${`Command ${plural(ids.length, "charge point")}`} action=${`${chosen.title}: ${count(ids.length)}`} danger=${operation === "reset"} onDone=${onDone} submit=${async (form) => {
    const size = number(form, "wave");
    const job = await api.post("/jobs", {
      cp_ids: ids, operation, parameters: await chosen.body(form), name: form.get("name"), rate_per_s: number(form, "rate") ?? 5,
      ...(size ? { waves: { size, pause_s: (number(form, "pause") ?? 0) * 60 } } : {}), ...(form.get("share") ? { stop_at_failure_share: number(form, "share") / 100 } : {}), ...(chosen.isCampaign && size ? { outcome_s: 3600 } : {}),
    });
    go(to(at(job.job_id)));
  }}>
    <div class="fields"><label>Command<select value=${operation} onChange=${(e) => setOperation(e.target.value)}>${Object.entries(COMMANDS).map(([key, each]) => html`<option value=${key} selected=${key === operation}>${each.title}</option>`)}</select></label>
      <div key=${operation} class="contents">${chosen.fields(may)}</div></div>
    <details style="margin-top:12px" open=${chosen.isCampaign}><summary>Waves, rate and name</summary><div class="fields" style="margin-top:8px">
      <${Field} label="Commands a second" name="rate" type="number" min="0.1" max="50" step="0.1" value="5" /><${Field} label="Charge points a wave" name="wave" type="number" min="1" hint="Empty: all in one wave." />
      <${Field} label="Minutes between waves" name="pause" type="number" min="0" max="1440" /><${Field} label="Stop above % failed" name="share" type="number" min="0" max="100" hint="Of a wave. Empty: never." /><${Field} label="Name" name="name" maxlength="100" /></div></details>
    <p class="soft small" style="margin-top:12px">${ids.slice(0, 6).join(", ")}${ids.length > 6 ? ` and ${count(ids.length - 6)} more` : ""}. The audit log records who did it.</p>
  <//>`;
}
