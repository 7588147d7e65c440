// One charging session: totals, meter curve with phases and marks, where its energy comes from, and its spans.

import * as api from "../api.js";
import { Chart } from "../chart.js";
import { duration, energy, power, register, time, words } from "../format.js";
import { At, Chip, Dialog, Fault, Field, Figures, Head, Properties, Skeleton, html, useEffect, useLoaded, useMemo, useState, useThrottled } from "../ui.js";
import { Waterfall } from "../waterfall.js";
import { ChargePointLink } from "./charge_point_link.js";
import { tracePage } from "./sessions.js";

/** Calm colours: a pause is no alarm. */
const PHASE_COLOURS = { preparing: "--calm-wash", charging: "--busy-wash", "suspended by EV": "--out-wash", "suspended by EVSE": "--hold-wash", finishing: "--calm-wash" };
const PHASE_FILLS = { preparing: "--calm-fill", charging: "--busy-fill", "suspended by EV": "--out-fill", "suspended by EVSE": "--hold-fill", finishing: "--calm-fill" };
const MARK_COLOURS = { error: "--bad", disconnected: "--hold", command: "--accent" };
const PHASE_WORDS = { preparing: "The car was connected.", charging: "Charging.", finishing: "Charging had ended; the cable was still plugged in.", suspended_by_ev: "The car paused charging.", suspended_by_evse: "The charge point paused charging.", disconnected: "The charge point lost its connection.", reconnected: "The charge point reconnected.", rebooted: "The charge point rebooted.", error: "The charge point reported an error." };
const CORRECTIONS = {
  start_missing: "the charge point sent no meter reading for the start",
  start_unreachable: "its meter reading for the start can't be right",
  stop_missing: "the charge point sent no meter reading for the stop",
  stop_unreachable: "its meter reading for the stop can't be right",
  no_energy: "start and stop show no energy, but the readings between them do",
  register_reset: "the meter was reset during the session",
  register_changed: "the meter changed during the session",
  session_relative: "the meter counts from the start of each session",
  unit: "the unit of the meter readings was wrong",
};

const seconds = (at) => new Date(at).getTime() / 1000;
const corrected = (tx) => `The energy is not the difference of the meter readings at start and stop: ${CORRECTIONS[tx.energy_correction] ?? words(tx.energy_correction)}.`;
const described = (entry) => PHASE_WORDS[entry.name.toLowerCase().replace(/[ .]/g, "_")] ?? words(entry.name.replace(/[._]/g, " "));
const details = (entry) => Object.entries(entry.attributes).map(([name, value]) => `${words(name.replace(/^(ocpp|ws)\./, "").replace(/[._]/g, " "))}: ${value}`).join(", ");

/** The phases with begin and end; each ends when the next begins. */
function phases(tx, end) {
  const entries = tx.timeline.filter((entry) => entry.is_phase && entry.at);
  return entries.map((entry, i) => ({ name: words(entry.name), from: seconds(entry.at), to: Math.max(seconds(entry.at), entries[i + 1] ? seconds(entries[i + 1].at) : end) }));
}

const scaled = (points, name, by = 1) => points.map((point) => (point[name] === null || point[name] === undefined ? null : point[name] / by));
const has = (points, name) => points.some((point) => point[name] !== null && point[name] !== undefined);

/** The curves: power and energy; current, what was offered and the limit; the battery. No picture has a third axis. */
function pictures(points, limit_a) {
  const found = [{ id: "power", title: "Power and energy", lines: [
    { label: "Power", values: scaled(points, "power_w", 1000), unit: "kW", scale: "kW", colour: "--busy-fill" },
    { label: "Energy", values: scaled(points, "energy_wh", 1000), unit: "kWh", scale: "kWh", colour: "--series-2" }] }];
  if (has(points, "current_a") || has(points, "offered_a")) {
    found.push({ id: "current", title: "Current", height: 150, lines: [
      { label: "Current", values: scaled(points, "current_a"), unit: "A", scale: "A", colour: "--busy-fill" },
      ...(has(points, "offered_a") ? [{ label: "Offered", values: scaled(points, "offered_a"), unit: "A", scale: "A", colour: "--series-3", isStepped: true, isDashed: true }] : []),
      ...(limit_a === null || limit_a === undefined ? [] : [{ label: "Limit now", values: points.map(() => limit_a), unit: "A", scale: "A", colour: "--bad", isDashed: true }])] });
  }
  if (has(points, "soc_percent")) found.push({ id: "battery", title: "Battery", height: 130, lines: [{ label: "Battery", values: scaled(points, "soc_percent"), unit: "%", scale: "%", colour: "--series-4" }] });
  return found;
}

