// States over time as strips: one a connector, with marks for commands, and planned outages above the states.

import { html } from "./vendor/preact.js";
import { duration, time, titled, words } from "./format.js";
import { STATES } from "./status.js";

const OTHER_FILLS = { connected: "--free-fill", disconnected: "--bad-fill", unknown: "--line", session: "--busy-fill" };
export const fillOf = (state) => STATES[state]?.fill ?? OTHER_FILLS[state] ?? "--line";
const HATCHED = new Set(["Offline", "disconnected", "unknown", "Unavailable"]);
/** The distances of ticks in hours, and how many there are at most, on a screen and on a phone. */
const STEPS_H = [1, 2, 3, 4, 6, 12, 24, 48];
const [MAX_TICKS, MAX_TICKS_NARROW, NARROW_PX] = [8, 4, 760];
/** The share of the width at either end that has no tick, whose text would stand out. */
const EDGE = 0.04;

const hour = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const dayName = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short" });

/** `rows`: [{name, intervals: [{from, until, state, detail}], marks: [{at, text}], outages: [{from, until, reason}], isThin}]; times in Unix milliseconds. */
export function Timelines({ from, until, rows, label }) {
  const length = until - from || 1;
  const at = (ms) => `${Math.min(100, Math.max(0, ((ms - from) / length) * 100))}%`;
  const wide = (a, b) => `${Math.max(0, ((Math.min(b, until) - Math.max(a, from)) / length) * 100)}%`;
  const ticks = ticksOf(from, until);
  const format = length > 2 * 86_400_000 ? dayName : hour;
  const keys = Object.entries(Object.groupBy(new Set(rows.flatMap((row) => row.intervals.map((each) => each.state))), (state) => `${fillOf(state)}${HATCHED.has(state) ? " hatched" : ""}`));
  return html`<div role="group" aria-label=${label}><div class="timeline">
    ${rows.map((row) => html`<span class="name" key=${`${row.name} name`} title=${row.name}>${row.name}</span>
      <div class=${`track ${row.isThin ? "thin" : ""}`} key=${row.name} role="img" aria-label=${described(row)}>
        ${row.intervals.map((each) => html`<span key=${each.from} class=${HATCHED.has(each.state) ? "dashed" : ""} title=${`${words(each.state)}${each.detail && each.detail !== "NoError" ? ` (${each.detail})` : ""}, ${duration((each.until - each.from) / 1000)} from ${time(each.from / 1000)}`} style=${`left:${at(each.from)};width:${wide(each.from, each.until)};background-color:var(${fillOf(each.state)})`}></span>`)}
        ${(row.outages ?? []).map((each) => html`<b key=${`outage ${each.from} ${each.until}`} title=${planned(each)} style=${`left:${at(each.from)};width:${wide(each.from, each.until)}`}></b>`)}
        ${(row.marks ?? []).map((each) => html`<i key=${`${each.at} ${each.text}`} title=${`${each.text}, ${time(each.at / 1000)}`} style=${`left:${at(each.at)}`}></i>`)}
      </div>`)}
    <div class="ticks" aria-hidden="true">${ticks.map((tick) => html`<span style=${`left:${at(tick)}`}>${format.format(tick)}</span>`)}</div>
  </div>
  <div class="keys" aria-hidden="true">${keys.map(([key, states]) => html`<span key=${key}><span class=${`dot ${HATCHED.has(states[0]) ? "dashed" : ""}`} style=${`background-color:var(${fillOf(states[0])});${states[0] === "Offline" ? "box-shadow:inset 0 0 0 1px var(--line-strong)" : ""}`}></span>${states.map(titled).join(", ")}</span>`)}${rows.some((row) => row.outages?.length) && html`<span key="outage"><span class="dot planned"></span>Planned outage</span>`}</div></div>`;
}

const planned = (outage) => `planned outage from ${time(outage.from / 1000)} until ${time(outage.until / 1000)}${outage.reason ? ` (${outage.reason})` : ""}`;

/** Full hours of the viewer's time zone, or days. */
export function ticksOf(from, until) {
  const hours = (until - from) / 3_600_000;
  const most = innerWidth <= NARROW_PX ? MAX_TICKS_NARROW : MAX_TICKS;
  const step = STEPS_H.find((each) => hours / each <= most) ?? STEPS_H.at(-1);
  const at = new Date(from);
  at.setHours(0, 0, 0, 0);
  const found = [];
  for (; at.getTime() < until - (until - from) * EDGE; at.setHours(at.getHours() + step)) if (at.getTime() > from + (until - from) * EDGE) found.push(at.getTime());
  return found;
}

/** The share of time in each state, for who can't see the strip. */
function described(row) {
  const lasts = {};
  for (const each of row.intervals) lasts[each.state] = (lasts[each.state] ?? 0) + each.until - each.from;
  const parts = Object.entries(lasts).sort(([, a], [, b]) => b - a).map(([state, ms]) => `${words(state)} ${duration(ms / 1000)}`);
  return `${row.name}: ${parts.join(", ") || "nothing known"}${row.marks?.length ? `; ${row.marks.length} commands` : ""}${(row.outages ?? []).map((each) => `; ${planned(each)}`).join("")}`;
}
