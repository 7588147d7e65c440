// Charge points that nobody registered and that wait for a yes or a no (policy "pending").

import * as api from "../api.js";
import { Ago, Dialog, Fault, Head, Table, html, toast, useEffect, useLoaded, useState } from "../ui.js";

const LOOK_MS = 4000;

export function Newcomers({ may }) {
  const loaded = useLoaded(() => api.get("/charge-points/pending"));
  const [asked, setAsked] = useState(null);
  useEffect(() => { const timer = setInterval(loaded.again, LOOK_MS); return () => clearInterval(timer); }, []);
  const columns = [
    ["Identity", (one) => html`<code>${one.cp_id}</code>`],
    ["", (one) => may("write") && html`<span class="actions">
      <button class="main" onClick=${() => setAsked(["approve", one])}>Approve<span class="hidden-label"> ${one.cp_id}</span></button>
      <button onClick=${() => setAsked(["reject", one])}>Reject<span class="hidden-label"> ${one.cp_id}</span></button></span>`],
    ["Model", (one) => [one.vendor, one.model, one.firmware].filter(Boolean).join(" ") || "not told yet"],
    ["Serial number", (one) => one.serial_number],
    ["From", (one) => one.address],
    ["Protocol", (one) => one.protocol.replace("ocpp", "")],
    ["Security profile", (one) => one.security_profile, "number"],
    ["Since", (one) => html`<${Ago} at=${one.since} />`],
  ];
  const [what, one] = asked ?? [];
  return html`<${Head} title="Newcomers" /><${Fault} of=${loaded.fault} />
    <p class="soft">Charge points that nobody registered. They are connected and may do nothing until they are approved.</p>
    <${Table} label="Newcomers" columns=${columns} rows=${loaded.value?.map((each) => ({ ...each, id: each.cp_id }))} empty="Nobody waits." />
    ${one && html`<${Answer} what=${what} one=${one} onDone=${(isDone) => { setAsked(null); if (isDone) loaded.again(); }} />`}`;
}

const ASKED = {
  approve: ["Approve", "It is registered and let in without a secret. Rotate its credentials on its page, and it has one that nobody saw.", "is approved."],
  reject: ["Reject", "It is turned away from now on, until somebody registers it.", "is turned away."],
};

function Answer({ what, one, onDone }) {
  const [title, text, done] = ASKED[what];
  return html`<${Dialog} title=${`${title} ${one.cp_id}?`} action=${title} danger=${what === "reject"} onDone=${onDone} submit=${async () => {
    await api.post(`/charge-points/pending/${encodeURIComponent(one.cp_id)}/${what}`);
    toast(`${one.cp_id} ${done}`);
  }}><p>${text}</p><//>`;
}
