// The last day or week of a charge point: its connection and connectors as strips, commands as marks, and its power or current.

import * as api from "../../api.js";
import { Chart } from "../../chart.js";
import { percent } from "../../format.js";
import { Timelines, ticksOf } from "../../timeline.js";
import { Fault, Ghost, Segments, html, useLoaded, useMemo } from "../../ui.js";

const SPANS = { "24h": 86_400, "7d": 7 * 86_400 };
const POINTS = 300;
/** How high a strip is, and the power curve with the legend of the strips. */
const [ROW_PX, CURVE_PX] = [28, 270];
/** What the curve may show. `per`: how much of the metric's unit is one of the shown. */
const CURVES = { power: { metric: "power_w", title: "Power", unit: "kW", per: 1000 }, current: { metric: "current_a", title: "Current", unit: "A", per: 1 } };
/** The width of the names beside the strips, with the gap, where they are beside them. */
const [NAMES_PX, NARROW] = [102, "(max-width: 760px)"];
const ms = (at) => new Date(at).getTime();

/** Reads timelines, power, current, availability and planned outages of a charge point; `span` is "24h" or "7d". */
export function useHistory(id, span, settings) {
  return useLoaded(async () => {
    if (!settings.history) return null;
    const until = new Date();
    const from = new Date(until.getTime() - (SPANS[span] ?? SPANS["24h"]) * 1000);
    const range = { cp_id: id, from_at: from.toISOString(), until_at: until.toISOString() };
    const [timelines, series, availability, outages] = await Promise.all([
      api.get("/timelines", range),
      api.get("/series", { ...range, metric: Object.values(CURVES).map((each) => each.metric), by: "charge_point", step_s: Math.ceil((SPANS[span] ?? SPANS["24h"]) / POINTS / 60) * 60 }).catch(() => null),
      api.get("/availability", range).catch(() => null),
      api.get("/planned-outages", range).catch(() => []),
    ]);
    return { ...timelines, series, availability, outages };
  }, [id, span]);
}

const intervals = (timeline) => timeline.intervals.map((each) => ({ from: ms(each.from_at), until: ms(each.until_at), state: each.state, detail: each.detail }));
const marks = (timeline) => timeline.commands.map((each) => ({ at: ms(each.at), text: `${each.action}: ${each.result}` }));
/** The planned outages of a connector, those of the whole charge point among them. */
const outagesOf = (outages, connector_id) => outages.filter((each) => each.connector_id === "" || each.connector_id === connector_id).map((each) => ({ from: ms(each.from_at), until: ms(each.until_at), reason: each.reason }));
const name = (connector_id) => (connector_id === "" ? "Connection" : connector_id === "0" ? "Charge point" : `Connector ${connector_id}`);

/** Returns whether a strip shows anything: the charge point's own status usually is Available, or not reported. */
const isShown = ({ connector_id, intervals: own }) => connector_id !== "0" || own.some((each) => each.state !== "Available");

/** `measure`: "power" or "current", where both were measured. */
export function History({ history, span, onSpan, measure, onMeasure, settings, connectors }) {
  const found = history.value;
  const [from, until] = found ? [ms(found.from_at), ms(found.until_at)] : [0, 0];
  const rows = useMemo(() => (found?.timelines ?? []).filter(isShown).flatMap((timeline) => [
    { name: name(timeline.connector_id), intervals: intervals(timeline), marks: marks(timeline), outages: outagesOf(found.outages, timeline.connector_id) },
    ...(timeline.sessions.length ? [{ name: "Sessions", isThin: true, intervals: timeline.sessions.map((each) => ({ from: ms(each.began_at), until: each.ended_at ? ms(each.ended_at) : until, state: "session", detail: `session ${each.number}` })) }] : []),
  ]).map((row, i) => ({ ...row, key: i })), [found]);
  const curves = useMemo(() => Object.entries(CURVES).flatMap(([key, { metric, per, ...shown }]) => {
    const one = found?.series?.series.find((each) => each.metric === metric);
    if (!one?.values.some((value) => value !== null)) return [];
    const start = ms(found.series.from_at) / 1000;
    return [{ ...shown, key, times: one.values.map((_, i) => start + i * found.series.step_s), values: one.values.map((value) => (value === null ? null : value / per)) }];
  }), [found]);
  const curve = curves.find((each) => each.key === measure) ?? curves[0];
  if (!settings.history) return null;
  return html`<section class="panel"><div class="head"><h2>History</h2>${found?.availability?.availability !== null && found?.availability !== null && found && html`<span class="soft small">available ${percent(found.availability.availability)} <span title="As NEVI counts it: planned outages are left out.">of the time, as NEVI counts it (97 % required)</span></span>`}<span class="spring"></span>
      <${Segments} label="Span" of=${[["24h", "24 hours"], ["7d", "7 days"]]} value=${span} onChange=${onSpan} /></div>
    <${Fault} of=${history.fault} />
    ${!found && !history.fault && html`<${Ghost} height=${(connectors + 1) * ROW_PX + CURVE_PX} />`}
    ${found && rows.length > 0 && html`<${Timelines} label="States over time" from=${from} until=${until} rows=${rows} />`}
    ${found && !rows.length && html`<p class="soft">Nothing is known of this time.</p>`}
    ${curve && html`<div class="head curve"><h3>${curve.title}</h3><span class="spring"></span>${curves.length > 1 && html`<${Segments} label="Curve" of=${curves.map((each) => [each.key, each.title])} value=${curve.key} onChange=${onMeasure} />`}</div>
      <${Chart} key=${curve.key} times=${curve.times} height=${150} axisPx=${matchMedia(NARROW).matches ? 58 : NAMES_PX} range=${[from / 1000, until / 1000]} ticks=${ticksOf(from, until).map((at) => at / 1000)} lines=${[{ label: curve.title, values: curve.values, unit: curve.unit, scale: curve.unit, colour: "--busy-fill", isFilled: true, wash: "--busy-wash" }]} summary=${`${curve.title} over time`} />`}
  </section>`;
}
