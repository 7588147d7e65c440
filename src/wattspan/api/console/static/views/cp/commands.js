// Every command of the negotiated OCPP version, with a form from OCPP's own schema.

import * as api from "../../api.js";
import { PayloadForm } from "../../form.js";
import { Chip, Fault, html, useLoaded, useState } from "../../ui.js";
import { tracePage } from "../sessions.js";

const at = (id) => `/charge-points/${encodeURIComponent(id)}`;

export function AnyCommand({ id, isConnected, settings }) {
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
  return html`<section class="panel"><h2>Send any command</h2>
    ${!isConnected ? html`<p class="soft">The charge point is not connected.</p>` : html`<form onSubmit=${send}>
      <label style="max-width:340px">Command of OCPP ${supported.value?.version}<select value=${action} onChange=${(e) => chosen(e.target.value)}><option value="">Choose …</option>${(supported.value?.commands ?? []).map((name) => html`<option value=${name} selected=${name === action}>${name}</option>`)}</select></label>
      ${schema && html`<div style="margin:.8rem 0"><${PayloadForm} schema=${schema} payload=${payload} onChange=${setPayload} /></div><button class="main" disabled=${isBusy}>${isBusy ? "Waiting for the answer …" : `Send ${action}`}</button>`}
      <div role="status" style="margin-top:12px">${answer?.answer && html`<p><${Chip} of=${answer.answer.status || "answered"} tone=${answer.answer.accepted ? "good" : "bad"} /> after ${answer.answer.duration_s.toFixed(2)} s · <${Trace} id=${answer.answer.trace_id} settings=${settings} /></p><pre class="mono" style="overflow:auto">${JSON.stringify(answer.answer.payload, null, 2)}</pre>`}</div>
      <${Fault} of=${answer?.problem} />
    </form>`}</section>`;
}

export const Trace = ({ id, settings }) => (tracePage(id, settings) ? html`<a href=${tracePage(id, settings)} target="_blank" rel="noreferrer">its trace</a>` : html`<span class="soft">trace <code>${id}</code></span>`);

