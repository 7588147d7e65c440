// Charge points that are not registered and wait for approval (policy "pending").

import * as api from "../api.js";
import { Ago, Dialog, Fault, Head, Table, html, toast, useEffect, useLoaded, useState } from "../ui.js";

const REFRESH_MS = 4000;

export function Pending({ may }) {
  const loaded = useLoaded(() => api.get("/charge-points/pending"));
  const [decision, setDecision] = useState(null);
  useEffect(() => { const timer = setInterval(loaded.again, REFRESH_MS); return () => clearInterval(timer); }, []);
  const columns = [
    ["Identity", (one) => html`<code>${one.cp_id}</code>`],
    ["", (one) => may("write") && html`<span class="actions">
      <button class="main" onClick=${() => setDecision(["approve", one])}>Approve<span class="hidden-label"> ${one.cp_id}</span></button>
      <button onClick=${() => setDecision(["reject", one])}>Reject<span class="hidden-label"> ${one.cp_id}</span></button></span>`],
    ["Model", (one) => [one.vendor, one.model, one.firmware].filter(Boolean).join(" ") || "unknown until it boots"],
    ["Serial number", (one) => one.serial_number],
    ["From", (one) => one.address],
    ["Protocol", (one) => one.protocol.replace("ocpp", "")],
    ["Security profile", (one) => one.security_profile, "number"],
    ["Since", (one) => html`<${Ago} at=${one.since} />`],
  ];
  const [what, one] = decision ?? [];
  return html`<${Head} title="Pending charge points" /><${Fault} of=${loaded.fault} />
    ${loaded.value?.length > 0 && html`<p class="soft">These charge points are not registered. They are connected, but can't charge until you approve them.</p>`}
    <${Table} label="Pending charge points" columns=${columns} rows=${loaded.value?.map((each) => ({ ...each, id: each.cp_id }))} empty="No charge point waits for approval. Unknown ones wait here if the setting unknown_charge_points is pending." />
    ${one && html`<${Confirm} what=${what} one=${one} onDone=${(isDone) => { setDecision(null); if (isDone) loaded.again(); }} />`}`;
}

const DECISIONS = {
  approve: ["Approve", "It is registered without a secret. To give it one that nobody has seen, rotate its credentials on its page.", "is approved."],
  reject: ["Reject", "Its connections are refused until it is registered.", "is rejected."],
};

function Confirm({ what, one, onDone }) {
  const [title, text, done] = DECISIONS[what];
  return html`<${Dialog} title=${`${title} ${one.cp_id}?`} action=${title} danger=${what === "reject"} onDone=${onDone} submit=${async () => {
    await api.post(`/charge-points/pending/${encodeURIComponent(one.cp_id)}/${what}`);
    toast(`${one.cp_id} ${done}`);
  }}><p>${text}</p><//>`;
}
