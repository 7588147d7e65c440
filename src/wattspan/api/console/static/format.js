// Formats values in the viewer's language and time zone.

const dateTimes = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const days = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });

export const date = (value) => (value === null || value === undefined || value === "" ? null
  : new Date(typeof value === "number" ? value * 1000 : value));
export const time = (value) => { const at = date(value); return at ? dateTimes.format(at) : "–"; };

const steps = [["day", 86400], ["hour", 3600], ["minute", 60]];
export function ago(value, now = Date.now()) {
  const at = date(value);
  if (!at) return "never";
  const seconds = Math.round((at - now) / 1000);
  for (const [unit, size] of steps) if (Math.abs(seconds) >= size) return days.format(Math.round(seconds / size), unit);
  return Math.abs(seconds) < 5 ? "now" : days.format(seconds, "second");
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const whole = Math.max(0, Math.round(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h ? `${h} h ${String(m).padStart(2, "0")} min` : m ? `${m} min ${String(s).padStart(2, "0")} s` : `${s} s`;
}

const figure = (value, digits) => value.toLocaleString(undefined, { maximumFractionDigits: digits, minimumFractionDigits: digits });
const known = (value) => value !== null && value !== undefined;
export const energy = (wh) => (!known(wh) ? "–" : Math.abs(wh) < 1000 ? `${figure(wh, 0)} Wh` : `${figure(wh / 1000, 2)} kWh`);
export const power = (w) => (!known(w) ? "–" : Math.abs(w) < 1000 ? `${figure(w, 0)} W` : `${figure(w / 1000, 1)} kW`);
export const current = (a) => (!known(a) ? "–" : `${figure(a, 1)} A`);
export const count = (n) => (known(n) ? n.toLocaleString() : "–");

/** Returns "SuspendedEVSE" as "Suspended EVSE": OCPP's own words, with spaces. */
export const words = (name) => (name ?? "").replace(/_/g, " ").replace(/([a-z])([A-Z])/g, "$1 $2").trim();

const tones = {
  Available: "good", Charging: "busy", Preparing: "busy", Finishing: "busy", Occupied: "busy", Reserved: "warn",
  SuspendedEV: "warn", SuspendedEVSE: "warn", Unavailable: "bad", Faulted: "bad",
  Accepted: "good", Blocked: "bad", Expired: "warn", Invalid: "bad", Rejected: "bad", ConcurrentTx: "warn",
};
export const tone = (status) => tones[status] ?? "";
