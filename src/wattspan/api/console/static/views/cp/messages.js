// The messages of a charge point: those of the last hours, and live ones. The server masks id tokens and secrets.

import * as api from "../../api.js";
import { duration, shortTimeWithSeconds, time } from "../../format.js";
import { tracePage } from "../sessions.js";
import { Chip, Fault, Search, html, useEffect, useMemo, usePages, useRef, useState } from "../../ui.js";

const MAX_ROWS = 500;
const CALL = 2;
const RESULT = 3;
const at = (id) => `/charge-points/${encodeURIComponent(id)}`;

/** Puts each live answer beside its CALL, newest first, in the shape of the kept messages. */
export function paired(messages) {
  const calls = new Map();
  const rows = [];
  for (const { id, at: when, direction, frame } of messages) {
    const call = frame[0] === CALL ? null : calls.get(frame[1]);
    if (call) {
      if (frame[0] === RESULT) call.answer = frame[2];
      else call.error = frame.slice(2);
      call.answered_at = when;
      call.duration_s = (new Date(when) - new Date(call.at)) / 1000;
      calls.delete(frame[1]);
    } else {
      const row = { id: `live ${id}`, at: when, direction, action: frame[0] === CALL ? frame[2] : "", message_id: frame[1], call: frame[0] === CALL ? frame[3] : frame, answer: null, error: null, answered_at: null, duration_s: null, trace_id: "" };
      if (frame[0] === CALL) calls.set(frame[1], row);
      rows.push(row);
    }
  }
  return rows.reverse();
}

const keyOf = (row) => `${row.direction} ${row.message_id}`;
const pretty = (value) => JSON.stringify(value, null, 2);
/** The frames as they were on the wire. */
const raw = (row) => [[CALL, row.message_id, row.action, row.call], ...(row.error ? [[4, row.message_id, ...row.error]] : row.answered_at ? [[RESULT, row.message_id, row.answer]] : [])].map((frame) => JSON.stringify(frame)).join("\n");

export function Messages({ id, settings, read, change }) {
  const [isOn, setOn] = useState(true);
  const [isConnected, setConnected] = useState(false);
  const [isRaw, setRaw] = useState(false);
  const [search, action] = [read("q"), read("action")];
  const [live, setLive] = useState([]);
  const next = useRef(0);
  const kept = usePages(`${at(id)}/message-history`, settings.history ? { limit: 100, search: search.trim(), action } : null);
  const latest = useRef();
  latest.current = kept;
  useEffect(() => {
    if (!isOn) return undefined;
    const began = (is) => {
      setConnected(is);
      if (is && settings.history && !latest.current.isLong) latest.current.again(); // for what came before
    };
    return api.stream(`${at(id)}/messages`, ["Message"], (message) => setLive((before) => [...before, { ...message, id: next.current++ }].slice(-MAX_ROWS)), began);
  }, [isOn, id]);
  const wanted = search.trim().toLowerCase();
  const rows = useMemo(() => {
    const past = kept.items ?? [];
    const answered = new Set(past.filter((row) => row.answered_at !== null).map(keyOf)); // one that was read before its answer came is not known yet
    const fresh = paired(live).filter((row) => !answered.has(keyOf(row)) && (!action || row.action === action) && (!wanted || JSON.stringify([row.action, row.call, row.answer, row.error]).toLowerCase().includes(wanted)));
    const shown = new Set(fresh.map(keyOf));
    return [...fresh, ...past.filter((row) => !shown.has(keyOf(row)))];
  }, [live, kept.items, wanted, action]);
  const actions = useMemo(() => [...new Set([action, ...rows.map((row) => row.action)])].filter(Boolean).sort(), [rows, action]);
  return html`<section class="panel"><div class="head"><h2>Messages</h2><span class=${`live ${isOn && isConnected ? "on" : ""}`}>${!isOn ? "paused" : isConnected ? "live" : "connecting"}</span><span class="spring"></span>
      <button aria-pressed=${isRaw} onClick=${() => setRaw(!isRaw)}>${isRaw ? "Show pretty" : "Show raw"}</button>
      <button aria-pressed=${isOn} onClick=${() => setOn(!isOn)}>${isOn ? "Pause" : "Watch"}</button>
      ${settings.history && html`<a class="button" href=${`/api/v1${at(id)}/message-history/download`} download title="JSON Lines, which wattspan replay reads">Download</a>`}</div>
    <div class="filters"><${Search} label="Search messages" placeholder="Search the content" value=${search} onInput=${(q) => change({ q })} />
      <label><span class="hidden-label">Action</span><select value=${action} onChange=${(e) => change({ action: e.target.value })}><option value="">All actions</option>${actions.map((name) => html`<option value=${name} selected=${name === action}>${name}</option>`)}</select></label></div>
    <${Fault} of=${kept.fault?.status === 404 ? null : kept.fault} />
    ${!rows.length && html`<p class="soft" role="status">${search || action ? "No message matches." : isOn ? "Waiting for the next message …" : "Paused."}</p>`}
    <div role="log" aria-label="Messages">${rows.map((row) => html`<${Exchange} key=${row.id} of=${row} isRaw=${isRaw} settings=${settings} />`)}</div>
    <p hidden=${!kept.more} style="margin-top:12px"><button onClick=${kept.more}>Show earlier messages</button></p></section>`;
}

function Exchange({ of, isRaw, settings }) {
  const [isOpen, setOpen] = useState(false);
  const trace = tracePage(of.trace_id, settings);
  return html`<details class="message" onToggle=${(e) => setOpen(e.currentTarget.open)}><summary><span class="soft when" title=${time(of.at)}>${shortTimeWithSeconds(of.at)}</span> <span class="soft way">${of.direction === "in" ? "received" : "sent"}</span> <strong>${of.action || "answer"}</strong>
      <span class="soft took">${of.duration_s !== null && (of.duration_s < 1 ? `${Math.round(of.duration_s * 1000)} ms` : duration(of.duration_s))}</span>${of.error && html`<${Chip} of=${of.error[0] || "CALLERROR"} tone="bad" />`}${of.answered_at === null && of.action && html`<span class="soft">no answer yet</span>`}
      <code class="brief">${JSON.stringify(of.call)}</code></summary>
    ${isOpen && (isRaw ? html`<pre class="mono">${raw(of)}</pre>` : html`<div class="pair"><div><h3>${of.action || "Message"}</h3><pre class="mono">${pretty(of.call)}</pre></div>${of.answered_at !== null && html`<div><h3>${of.error ? "Error" : "Answer"}</h3><pre class="mono">${pretty(of.error ?? of.answer)}</pre></div>`}</div>`)}
    ${isOpen && trace && html`<p><a href=${trace} target="_blank" rel="noreferrer">Open its trace</a></p>`}</details>`;
}
