// Puts many charge points at one site.

import * as api from "../api.js";
import { fleet } from "../fleet_store.js";
import { plural } from "../format.js";
import { useSites } from "../sites.js";
import { Choice, Dialog, html, toast, useState } from "../ui.js";

const AT_ONCE = 6;
const at = (id) => `/charge-points/${encodeURIComponent(id)}`;

async function setSite(id, site_id) {
  const changed = await api.patch(at(id), { site_id }, "*");
  fleet.patch(id, { site_id: changed.site_id });
}

/** `ids` are of the charge points. If one can't be changed, the others are; a second try takes those that are left. */
export function SetSite({ ids, onDone }) {
  const sites = useSites();
  const [done, setDone] = useState(0);
  const submit = async (form) => {
    const left = ids.filter((id) => (fleet.chargePoints.get(id)?.site_id ?? "") !== form.get("site_id"));
    const faults = [];
    let ended = ids.length - left.length;
    const work = async () => {
      for (let id = left.shift(); id; id = left.shift()) {
        try { await setSite(id, form.get("site_id")); } catch (problem) { faults.push(`${id}: ${problem.message}`); }
        setDone(ended += 1);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    if (faults.length) throw new Error(`${plural(faults.length, "charge point")} not changed. ${faults[0]}`);
    toast(`The site of ${plural(ids.length, "charge point")} is set.`);
  };
  return html`<${Dialog} title=${`Set the site of ${plural(ids.length, "charge point")}`} action="Set site" onDone=${onDone} submit=${submit}>
    <div class="fields"><${Choice} label="Site" name="site_id" value="" of=${[...[...sites.values()].map((site) => [site.site_id, site.name || site.site_id]), ["", "None"]]} /></div>
    ${done > 0 && html`<p class="soft small" role="status">${done} of ${ids.length}</p>`}<//>`;
}
