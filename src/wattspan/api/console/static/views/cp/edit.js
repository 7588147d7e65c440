// The fields of a charge point that an operator sets.

import * as api from "../../api.js";
import { fleet } from "../../fleet_store.js";
import { useSites } from "../../sites.js";
import { LabelsField, labelsOf } from "../labels_field.js";
import { Choice, Dialog, Field, html } from "../../ui.js";

const PROFILES = [["0", "The server's minimum"], ["1", "1: credentials"], ["2", "2: credentials and TLS"], ["3", "3: client certificate"]];
const TAG_POLICIES = [["default", "The server's setting"], ["accept", "May charge"], ["reject", "May not charge"]];

export function Edit({ cp, onDone }) {
  const sites = useSites();
  return html`<${Dialog} title=${`Edit ${cp.cp_id}`} onDone=${onDone} submit=${async (form) => {
    const changed = await api.patch(`/charge-points/${encodeURIComponent(cp.cp_id)}`, { ...Object.fromEntries(form), labels: labelsOf(form.get("labels")), security_profile: +form.get("security_profile") }, cp.etag);
    fleet.patch(cp.cp_id, { name: changed.name, location: changed.location, site_id: changed.site_id, labels: changed.labels });
  }}>
    <div class="fields"><${Field} label="Name" name="name" value=${cp.name} maxlength="500" /><${Field} label="Location" name="location" value=${cp.location} maxlength="500" /><${Choice} label="Site" name="site_id" value=${cp.site_id ?? ""} of=${[["", "None"], ...[...sites.values()].map((site) => [site.site_id, site.name || site.site_id])]} />
      <${LabelsField} labels=${cp.labels} /><${Field} label="Note" name="note" value=${cp.note} maxlength="500" />
      <${Field} label="Serial number in certificates" name="registered_serial" value=${cp.registered_serial} maxlength="64" hint="Its client certificate may name it instead of the identity." />
      <${Choice} label="Security profile required" name="security_profile" value=${String(cp.security_profile)} of=${PROFILES} />
      <${Choice} label="Unknown id tags" name="unknown_id_tags" value=${cp.unknown_id_tags} of=${TAG_POLICIES} /></div><//>`;
}