export function Session({ id, may, onEvent, settings }) {
  const loaded = useLoaded(() => api.get(`/transactions/${id}`, { points: 1000 }), [id]);
  const tx = loaded.value;
  const cp = useLoaded(() => (tx?.open ? api.get(`/charge-points/${encodeURIComponent(tx.cp_id)}/connectors`) : Promise.resolve(null)), [tx?.open, tx?.cp_id]);
  const again = useThrottled(() => { loaded.again(); cp.again(); }, 5000);
  const [isClosing, setClosing] = useState(false);
  useEffect(() => onEvent((event) => { if (tx?.open && (event.cp_id === tx.cp_id || event.kind === "Reset")) again(); }), [tx?.open, tx?.cp_id]);
  useEffect(() => { if (!tx?.open) return undefined; const timer = setInterval(again, 10_000); return () => clearInterval(timer); }, [tx?.open]);
  const limit_a = cp.value?.find((each) => each.connector_id === tx?.connector_id)?.limit_a;
  const points = useMemo(() => (tx?.curve ?? []).filter((point) => point.at), [tx?.curve]);
  const times = useMemo(() => points.map((point) => seconds(point.at)), [points]);
  const curves = useMemo(() => pictures(points, limit_a), [points, limit_a]);
  if (!tx) return html`<div key="waiting"><p class="crumb"><a href="#/sessions">Sessions</a></p><${Head} title=${`Session ${id}`} /><${Fault} of=${loaded.fault} />${!loaded.fault && html`<${Skeleton} />`}</div>`;
  const end = tx.ended_at ? seconds(tx.ended_at) : Date.now() / 1000;
  const began = seconds(tx.began_at);
  const parts = phases(tx, end);
  const events = tx.timeline.filter((entry) => !entry.is_phase && entry.at);
  const marks = events.map((entry) => ({ at: seconds(entry.at), colour: MARK_COLOURS[entry.name] ?? "--soft", name: entry.name }));
  const peak = points.reduce((most, point) => (point.power_w === null ? most : Math.max(most ?? 0, point.power_w)), null);
  const charging = parts.filter((part) => part.name === "charging").reduce((sum, part) => sum + part.to - part.from, 0);
  const trace = tracePage(tx.trace_id, settings);
  const range = [Math.min(began, times[0] ?? began), Math.max(end, times.at(-1) ?? end)];
  return html`<div key="there">
    <p class="crumb"><a href="#/sessions">Sessions</a></p>
    <${Head} title=${`Session ${tx.number}`} beside=${html`<${Chip} of=${tx.open ? "running" : tx.reason || "ended"} tone=${tx.open ? "busy" : "plain"} />`}>
      ${trace && !tx.open && html`<a class="button" href=${trace} target="_blank" rel="noreferrer">Open its trace</a>`}
      ${tx.open && may("write") && html`<button onClick=${() => setClosing(true)}>Close manually</button>`}<//>
    <p><${ChargePointLink} id=${tx.cp_id} />, connector ${tx.connector_id}${tx.id_tag && html`, id tag <code>${tx.id_tag}</code>`} <span class="soft">· began <${At} at=${tx.began_at} />${tx.ended_at && html`, ended <${At} at=${tx.ended_at} />`}</span></p>
    <${Fault} of=${loaded.fault} />
    <${Figures} of=${[["Energy", energy(tx.energy_wh)], [tx.open ? "Running for" : "Lasted", duration(end - began)], ["Time charging", parts.length ? duration(charging) : "–"], ["Highest power", peak === null ? "–" : power(peak)], ["Average power", charging ? power((tx.energy_wh / charging) * 3600) : "–"]]} />
    <section class="panel"><h2>Meter</h2>
      ${times.length ? curves.map((curve) => html`<div key=${curve.id}><h3>${curve.title}</h3><${Chart} times=${times} lines=${curve.lines} height=${curve.height ?? 260} range=${range} syncKey="session" bands=${parts.map((part) => ({ ...part, colour: PHASE_COLOURS[part.name] ?? "--out-wash" }))} marks=${marks} summary=${`${curve.title} over time: ${energy(tx.energy_wh)} in ${duration(end - began)}.`} /></div>`) : html`<p class="soft">No meter values yet.</p>`}
      ${parts.length > 0 && html`<div class="keys">${[...new Set(parts.filter((part) => part.to - part.from >= 1).map((part) => part.name))].map((name) => html`<span key=${name}><span class="dot" style=${`background:var(${PHASE_FILLS[name] ?? "--out-fill"})`}></span>${name} ${duration(parts.filter((part) => part.name === name).reduce((sum, part) => sum + part.to - part.from, 0))}</span>`)}
        ${[...new Set(marks.map((mark) => mark.name))].map((name) => html`<span key=${`mark ${name}`}><span aria-hidden="true" style=${`color:var(${MARK_COLOURS[name] ?? "--soft"})`}>▼</span>${name}</span>`)}</div>`}
    </section>
    <div class="grid" style="grid-template-columns:repeat(auto-fit,minmax(min(340px,100%),1fr))">
      <section class="panel"><h2>Spans</h2>
        <${Waterfall} label="Spans of the session" spans=${spans(tx, began, end, parts, events)} />
        <p class="soft small" style="margin-top:8px">Trace <code>${tx.trace_id}</code>${tx.open && ", sent when the session ends"}</p></section>
      <section class="panel"><h2>Energy by source</h2><${Energy} tx=${tx} points=${points} /></section>
    </div>
    <section class="panel"><h2>What happened</h2><ol class="story">
      <li><span class="soft">${time(tx.began_at)}</span><span>Began at <${ChargePointLink} id=${tx.cp_id} />, connector ${tx.connector_id}${tx.id_tag && html`, with id tag <code>${tx.id_tag}</code>`}.</span></li>
      ${tx.timeline.map((entry) => html`<li><span class="soft">${time(entry.at)}</span><span>${described(entry)} <span class="soft">${details(entry)}</span></span></li>`)}
      ${tx.ended_at && html`<li><span class="soft">${time(tx.ended_at)}</span><span>Ended: ${words(tx.reason) || "no reason reported"}. ${energy(tx.energy_wh)} delivered.</span></li>`}
    </ol></section>
    ${isClosing && html`<${Dialog} title="Close manually" action="Close it" onDone=${(sent) => { setClosing(false); if (sent) loaded.again(); }} submit=${(form) => api.post(`/transactions/${id}/close`, { meter_stop_wh: form.get("wh") === "" ? null : Number(form.get("wh")) })}>
      <p>Closes a session whose stop was lost. If the charge point still sends the stop, it corrects the session.</p>
      <${Field} label="Register at the end, Wh" name="wh" type="number" min="0" hint="Empty: the last reading." /><//>`}</div>`;
}

