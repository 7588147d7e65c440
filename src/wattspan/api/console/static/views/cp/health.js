// The health of a charge point in words: what is wrong with it, and what that usually means.

import { ago, count, duration } from "../../format.js";
import { outlets } from "../../status.js";
import { html } from "../../ui.js";

const OFTEN_A_DAY = 5;
const DAY_S = 86_400;
const ms = (at) => (at ? new Date(at).getTime() : 0);

/** Returns [[tone, sentence]], the worst first; `connection`: its timeline of the last days, or null. */
export function health(cp, staleAfterS, connection = null, now = Date.now()) {
  const found = [];
  for (const each of outlets(cp)) {
    if (each.status === "Faulted") found.push(["bad", `${each.connector_id === "0" ? "The charge point" : `Connector ${each.connector_id}`} has been faulted for ${duration((now - ms(each.status_at)) / 1000)}${each.error_code && each.error_code !== "NoError" ? `: ${each.error_code}` : ""}.`]);
    if (each.status === "Unavailable") found.push(["hold", `Connector ${each.connector_id} is out of service.`]);
  }
  if (!cp.connected) found.push(["bad", cp.last_message_at ? `It is offline. Its last message came ${ago(cp.last_message_at)}. Check its power and its network.` : "It has never connected. Check its URL, identity and credentials."]);
  else if (cp.last_message_at && now - ms(cp.last_message_at) > staleAfterS * 1000) found.push(["hold", `It is connected, but its last message came ${ago(cp.last_message_at)}: its heartbeats are late. The connection may be dead.`]);
  if (connection) {
    const lost = connection.intervals.filter((each) => each.state === "disconnected");
    const offline = lost.reduce((sum, each) => sum + (ms(each.until_at) - ms(each.from_at)) / 1000, 0);
    if (lost.length >= OFTEN_A_DAY) found.push(["hold", `It lost its connection ${count(lost.length)} times, for ${duration(offline)} in all, in the time shown. Its network is probably weak.`]);
    else if (lost.length) found.push(["", `It lost its connection ${lost.length === 1 ? "once" : `${count(lost.length)} times`}, for ${duration(offline)} in all, in the time shown.`]);
  } else {
    const days = Math.max(1, (now - ms(cp.known_since)) / 1000 / DAY_S);
    if (cp.disconnects / days > OFTEN_A_DAY) found.push(["hold", `It has lost its connection ${count(cp.disconnects)} times since it was added, ${Math.round(cp.disconnects / days)} times a day. Its network is probably weak.`]);
  }
  const errors = Object.entries(cp.errors).sort(([, a], [, b]) => b - a);
  if (errors.length) found.push(["", `Errors since it was added: ${errors.slice(0, 4).map(([code, n]) => `${code} ${n}×`).join(", ")}${errors.length > 4 ? `, and ${errors.length - 4} more kinds` : ""}.`]);
  if (cp.certificate_expires_at && ms(cp.certificate_expires_at) - now < 30 * DAY_S * 1000) found.push(["hold", `Its client certificate ${ms(cp.certificate_expires_at) < now ? "has ended" : "ends"} ${ago(cp.certificate_expires_at)}.`]);
  for (const each of cp.signing_requests) if (each.state === "failed" || each.state === "refused") found.push(["hold", `Its certificate request ${each.state === "failed" ? "failed" : "was refused"}${each.reason ? ` (${each.reason})` : ""}.`]);
  const rank = { bad: 0, hold: 1, "": 2 };
  return found.sort(([a], [b]) => rank[a] - rank[b]);
}

const HEALTHY = ["free", "It is connected, sends its heartbeats in time and reports no fault."];
const NAMES = { bad: "Bad", hold: "Check", free: "Healthy" };

export function Health({ of }) {
  return html`<section class="panel"><h2>Health</h2><ul class="list whole">${(of.some(([tone]) => tone) ? of : [HEALTHY, ...of]).map(([tone, text]) => html`<li style="grid-template-columns:84px minmax(0,1fr)"><span><span class=${`chip ${tone}`}>${NAMES[tone] ?? "Note"}</span></span><span>${text}</span></li>`)}</ul></section>`;
}
