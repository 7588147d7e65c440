// What needs an operator: faulted connectors, charge points that are offline or silent, certificates about to end.

const CERTIFICATE_DAYS = 30;
const DAY_MS = 86_400_000;

/** The kinds, the most urgent first: title, tone, and what they mean. */
export const KINDS = {
  faulted: { title: "Faulted", tone: "bad", hint: "The connector reports an error." },
  offline: { title: "Offline", tone: "off", hint: "The charge point has no connection." },
  stale: { title: "Stale", tone: "hold", hint: "It is connected, but has sent nothing for an hour." },
  certificate: { title: "Certificate", tone: "hold", hint: "Its client certificate ends within 30 days." },
};
const RANKS = Object.fromEntries(Object.keys(KINDS).map((kind, rank) => [kind, rank]));

const entry = (kind, cp, since, text, connector = null) => ({ id: `${kind} ${cp.cp_id} ${connector?.connector_id ?? ""}`, kind, cp, connector, since, at_ms: since ? Date.parse(since) : 0, text });

/** Returns what needs attention of one charge point, but for what time alone makes so. */
export function attentionOf(cp) {
  const found = [];
  if (cp.connected) {
    for (const each of cp.connectors) {
      if (each.status === "Faulted") found.push(entry("faulted", cp, each.status_at, each.error_code && each.error_code !== "NoError" ? each.error_code : "no error code", each));
    }
  } else {
    found.push(entry("offline", cp, cp.last_message_at, cp.last_message_at ? "not connected" : "never connected"));
  }
  if (cp.certificate_expires_at) {
    const ends = Date.parse(cp.certificate_expires_at);
    if (ends - Date.now() < CERTIFICATE_DAYS * DAY_MS) found.push(entry("certificate", cp, cp.certificate_expires_at, ends < Date.now() ? "ended" : "ends soon"));
  }
  return found;
}

export const isStale = (cp, staleAfterS, now = Date.now()) => cp.connected && cp.seen_ms > 0 && now - cp.seen_ms > staleAfterS * 1000;

/** Returns [{id, kind, cp, connector, since, text}] of a fleet store, by urgency and then the longest first. */
export function attention(store, staleAfterS, now = Date.now()) {
  const found = [];
  for (const entries of store.urgent.values()) found.push(...entries);
  for (const cp of store.chargePoints.values()) if (isStale(cp, staleAfterS, now)) found.push(entry("stale", cp, cp.last_message_at, "no message"));
  return found.sort((a, b) => RANKS[a.kind] - RANKS[b.kind] || a.at_ms - b.at_ms || (a.cp.cp_id < b.cp.cp_id ? -1 : 1));
}
