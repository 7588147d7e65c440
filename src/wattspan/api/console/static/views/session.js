// One charging session: its totals, its meter curve, its phases and its timeline.

import * as api from "../api.js";
import { Chart } from "../chart.js";
import { Chip, Dialog, Fault, Field, Figures, Head, html, useEffect, useLoaded, useMemo, useThrottled, useState } from "../ui.js";
import { duration, energy, power, time, words } from "../format.js";
import { tracePage } from "./sessions.js";

const PHASE_COLOURS = { preparing: "--busy-wash", charging: "--accent", "suspended by EV": "--warn", "suspended by EVSE": "--bad", finishing: "--soft" };
const seconds = (at) => new Date(at).getTime() / 1000;

/** The phases with begin and duration; each ends when the next begins. */
function phases(tx) {
  const entries = tx.timeline.filter((entry) => entry.is_phase && entry.at);
  const end = tx.ended_at ? seconds(tx.ended_at) : Date.now() / 1000;
  return entries.map((entry, i) => ({ name: words(entry.name), from: seconds(entry.at), lasts: Math.max(0, (entries[i + 1] ? seconds(entries[i + 1].at) : end) - seconds(entry.at)) }));
}

const PHASE_WORDS = { preparing: "The car was connected.", charging: "Charging.", finishing: "Charging had ended; the cable was still plugged in.", suspended_ev: "The car paused charging.", suspended_evse: "The charge point paused charging." };
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
const corrected = (tx) => `The energy is not the difference of the meter readings at start and stop: ${CORRECTIONS[tx.energy_correction] ?? words(tx.energy_correction)}.`;
const described = (entry) => PHASE_WORDS[entry.name.toLowerCase().replace(/[ .]/g, "_")] ?? words(entry.name.replace(/[._]/g, " "));

export function Session({ id, may, onEvent, settings }) {
  const loaded = useLoaded(() => api.get(`/transactions/${id}`, { points: 1000 }), [id]);
  const again = useThrottled(loaded.again, 5000);
  const [isClosing, setClosing] = useState(false);
  const tx = loaded.value;
  useEffect(() => onEvent((event) => { if (tx?.open && event.cp_id === tx.cp_id) again(); }), [tx?.open, tx?.cp_id]);
  const curve = useMemo(() => {
    const points = (tx?.curve ?? []).filter((point) => point.at);
    return { times: points.map((point) => seconds(point.at)), lines: [
      { label: "Power", values: points.map((point) => (point.power_w === null ? null : point.power_w / 1000)), unit: "kW", scale: "kW", colour: "--accent" },
      { label: "Energy", values: points.map((point) => (point.energy_wh === null ? null : point.energy_wh / 1000)), unit: "kWh", scale: "kWh", colour: "--busy" },
      ...(points.some((point) => point.soc_percent !== null) ? [{ label: "Battery", values: points.map((point) => point.soc_percent), unit: "%", scale: "%", colour: "--warn" }] : []),
    ] };
  }, [tx?.curve]);
  if (!tx) return html`<div key="waiting"><${Head} title=${`Session ${id}`} /><${Fault} of=${loaded.fault} /></div>`;
  const parts = phases(tx);
  const total = parts.reduce((sum, part) => sum + part.lasts, 0) || 1;
  const took = ((tx.ended_at ? seconds(tx.ended_at) : Date.now() / 1000) - seconds(tx.began_at));
  const peak = tx.curve.reduce((most, point) => (point.power_w === null ? most : Math.max(most ?? 0, point.power_w)), null);
  const trace = tracePage(tx.trace_id, settings);
  return html`<div key="there">
    <p><a href="#/sessions">Sessions</a></p>
    <${Head} title=${`Session ${tx.number}`}><${Chip} of=${tx.open ? "running" : words(tx.reason || "ended")} tone=${tx.open ? "busy" : ""} />
      ${trace && !tx.open && html`<a class="button" href=${trace} target="_blank" rel="noreferrer">Open its trace</a>`}
      ${tx.open && may("write") && html`<button onClick=${() => setClosing(true)}>Close by hand</button>`}<//>
    <${Fault} of=${loaded.fault} />
    <${Figures} of=${[["Energy", energy(tx.energy_wh)], [tx.open ? "Running for" : "Lasted", duration(took)], ["Highest power", peak === null ? "–" : power(peak)]]} />
    <section class="panel"><h2>Meter</h2>
      ${tx.energy_correction && html`<p class="soft">${corrected(tx)}</p>`}
      ${curve.times.length ? html`<${Chart} ...${curve} summary=${`Power and energy over time: ${energy(tx.energy_wh)} in ${duration(took)}.`} />` : html`<p class="soft">No meter values yet.</p>`}
      ${parts.length > 0 && html`<h2>Phases</h2><div class="phases" aria-hidden="true">${parts.map((part) => html`<span title=${`${part.name}: ${duration(part.lasts)}`} style=${`width:${part.lasts / total * 100}%;background:var(${PHASE_COLOURS[part.name] ?? "--line"})`}></span>`)}</div>
      <p>${parts.map((part, i) => html`${i > 0 && ", "}${part.name} ${duration(part.lasts)}`)}</p>`}
    </section>
    <section class="panel"><h2>What happened</h2><ol class="story">
      <li><span class="soft">${time(tx.began_at)}</span><span>Began at <a href=${`#/charge-points/${encodeURIComponent(tx.cp_id)}`}>${tx.cp_id}</a>, connector ${tx.connector_id}${tx.id_tag && html`, with id tag <code>${tx.id_tag}</code>`}.</span></li>
      ${tx.timeline.map((entry) => html`<li><span class="soft">${time(entry.at)}</span><span>${described(entry)} ${Object.entries(entry.attributes).map(([name, value]) => html`<span class="soft"> ${name.replace(/^ocpp\./, "")}: ${String(value)}</span>`)}</span></li>`)}
      ${tx.ended_at && html`<li><span class="soft">${time(tx.ended_at)}</span><span>Ended: ${words(tx.reason) || "no reason reported"}. ${energy(tx.energy_wh)} were delivered.</span></li>`}
    </ol></section>
    <p class="soft">OCPP's id: <code>${tx.transaction_id}</code> · trace <code>${tx.trace_id}</code>${tx.open && ", sent when it ends"}</p>
    ${isClosing && html`<${Dialog} title="Close by hand" action="Close it" onDone=${(sent) => { setClosing(false); if (sent) loaded.again(); }} submit=${(form) => api.post(`/transactions/${id}/close`, { meter_stop_wh: form.get("wh") === "" ? null : Number(form.get("wh")) })}>
      <p>Closes a session whose stop was lost. If the charge point still sends the stop, it corrects the session.</p>
      <${Field} label="Register at the end, Wh" name="wh" type="number" min="0" hint="Empty: the last reading." /><//>`}</div>`;
}
