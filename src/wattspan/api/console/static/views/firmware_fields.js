// Where new firmware comes from: a file that this server keeps, one that is uploaded now, or a URL.

import * as api from "../api.js";
import { Choice, Field, html, useLoaded, useState } from "../ui.js";

const [URL_GIVEN, UPLOAD] = ["url", "upload"];

/** Whoever may not write chooses among the files that are there. */
export function FirmwareFields({ may }) {
  const kept = useLoaded(() => api.get("/firmware"));
  const [from, setFrom] = useState(URL_GIVEN);
  const options = [[URL_GIVEN, "From a URL"], ...(may("write") ? [[UPLOAD, "Upload a file"]] : []), ...(kept.value ?? []).map((file) => [file.file_id, file.name])];
  return html`<${Choice} label="Firmware" name="from" value=${from} of=${options} onChange=${(e) => setFrom(e.target.value)} />
    ${from === URL_GIVEN && html`<${Field} label="Location" name="location" type="url" required maxlength="512" hint="A URL that charge points can reach." />`}
    ${from === UPLOAD && html`<label>File<input type="file" name="file" required /><span class="hint">This server keeps it, and charge points fetch it from here.</span></label>`}`;
}

/** Returns the parameters of the form's firmware; a new file is uploaded first. */
export async function firmwareOf(form) {
  const from = form.get("from");
  if (from === URL_GIVEN) return { location: form.get("location").trim() };
  if (from !== UPLOAD) return { firmware_id: from };
  const file = form.get("file");
  const { file_id } = await api.upload(`/firmware?name=${encodeURIComponent(file.name)}`, file);
  return { firmware_id: file_id };
}