/** The session's span, its phases, and what happened in it. */
function spans(tx, from, until, parts, events) {
  return [{ name: "charging session", from, until, colour: "--accent" },
    ...[...parts.map((part) => ({ name: part.name, from: part.from, until: part.to, colour: PHASE_FILLS[part.name] ?? "--out-fill" })),
      ...events.map((entry) => ({ name: entry.attributes["ocpp.action"] ?? entry.name, text: `${entry.name} ${details(entry)}`, from: seconds(entry.at), colour: MARK_COLOURS[entry.name] ?? "--soft" }))].sort((a, b) => a.from - b.from)];
}

/** What start, readings and stop each say about the energy, and which of them counts. */
function Energy({ tx, points }) {
  const registers = points.filter((point) => point.register_wh !== null && point.register_wh !== undefined);
  const [first, last] = [registers[0], registers.at(-1)];
  return html`<${Properties} of=${[
    ["Register at the start", register(tx.meter_start_wh)],
    ["First reading", first && html`${register(first.register_wh)} <span class="soft"><${At} at=${first.at} /></span>`],
    ["Last reading", last && html`${register(last.register_wh)} <span class="soft"><${At} at=${last.at} /></span>`],
    ["Register at the stop", tx.open ? html`<span class="soft">the session is running</span>` : tx.meter_stop_wh === null ? html`<span class="soft">not sent</span>` : register(tx.meter_stop_wh)],
    ["Stop minus start", tx.meter_stop_wh === null ? null : energy(tx.meter_stop_wh - tx.meter_start_wh)],
    ["Last minus first reading", first && last ? energy(last.register_wh - first.register_wh) : null],
    ["Energy counted", html`<strong>${energy(tx.energy_wh)}</strong>`],
    ["Readings", tx.readings_total.toLocaleString()], ["Transaction id", html`<code>${tx.transaction_id}</code>`],
  ]} />${tx.energy_correction && html`<p class="notice" style="margin-top:12px">${corrected(tx)}</p>`}`;
}
