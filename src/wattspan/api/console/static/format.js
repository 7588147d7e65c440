// Formats values in the viewer's language and time zone.

import { STATES } from "./status.js";

const dateTimes = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
const narrow = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "narrow" });

export const date = (value) => (value === null || value === undefined || value === "" ? null
  : new Date(typeof value === "number" ? value * 1000 : value));
export const time = (value) => { const at = date(value); return at ? dateTimes.format(at) : "–"; };

const steps = [["day", 86400], ["hour", 3600], ["minute", 60]];
function since(format, value, now) {
  const at = date(value);
  if (!at) return "never";
  const seconds = Math.round((at - now) / 1000);
  for (const [unit, size] of steps) if (Math.abs(seconds) >= size) return format.format(Math.round(seconds / size), unit);
  return Math.abs(seconds) < 5 ? "now" : format.format(seconds, "second");
}
/** Returns "3 hours ago", for sentences. */
export const ago = (value, now = Date.now()) => since(relative, value, now);
/** Returns "3h ago", for tables and figures. */
export const shortAgo = (value, now = Date.now()) => since(narrow, value, now);

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const whole = Math.max(0, Math.round(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h >= 100 ? `${count(h)} h` : h ? `${h} h ${String(m).padStart(2, "0")} min` : m ? `${m} min ${String(s).padStart(2, "0")} s` : `${s} s`;
}

const figure = (value, digits) => value.toLocaleString(undefined, { maximumFractionDigits: digits, minimumFractionDigits: digits });
const known = (value) => value !== null && value !== undefined;
export const energy = (wh) => (!known(wh) ? "–" : Math.abs(wh) < 1000 ? `${figure(wh, 0)} Wh` : `${figure(wh / 1000, Math.abs(wh) < 1e6 ? 2 : 0)} kWh`);
/** Returns a meter's register, of which the small digits count. */
export const register = (wh) => (known(wh) ? `${figure(wh / 1000, 2)} kWh` : "–");
export const power = (w) => (!known(w) ? "–" : Math.abs(w) < 1000 ? `${figure(w, 0)} W` : `${figure(w / 1000, 1)} kW`);
export const current = (a) => (!known(a) ? "–" : `${figure(a, 1)} A`);
const SIZES = ["B", "kB", "MB", "GB"];
/** Returns a size of a file. */
export function bytes(n) {
  const step = n < 1000 ? 0 : Math.min(SIZES.length - 1, Math.floor(Math.log10(n) / 3));
  return `${figure(n / 1000 ** step, step ? 1 : 0)} ${SIZES[step]}`;
}
export const count = (n) => (known(n) ? n.toLocaleString() : "–");

/** Returns "SuspendedEVSE" as "Suspended EVSE": OCPP's own words, with spaces. */
export const words = (name) => (name ?? "").replace(/_/g, " ").replace(/([a-z])([A-Z])/g, "$1 $2").replace(/\b(EVSE|EV)([A-Z][a-z])/g, "$1 $2").trim();
/** Returns the words with a capital first letter, as labels have them. */
export const titled = (name) => words(name).replace(/^./, (first) => first.toUpperCase());

/** Tones of words that are no status of a connector. */
const TONES = {
  Accepted: "free", Blocked: "bad", Expired: "hold", Invalid: "bad", Rejected: "bad", ConcurrentTx: "hold", connected: "free", offline: "off",
};
export const tone = (status) => STATES[status]?.tone ?? TONES[status] ?? "";

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const dayAndClock = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
/** Returns a time as short as it can be understood: the hour of today, else with its day. */
export function shortTime(value, now = new Date()) {
  const at = date(value);
  if (!at) return "–";
  return at.toDateString() === now.toDateString() ? clock.format(at) : dayAndClock.format(at);
}
const clockWithSeconds = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
/** Returns a time to the second, without its day if that is today. */
export function shortTimeWithSeconds(value, now = new Date()) {
  const at = date(value);
  return at && at.toDateString() === now.toDateString() ? clockWithSeconds.format(at) : time(value);
}
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;
/** Returns the begin of a day given as a field of type date has it, and of the day after; undefined without a day. */
export const startOf = (day) => (day ? new Date(`${day}T00:00`) : undefined);
export const endOf = (day) => { const at = startOf(day); at?.setDate(at.getDate() + 1); return at; };
export const percent = (share, digits = 1) => (share === null || share === undefined ? "–" : `${figure(share * 100, digits)} %`);
