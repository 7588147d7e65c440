// A connector as it is now.

import { current, energy, power } from "../../format.js";
import { toSession } from "../../router.js";
import { Ago, Chip, Properties, html } from "../../ui.js";

/** Statuses in which no car is there, so that the battery of the last one says nothing. */
const NO_CAR = new Set(["Available", "Reserved", "Unavailable", "Faulted"]);

export function Connector({ of, isConnected }) {
  const share = of.limit_a ? Math.min(1, (of.current_a ?? 0) / of.limit_a) : null;
  const hasCar = of.transaction !== null || (of.status !== null && !NO_CAR.has(of.status));
  return html`<section class="panel">
    <div class="head"><h2>${of.connector_id === "0" ? "Whole charge point" : `Connector ${of.connector_id}`}</h2><span class="spring"></span>${isConnected ? html`<${Chip} of=${of.status} />` : html`<${Chip} of="Offline" />`}</div>
    <${Properties} of=${[
      ["Power", of.power_w === null ? null : power(of.power_w)], ["Current", of.current_a === null ? null : html`${current(of.current_a)}${of.limit_a !== null && html` <span class="soft">of ${current(of.limit_a)}</span>`}`],
      ["Limit", of.current_a === null && of.limit_a !== null ? current(of.limit_a) : null],
      ["Energy", of.transaction === null ? null : energy(of.energy_wh)], ["Battery", of.soc_percent === null || !hasCar ? null : `${Math.round(of.soc_percent)} %`],
      ["Error", of.error_code === "NoError" ? null : of.error_code], [isConnected ? "Since" : "Last status", isConnected ? html`<${Ago} at=${of.status_at} />` : html`${of.status ?? "none"}, <${Ago} at=${of.status_at} />`],
      ["Session", of.transaction === null ? null : html`<a href=${toSession(of.transaction)}>${of.transaction}</a>`],
    ]} />
    ${share !== null && of.transaction !== null && html`<div class="bar" role="meter" aria-label="Share of the limit" aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(share * 100)}><span style=${`width:${share * 100}%`}></span></div>`}
  </section>`;
}
