// Open reservations.

import * as api from "../api.js";
import { ChargePointLink } from "./charge_point_link.js";
import { Fault, Head, Table, html, toast, useEffect, useLoaded, useThrottled } from "../ui.js";
import { time } from "../format.js";

export function Reservations({ may, onEvent }) {
  const loaded = useLoaded(() => api.get("/reservations"));
  const again = useThrottled(loaded.again, 1000);
  useEffect(() => onEvent((event) => { if (event.kind.startsWith("Reservation") || event.kind === "TransactionStarted" || event.kind === "Reset") again(); }), []);
  const cancel = async (one) => {
    try {
      const answer = await api.post(`/charge-points/${encodeURIComponent(one.cp_id)}/cancel-reservation`, { reservation_id: one.reservation_id });
      toast(`${answer.action}: ${answer.status}`, !answer.accepted);
      loaded.again();
    } catch (problem) { toast(problem.message, true); }
  };
  const columns = [
    ["Reservation", (one) => one.reservation_id], ["Charge point", (one) => html`<${ChargePointLink} id=${one.cp_id} />`], ["Connector", (one) => (one.connector_id === "0" ? "any" : one.connector_id)],
    ["Id tag", (one) => html`<code>${one.id_tag}</code>`], ["Until", (one) => time(one.expires_at)],
    ["", (one) => may("command") && html`<button class="plain" onClick=${() => cancel(one)}>Cancel<span class="hidden-label"> ${one.reservation_id}</span></button>`],
  ];
  return html`<${Head} title="Reservations" /><${Fault} of=${loaded.fault} />
    <${Table} label="Reservations" columns=${columns} rows=${loaded.value?.map((one) => ({ ...one, id: `${one.cp_id}/${one.reservation_id}` }))} empty="No open reservations. Make one on a charge point's page, with Reserve." />`;
}
