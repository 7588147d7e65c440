// All charge points: totals, filters, and one row each.

import * as api from "../api.js";
import { Ago, Chip, Choice, Dialog, Fault, Field, Figures, Head, LongTable, html, toast, useEffect, useMemo, useRef, useThrottled, useState } from "../ui.js";
import { count, power } from "../format.js";

const PAGE = 500;
const FILTERS = { "": "All", connected: "Connected", offline: "Offline", charging: "Charging", faulted: "Faulted" };
const MATCHES = {
  "": () => true,
  connected: (cp) => cp.connected,
  offline: (cp) => !cp.connected,
  charging: (cp) => cp.transactions > 0,
  faulted: (cp) => cp.status === "Faulted",
};

const COLUMNS = [
  ["Charge point", (cp) => html`<a href=${`#/charge-points/${encodeURIComponent(cp.cp_id)}`}>${cp.cp_id}</a>`, "", "210px"],
  ["Connection", (cp) => html`<${Chip} of=${cp.connected ? "connected" : "offline"} tone=${cp.connected ? "good" : "bad"} />`, "", "110px"],
  ["Status", (cp) => html`<${Chip} of=${cp.status} />`, "", "150px"],
  ["Sessions", (cp) => (cp.transactions || ""), "number", "90px"],
  ["Power", (cp) => (cp.power_w ? power(cp.power_w) : ""), "number", "100px"],
  ["Model", (cp) => [cp.vendor, cp.model].filter(Boolean).join(" "), "", ""],
  ["Protocol", (cp) => cp.protocol.replace("ocpp", ""), "", "90px"],
  ["Last message", (cp) => html`<${Ago} at=${cp.last_message_at} />`, "", "140px"],
];

export function Fleet({ may, onEvent, given }) {
  const [rows, setRows] = useState(null);
  const [fault, setFault] = useState(null);
  const [isWhole, setWhole] = useState(false);
  const [search, setSearch] = useState("");
  const [which, setWhich] = useState(given.get("which") ?? "");
  const [isAdding, setAdding] = useState(false);
  const [secret, setSecret] = useState(null);
  const [waiting, setWaiting] = useState(0);
  const turn = useRef(0);
  const load = async () => {
    const mine = ++turn.current;
    api.get("/charge-points/pending").then((found) => setWaiting(found.length), () => {});
    try {
      await api.all("/charge-points", { limit: PAGE }, (found, whole) => {
        if (mine !== turn.current) return;
        setRows((before) => (whole || !before ? found.map((cp) => ({ ...cp, id: cp.cp_id })) : before));
        setWhole(whole);
        setFault(null);
      }, () => mine === turn.current);
    } catch (problem) { setFault(problem); }
  };
  const soon = useThrottled(load, 3000);
  useEffect(() => { load(); return onEvent(soon); }, []);
  const shown = useMemo(() => {
    const wanted = search.trim().toLowerCase();
    return (rows ?? []).filter((cp) => MATCHES[which](cp) && (!wanted || `${cp.cp_id} ${cp.vendor} ${cp.model} ${cp.firmware}`.toLowerCase().includes(wanted)));
  }, [rows, search, which]);
  const sum = (value) => (rows ?? []).reduce((total, cp) => total + value(cp), 0);
  return html`
    <${Head} title="Fleet">${may("write") && html`<button onClick=${() => setAdding(true)}>Add charge point</button>`}<//>
    <${Fault} of=${fault} />
    <${Figures} of=${[
      ["Connected", html`${count(sum((cp) => +cp.connected))} <small>of ${count(rows?.length)}</small>`],
      ["Charging now", count(sum((cp) => cp.transactions))],
      ["Power", power(sum((cp) => cp.power_w))],
      ["Faulted", count(sum((cp) => +(cp.status === "Faulted")))],
    ]} />
    ${waiting > 0 && html`<p class="notice"><a href="#/pending">${waiting === 1 ? "1 charge point waits" : `${count(waiting)} charge points wait`} for approval.</a></p>`}
    <div class="head">
      <label style="flex:1 1 220px"><span class="hidden-label">Search</span><input type="search" placeholder="Search identity, vendor, model" value=${search} onInput=${(e) => setSearch(e.target.value)} style="margin:0" /></label>
      <div class="actions" role="group" aria-label="Show">${Object.entries(FILTERS).map(([key, title]) => html`<button key=${key} aria-pressed=${which === key} class=${which === key ? "main" : ""} onClick=${() => setWhich(key)}>${title}</button>`)}</div>
    </div>
    <p class="soft" role="status">${rows ? `${count(shown.length)} shown${isWhole ? "" : ", loading more …"}` : "Loading …"}</p>
    ${rows && html`<${LongTable} label="Charge points" columns=${COLUMNS} rows=${shown} empty=${rows.length ? "No charge point matches the search." : "No charge point has connected yet. Point one at this server's OCPP port, or try wattspan simulate."} />`}
    ${isAdding && html`<${Add} onDone=${(made) => { setAdding(false); if (made) load(); }} onSecret=${setSecret} />`}
    ${secret && html`<${Secret} of=${secret} onDone=${() => setSecret(null)} />`}`;
}

function Add({ onDone, onSecret }) {
  return html`<${Dialog} title="Add charge point" action="Add" onDone=${onDone} submit=${async (form) => {
    const made = await api.post("/charge-points", { cp_id: form.get("cp_id").trim(), credentials: form.get("credentials") === "yes", name: form.get("name"), location: form.get("location") });
    toast(`${made.cp_id} is registered.`);
    if (made.secret) onSecret(made);
  }}>
    <div class="fields">
      <${Field} label="Identity" name="cp_id" required maxlength="255" hint="The last part of the URL that the charge point connects to." />
      <${Field} label="Name" name="name" />
      <${Field} label="Location" name="location" />
      <${Choice} label="Credentials" name="credentials" value="yes" of=${[["yes", "Generate a secret"], ["no", "None"]]} />
    </div>
  <//>`;
}

/** Shows a secret once: the server stores a hash of it. */
export function Secret({ of, onDone }) {
  return html`<${Dialog} title=${`Secret of ${of.cp_id}`} action="I have saved it" onDone=${onDone} submit=${async () => {}}>
    <p>Its Basic password (AuthorizationKey). It is not shown again.</p>
    <p><code style="overflow-wrap:anywhere">${of.secret}</code> <button type="button" class="plain" onClick=${() => navigator.clipboard?.writeText(of.secret).then(() => toast("Copied."))}>Copy</button></p>
  <//>`;
}
