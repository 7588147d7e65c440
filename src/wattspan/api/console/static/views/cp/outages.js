// Planned outages of a charge point: times that its availability, as NEVI counts it, leaves out.

import * as api from "../../api.js";
import { time } from "../../format.js";
import { Choice, Dialog, Fault, Field, Skeleton, Table, html, toast, useLoaded, useState } from "../../ui.js";

const DAY_MS = 86_400_000;
/** How long ended outages stay in the list: as long as the availability on the overview looks back. */
const SHOWN_DAYS = 30;

/** Returns a time as a field of type datetime-local has it. */
const local = (at) => new Date(at - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
const place = (connector_id) => (connector_id === "" ? "Whole charge point" : `Connector ${connector_id}`);
const stateOf = (outage, now) => (new Date(outage.until_at) <= now ? "ended" : new Date(outage.from_at) > now ? "planned" : "under way");

/** The list of planned outages and the form that adds one; `onChanged` is called after each change. */
export function Outages({ cp, may, onChanged }) {
  const [open, setOpen] = useState(null);
  const loaded = useLoaded(() => api.get("/planned-outages", { cp_id: cp.cp_id, from_at: new Date(Date.now() - SHOWN_DAYS * DAY_MS).toISOString(), until_at: new Date(Date.now() + 366 * DAY_MS).toISOString() }), [cp.cp_id]);
  const now = new Date();
  const rows = loaded.value?.toReversed() ?? null;
  const done = (sent) => { setOpen(null); if (sent) { loaded.again(); onChanged(); } };
  const columns = [
    { key: "from", title: "From", cell: (each) => time(each.from_at) },
    { key: "until", title: "Until", cell: (each) => time(each.until_at) },
    { key: "state", title: "State", cell: (each) => html`<span class=${`chip ${stateOf(each, now) === "under way" ? "hold" : "plain"}`}>${stateOf(each, now)}</span>` },
    { key: "place", title: "Connector", cell: (each) => place(each.connector_id) },
    { key: "reason", title: "Reason", cell: (each) => each.reason },
    { key: "by", title: "By", noCard: true, cell: (each) => each.created_by },
    ...(may("write") ? [{ key: "actions", title: "", cell: (each) => html`<button class="plain" aria-label=${`Delete the outage from ${time(each.from_at)}`} onClick=${() => setOpen({ remove: each })}>Delete</button>` }] : []),
  ];
  return html`<section class="panel"><div class="head"><h2>Planned outages</h2><span class="soft small">left out of the availability</span><span class="spring"></span>${may("write") && html`<button onClick=${() => setOpen({ add: true })}>Plan an outage</button>`}</div>
    <${Fault} of=${loaded.fault} />
    ${!rows && !loaded.fault && html`<${Skeleton} rows=${1} />`}
    ${rows && (rows.length ? html`<${Table} label="Planned outages" columns=${columns} rows=${rows} />` : html`<p class="soft">None in the last ${SHOWN_DAYS} days, and none to come.</p>`)}
    ${open?.add && html`<${Add} cp=${cp} onDone=${done} />`}
    ${open?.remove && html`<${Dialog} title="Delete the planned outage" action="Delete" danger=${true} onDone=${done} submit=${() => api.remove(`/planned-outages/${open.remove.id}`)}>
      <p>From ${time(open.remove.from_at)} until ${time(open.remove.until_at)}. That time will count as an outage if the charge point was down.</p><//>`}</section>`;
}

function Add({ cp, onDone }) {
  const begin = new Date();
  begin.setMinutes(0, 0, 0);
  const ids = cp.connectors.map((each) => each.connector_id).filter((each) => each !== "0");
  return html`<${Dialog} title="Plan an outage" action="Plan" onDone=${onDone} submit=${async (form) => {
    const [from, until] = [new Date(form.get("from_at")), new Date(form.get("until_at"))];
    if (until <= from) throw new Error("The end must be after the begin.");
    await api.post("/planned-outages", { cp_id: cp.cp_id, connector_id: form.get("connector_id"), from_at: from.toISOString(), until_at: until.toISOString(), reason: form.get("reason").trim() });
    toast("The outage is planned.");
  }}><p class="soft small">NEVI does not count planned maintenance against availability. The time may lie in the past. No command is sent to the charge point.</p>
    <div class="fields"><${Field} label="From" name="from_at" type="datetime-local" required value=${local(begin)} /><${Field} label="Until" name="until_at" type="datetime-local" required value=${local(new Date(begin.getTime() + 7_200_000))} />
      <${Choice} label="Connector" name="connector_id" value="" of=${[["", "The whole charge point"], ...ids.map((each) => [each, `Connector ${each}`])]} />
      <${Field} label="Reason" name="reason" maxlength="500" /></div><//>`;
}
