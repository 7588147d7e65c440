// The operations of a charge point, each a dialog: start, stop, unlock, limit, reserve, availability, reset, firmware, log.

import * as api from "../../api.js";
import { energy } from "../../format.js";
import { Dialog, Field, html, toast } from "../../ui.js";
import { tracePage } from "../sessions.js";
import { FirmwareFields, firmwareOf } from "../firmware_fields.js";
import { TagField } from "../tag_field.js";

const at = (id) => `/charge-points/${encodeURIComponent(id)}`;
const answered = (answer, settings) => toast(`${answer.action}: ${answer.status || "answered"}`, !answer.accepted) ?? tracePage(answer.trace_id, settings);
const number = (form, name) => (form.get(name) === "" || form.get(name) === null ? undefined : Number(form.get(name)));
const text = (form, name) => form.get(name)?.trim() || undefined;

const OPERATIONS = {
  start: { title: "Start a session", fields: (cp) => html`<${TagField} /><${Pick} cp=${cp} isFree=${true} />`,
    body: (form) => ({ id_tag: text(form, "id_tag"), connector_id: number(form, "connector_id") }) },
  stop: { title: "Stop a session", fields: (cp) => html`<label>Session<select name="transaction">${cp.connectors.filter((each) => each.transaction !== null).map((each) => html`<option value=${each.transaction}>Connector ${each.connector_id}, ${energy(each.energy_wh)}</option>`)}</select></label>`,
    body: (form) => ({ transaction: number(form, "transaction") }) },
  unlock: { title: "Unlock a connector", fields: (cp) => html`<${Pick} cp=${cp} />${cp.protocol !== "ocpp1.6" && html`<${Field} label="Connector of the EVSE" name="evse_connector_id" type="number" min="1" hint="Empty: the one in use." />`}`,
    body: (form) => ({ connector_id: number(form, "connector_id"), evse_connector_id: number(form, "evse_connector_id") }) },
  limit: { title: "Set a limit", fields: (cp) => html`<${Field} label="Limit" name="limit" type="number" min="0" step="0.1" required /><label>Unit<select name="unit"><option value="A">A</option><option value="W">W</option></select></label><${LimitedPlace} cp=${cp} />
      <${Field} label="Lasts, minutes" name="minutes" type="number" min="1" hint="Empty: until it is cleared." />
      <label>Later limits<textarea name="periods" rows="3" style="min-height:4.5rem" placeholder="30: 10"></textarea><span class="hint">One a line: minutes from now, a colon, the limit.</span></label>`,
    body: (form) => ({ ...limits(form), unit: form.get("unit"), ...limitedPlace(form), lasts_s: form.get("minutes") ? number(form, "minutes") * 60 : undefined }) },
  reserve: { title: "Reserve a connector", fields: (cp) => html`<${TagField} /><${Pick} cp=${cp} isWhole=${true} /><${Field} label="Until" name="expires_at" type="datetime-local" required />`,
    body: (form) => ({ id_tag: text(form, "id_tag"), connector_id: number(form, "connector_id"), expires_at: inFuture(form.get("expires_at")) }) },
  availability: { title: "Change availability", fields: (cp) => html`<label>In service<select name="operative"><option value="yes">yes</option><option value="no">no</option></select></label><${Pick} cp=${cp} isWhole=${true} />`,
    body: (form) => ({ operative: form.get("operative") === "yes", connector_id: number(form, "connector_id") }) },
  reset: { title: "Restart the charge point", isDanger: true, fields: () => html`<label>When<select name="hard"><option value="no">when idle (soft)</option><option value="yes">at once (hard)</option></select></label>`,
    body: (form) => ({ hard: form.get("hard") === "yes" }) },
  firmware: { title: "Update firmware", fields: (_, may) => html`<${FirmwareFields} may=${may} />`, body: firmwareOf },
  logs: { title: "Get a log", fields: () => html`<label>Log<select name="kind"><option value="diagnostics">diagnostics</option><option value="security">security</option></select><span class="hint">The charge point uploads it to this server.</span></label>`,
    body: (form) => ({ kind: form.get("kind") }) },
};

/** Returns the time of a field as RFC 3339. Throws for one that is past. */
function inFuture(field) {
  const at = new Date(field);
  if (at <= Date.now()) throw new Error("The reservation must end in the future.");
  return at.toISOString();
}

/** Where a limit applies: a connector, the whole charge point, or one session. */
function LimitedPlace({ cp }) {
  const sessions = cp.connectors.filter((each) => each.transaction !== null);
  const ids = cp.connectors.map((each) => each.connector_id).filter((each) => each !== "0" && /^\d+$/.test(each));
  return html`<label>Where<select name="place"><option value="0">the whole charge point</option>${(ids.length ? ids : ["1"]).map((each) => html`<option value=${each}>each session at connector ${each}</option>`)}
    ${sessions.map((each) => html`<option value=${`session ${each.transaction}`}>only session ${each.transaction} at connector ${each.connector_id}</option>`)}</select></label>`;
}

function limitedPlace(form) {
  const [kind, session] = form.get("place").split(" ");
  return session ? { transaction: Number(session) } : { connector_id: Number(kind) };
}

/** Returns `limit`, or `periods` if later limits are given. Throws for a line that is none. */
function limits(form) {
  const lines = form.get("periods").split("\n").map((line) => line.trim()).filter(Boolean);
  if (!lines.length) return { limit: number(form, "limit") };
  const later = lines.map((line) => {
    const found = /^(\d+)\s*:\s*(\d+(?:\.\d)?)$/.exec(line);
    if (!found) throw new Error(`“${line}” is not minutes, a colon and a limit, such as 30: 10`);
    return { start_s: Number(found[1]) * 60, limit: Number(found[2]) };
  });
  return { periods: [{ start_s: 0, limit: number(form, "limit") }, ...later] };
}

function Pick({ cp, isWhole = false }) {
  const ids = cp.connectors.map((each) => each.connector_id).filter((each) => each !== "0" && /^\d+$/.test(each));
  return html`<label>Connector<select name="connector_id">${isWhole && html`<option value="0">the whole charge point</option>`}${(ids.length ? ids : ["1"]).map((each) => html`<option value=${each}>${each}</option>`)}</select></label>`;
}

export function Operation({ operation, cp, may, settings, onDone }) {
  const { title, fields, body, isDanger } = OPERATIONS[operation];
  return html`<${Dialog} title=${title} action=${title} danger=${isDanger} onDone=${onDone} submit=${async (form) => answered(await api.post(`${at(cp.cp_id)}/${operation}`, await body(form)), settings)}>
    <div class="fields">${fields(cp, may)}</div><//>`;
}

