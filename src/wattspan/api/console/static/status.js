// OCPP's statuses: which is worse, what each looks like, and how a charge point is summed up. As api/filters.py.

export const WORST_FIRST = ["Faulted", "Unavailable", "Charging", "SuspendedEVSE", "SuspendedEV", "Occupied", "Preparing", "Finishing", "Reserved", "Available"];
const UNKNOWN_RANK = 1;
const rank = (status) => { const at = WORST_FIRST.indexOf(status); return at < 0 ? UNKNOWN_RANK : at; };

/** The states of the matrix, the legend and the timelines: tone, fill, and the mark that says the same without colour. */
export const STATES = {
  Faulted: { tone: "bad", fill: "--bad-fill", mark: "cross" },
  Offline: { tone: "off", fill: "--off-fill", mark: "hollow" },
  Unavailable: { tone: "out", fill: "--out-fill", mark: "dash" },
  Charging: { tone: "busy", fill: "--busy-fill", mark: "bolt" },
  SuspendedEVSE: { tone: "calm", fill: "--calm-fill", mark: "pause" },
  SuspendedEV: { tone: "calm", fill: "--calm-fill", mark: "pause" },
  Occupied: { tone: "calm", fill: "--calm-fill", mark: "" },
  Finishing: { tone: "calm", fill: "--calm-fill", mark: "" },
  Preparing: { tone: "calm", fill: "--calm-fill", mark: "" },
  Reserved: { tone: "hold", fill: "--hold-fill", mark: "" },
  Available: { tone: "free", fill: "--free-fill", mark: "" },
  Unknown: { tone: "out", fill: "--line", mark: "" },
};

export const tone = (status) => STATES[status]?.tone ?? "";

/** Returns the worst status of a charge point and its connectors, or null if none was reported. */
export function worst(cp) {
  const own = cp.connectors.filter((each) => each.connector_id !== "0" && each.status);
  const whole = cp.connectors.filter((each) => each.connector_id === "0" && each.status && (!own.length || each.status !== "Available"));
  return own.concat(whole).map((each) => each.status).reduce((found, status) => (found === null || rank(status) < rank(found) ? status : found), null);
}

/** Returns counts by status, the worst first. */
export const worstFirst = (counted) => Object.fromEntries(Object.entries(counted).sort(([a], [b]) => rank(a) - rank(b)));

/** Returns how many connectors have each status, the worst first, without the charge point itself. */
export function counts(cp) {
  const found = {};
  for (const each of cp.connectors) if (each.connector_id !== "0" && each.status) found[each.status] = (found[each.status] ?? 0) + 1;
  return worstFirst(found);
}

/** Returns what a connector's cell shows: Offline hides the status it had when it was last connected. */
export const stateOf = (cp, connector) => (!cp.connected ? "Offline" : connector.status in STATES ? connector.status : "Unknown");

/** The connectors that people see: not the charge point itself, unless it reported nothing else. */
export function outlets(cp) {
  const own = cp.connectors.filter((each) => each.connector_id !== "0");
  return own.length ? own : cp.connectors;
}
