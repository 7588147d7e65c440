// The configuration keys of OCPP 1.6, read from the charge point, or the device model that 2.x reported.

import * as api from "../../api.js";
import { words } from "../../format.js";
import { Dialog, Fault, Field, Search, Table, html, toast, useState } from "../../ui.js";

const at = (id) => `/charge-points/${encodeURIComponent(id)}`;

/** How long a station has to send its report before it is shown. */
const REPORT_MS = 3000;

export function Configuration({ id, protocol, isConnected, may }) {
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
  const ask = async () => {
    setFault(null);
    try {
      const answer = await api.post(`${at(id)}/commands/GetBaseReport`, { requestId: Math.floor(Date.now() / 1000), reportBase: "FullInventory" });
      toast(`GetBaseReport: ${answer.status}`, !answer.accepted);
      if (answer.accepted) setTimeout(load, REPORT_MS);
    } catch (problem) { setFault(problem); }
  };
  const columns = isOld
    ? [["Key", (key) => key.key], ["Value", (key) => html`<code class="whole">${key.value ?? "–"}</code>`], ["", (key) => (!key.readonly && may("write") ? html`<button class="plain" onClick=${() => setEdit(key)}>Change</button>` : html`<span class="soft">${key.readonly ? "read only" : ""}</span>`)]]
    : [["Component", (each) => [each.component === "EVSE" && each.evse_id ? "" : each.component, each.component_instance, each.evse_id && `EVSE ${each.evse_id}`].filter(Boolean).join(" ")], ["Variable", (each) => [each.variable, each.variable_instance].filter(Boolean).join(" ")], ["Value", (each) => each.attributes.map((one) => html`<code>${one.value ?? "–"}</code> <span class="soft">${one.type === "Actual" ? "" : one.type} ${words(one.mutability)}</span> `)], ["Unit", (each) => each.characteristics?.unit ?? ""]];
  const rows = shown?.filter((row) => row.id.toLowerCase().includes(wanted.toLowerCase()));
  return html`<section class="panel"><div class="head"><h2 style="margin:0">${isOld ? "Configuration" : "Device model"}</h2><span class="spring"></span>
      ${shown && html`<${Search} label="Search keys" placeholder="Search" value=${wanted} onInput=${setWanted} />`}
      ${!isOld && may("command") && html`<button disabled=${!isConnected} onClick=${ask}>Ask for a full report</button>`}
      <button onClick=${load}>${shown ? "Read again" : isOld ? "Read from the charge point" : "Show"}</button></div>
    <${Fault} of=${fault} />
    ${!shown && !fault && html`<p class="soft">${isOld ? "The configuration was not read yet. Reading it asks the charge point for all keys." : "What the charge point last reported about its components and variables."}</p>`}
    ${shown && html`<${Table} label="Configuration" columns=${columns} rows=${rows} empty="Nothing was reported." />`}
    ${edit && html`<${Dialog} title=${`Change ${edit.key}`} onDone=${(sent) => { setEdit(null); if (sent) load(); }} submit=${async (form) => {
      const answer = await api.put(`${at(id)}/configuration/${encodeURIComponent(edit.key)}`, { value: form.get("value") });
      toast(`${edit.key}: ${answer.status}`, !answer.accepted);
    }}><${Field} label="Value" name="value" value=${edit.value ?? ""} maxlength="500" /><//>`}</section>`;
}

