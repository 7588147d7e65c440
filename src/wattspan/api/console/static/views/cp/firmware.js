// Firmware and logs of a charge point: what it has and reported, the commands for both, and the logs it uploaded.

import * as api from "../../api.js";
import { bytes } from "../../format.js";
import { At, Dialog, Fault, Properties, Table, html, toast, useEffect, useLoaded, useState, useThrottled } from "../../ui.js";
import { Transfers } from "../security.js";

const UPLOAD_EVENTS = new Set(["LogStatusChanged", "Reset"]);

export function FirmwareTab({ id, here, may, onEvent, setOpen }) {
  return html`<section class="panel"><h2>Firmware</h2><${Properties} of=${[["Version", here.firmware || "not reported"], ["Firmware update", here.firmware_status || "none reported"], ["Log upload", here.log_status || "none reported"]]} />
      ${may("command") && html`<div class="actions below"><button disabled=${!here.connected} onClick=${() => setOpen({ operation: "firmware" })}>Update firmware</button><button disabled=${!here.connected} onClick=${() => setOpen({ operation: "logs" })}>Get a log</button></div>`}</section>
    <${Transfers} id=${id} onEvent=${onEvent} />
    ${may("command") && html`<${Uploads} id=${id} may=${may} onEvent=${onEvent} />`}`;
}

/** The logs that the charge point uploaded to this server. */
function Uploads({ id, may, onEvent }) {
  const loaded = useLoaded(() => api.get("/diagnostics", { cp_id: id }), [id]);
  const again = useThrottled(loaded.again, 700);
  const [removed, setRemoved] = useState(null);
  useEffect(() => onEvent((event) => { if (UPLOAD_EVENTS.has(event.kind) && (event.cp_id === id || event.kind === "Reset")) again(); }), [id]);
  const columns = [
    { title: "File", cell: (file) => html`<a href=${`/api/v1/diagnostics/${file.file_id}`} download=${file.name}>${file.name}</a>` },
    { title: "Size", number: true, side: true, cell: (file) => bytes(file.size_bytes) }, { title: "Received", cell: (file) => html`<${At} at=${file.created_at} />` },
    ...(may("write") ? [{ title: "", side: true, cell: (file) => html`<button class="plain" onClick=${() => setRemoved(file)}>Delete<span class="hidden-label"> ${file.name}</span></button>` }] : []),
  ];
  return html`<h2>Uploaded logs</h2><${Fault} of=${loaded.fault} />
    <${Table} label="Uploaded logs" columns=${columns} rows=${loaded.value?.map((file) => ({ ...file, id: file.file_id })) ?? null} empty="None. Get a log asks the charge point to upload one to this server." />
    ${removed && html`<${Dialog} title=${`Delete ${removed.name}`} action="Delete" danger=${true} onDone=${(sure) => { setRemoved(null); if (sure) { toast("The log is deleted."); loaded.again(); } }} submit=${() => api.remove(`/diagnostics/${removed.file_id}`)}><p>The file is removed from this server.</p><//>`}`;
}
