// Curves over time, drawn by uPlot in the page's own colours: lines, stacked areas, bands behind them and marks on the axis.

import uPlot from "./vendor/uplot.js";
import { resolved } from "./colours.js";
import { html, useEffect, useRef } from "./vendor/preact.js";

const FONT = "11px system-ui, sans-serif";
const shown = (value, unit, digits = 2) => (value === null || value === undefined ? "–" : `${value.toLocaleString(undefined, { maximumFractionDigits: digits })} ${unit}`);

/** Draws what lies behind the curves: bands of time, and afterwards the marks. */
const behind = (latest) => ({
  drawClear: (plot) => {
    const { ctx, bbox } = plot;
    for (const band of latest.current.bands ?? []) {
      const [from, to] = [plot.valToPos(band.from, "x", true), plot.valToPos(band.to, "x", true)].map((x) => Math.min(bbox.left + bbox.width, Math.max(bbox.left, x)));
      ctx.save();
      ctx.globalAlpha = 0.55;
      ctx.fillStyle = resolved(band.colour);
      ctx.fillRect(from, bbox.top, Math.max(0, to - from), bbox.height);
      ctx.restore();
    }
  },
  draw: (plot) => {
    const { ctx, bbox } = plot;
    for (const mark of latest.current.marks ?? []) {
      const x = plot.valToPos(mark.at, "x", true);
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      const side = 4 * devicePixelRatio;
      ctx.save();
      ctx.strokeStyle = ctx.fillStyle = resolved(mark.colour);
      ctx.lineWidth = devicePixelRatio;
      ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
      ctx.beginPath(); ctx.moveTo(x, bbox.top); ctx.lineTo(x, bbox.top + bbox.height); ctx.stroke();
      ctx.beginPath(); ctx.moveTo(x, bbox.top + 2 * side); ctx.lineTo(x - side, bbox.top); ctx.lineTo(x + side, bbox.top); ctx.closePath(); ctx.fill();
      ctx.restore();
    }
  },
});

const hours = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const dates = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const seconds = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const DAY_S = 86_400;
/** Within so long, ticks are seconds apart. */
const BRIEF_S = 600;
/** The width of the axis on the right. */
const RIGHT_PX = 66;
/** The time axis: hours within two days, with seconds where they are needed; else dates. `given()` are ticks of the page's own. */
const timeAxis = (given = () => null) => ({
  ...axisOf(), size: 30, space: (_, __, from, to) => (to - from < BRIEF_S ? 90 : 70), splits: given() ? () => given() : undefined,
  values: (plot, ticks) => {
    const isShort = plot.scales.x.max - plot.scales.x.min <= 2 * DAY_S;
    const clock = ticks.length > 1 && ticks[1] - ticks[0] < 60 ? seconds : hours;
    return ticks.map((tick) => { const at = new Date(tick * 1000); return isShort && at.getHours() + at.getMinutes() + at.getSeconds() ? clock.format(at) : dates.format(at); });
  },
});

const axisOf = () => { const soft = resolved("--soft"); const line = resolved("--line"); return { stroke: soft, font: FONT, grid: { stroke: line, width: 1 }, ticks: { stroke: line, size: 4 } }; };

/** Mounts a plot in `box` and follows its width and the colour scheme. `options(width)` are uPlot's. */
function usePlot(options, data, on) {
  const box = useRef();
  const plot = useRef(null);
  useEffect(() => {
    if (!data[0]?.length) return undefined;
    const make = () => {
      plot.current?.destroy();
      plot.current = new uPlot(options(Math.max(200, box.current.clientWidth)), data, box.current);
    };
    make();
    const fit = new ResizeObserver(() => { if (box.current && plot.current && Math.abs(plot.current.width - box.current.clientWidth) > 1) plot.current.setSize({ width: box.current.clientWidth, height: plot.current.height }); });
    fit.observe(box.current);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", make);
    return () => { fit.disconnect(); scheme.removeEventListener("change", make); plot.current?.destroy(); plot.current = null; };
  }, on);
  useEffect(() => { if (plot.current && data[0]?.length) plot.current.setData(data); }, [data]);
  return box;
}

/** Lines over `times` (Unix seconds): [{label, values, unit, scale, colour, isDashed, isStepped, isFilled}], of at most two scales. With another `axisPx`, the curve begins and ends where a timeline above it does. */
export function Chart({ times, lines, bands = [], marks = [], summary, height = 260, range = null, ticks = null, syncKey = null, axisPx = 58 }) {
  const latest = useRef();
  latest.current = { bands, marks, range, ticks };
  const scales = [...new Set(lines.map((line) => line.scale))].slice(0, 2);
  const unitOf = (scale) => lines.find((line) => line.scale === scale).unit;
  const options = (width) => ({
    width, height, hooks: Object.fromEntries(Object.entries(behind(latest)).map(([name, hook]) => [name, [hook]])),
    scales: { x: { time: true, range: (_, from, to) => latest.current.range ?? [from, to] }, ...Object.fromEntries(scales.map((scale) => [scale, { range: scale === "%" ? [0, 100] : (_, low, high) => [Math.min(0, low ?? 0), Math.max(1, (high ?? 1) * 1.08)] }])) },
    padding: syncKey && scales.length === 1 ? [null, RIGHT_PX, null, null] : axisPx !== 58 ? [null, 0, null, null] : undefined,
    cursor: { y: false, sync: syncKey ? { key: syncKey } : undefined },
    series: [{}, ...lines.map((line) => ({
      label: line.label, scale: line.scale, stroke: resolved(line.colour), width: line.isDashed ? 1.5 : 2, dash: line.isDashed ? [5, 4] : undefined, spanGaps: true, points: { show: false },
      fill: line.isFilled ? resolved(line.wash) : undefined, paths: line.isStepped ? uPlot.paths.stepped({ align: 1 }) : undefined, value: (_, value) => shown(value, line.unit),
    }))],
    axes: [timeAxis(() => latest.current.ticks), ...scales.map((scale, i) => ({ ...axisOf(), scale, side: i === 0 ? 3 : 1, size: i === 0 ? axisPx : RIGHT_PX, gap: 4, ...(i ? { grid: { show: false } } : {}), values: (_, ticks) => ticks.map((tick) => `${tick} ${unitOf(scale)}`) }))],
  });
  const shape = JSON.stringify([lines.map(({ values, ...rest }) => rest), height, times.length > 0]);
  const box = usePlot(options, [times, ...lines.map((line) => line.values)], [shape]);
  return html`<div class="chart" ref=${box} role="img" aria-label=${summary} style=${`min-height:${height}px`}></div>`;
}

/** Draws a dashed line across the plot at a value. */
function drawLimit(plot, limit) {
  if (limit === null) return;
  const { ctx, bbox } = plot;
  const y = plot.valToPos(limit, "y", true);
  ctx.save();
  ctx.strokeStyle = resolved("--bad");
  ctx.lineWidth = 1.5 * devicePixelRatio;
  ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
  ctx.beginPath(); ctx.moveTo(bbox.left, y); ctx.lineTo(bbox.left + bbox.width, y); ctx.stroke();
  ctx.restore();
}

/** Stacked areas: `series` [{label, values}] over `times`, the first at the bottom; `limit` is a line across them. */
export function StackedChart({ times, series, unit, summary, height = 220, range = null, limit = null }) {
  const latest = useRef();
  latest.current = { range, limit };
  const count = Math.max(...series.map((each) => each.values.length), 0);
  const sums = Array.from({ length: count }, () => 0);
  const stacked = series.map((each) => each.values.map((value, i) => { if (value === null || value === undefined) return null; sums[i] += value; return sums[i]; }));
  const order = stacked.map((_, i) => i).reverse(); // the tallest first, so that each lower one is painted over it
  const options = (width) => ({
    width, height, hooks: { draw: [(plot) => drawLimit(plot, latest.current.limit)] }, cursor: { y: false }, scales: { x: { time: true, range: (_, from, to) => latest.current.range ?? [from, to] }, y: { range: (_, low, high) => [0, Math.max(1, (high ?? 1) * 1.08, (latest.current.limit ?? 0) * 1.05)] } },
    series: [{}, ...order.map((i) => ({
      label: series[i].label, stroke: resolved(`--series-${(i % 6) + 1}`), fill: resolved(`--series-${(i % 6) + 1}`), width: 1, points: { show: false },
      paths: uPlot.paths.linear(), value: (_, value, __, at) => shown(at === null || at === undefined ? null : series[i].values[at], unit),
    }))],
    axes: [timeAxis(), { ...axisOf(), size: 58, gap: 4, values: (_, ticks) => ticks.map((tick) => `${tick} ${unit}`) }],
  });
  const box = usePlot(options, [times, ...order.map((i) => stacked[i])], [JSON.stringify([series.map((each) => each.label), height, unit, times.length > 0])]);
  return html`<div class="chart" ref=${box} role="img" aria-label=${summary} style=${`min-height:${height}px`}></div>`;
}

/** A small line without axes, of the height of a word. */
export function Spark({ values, label }) {
  const known = values.filter((value) => value !== null);
  if (known.length < 2) return null;
  const most = Math.max(...known, 1);
  const points = values.map((value, i) => (value === null ? null : `${(i / (values.length - 1)) * 100},${30 - (value / most) * 28}`)).filter(Boolean);
  return html`<svg class="spark" viewBox="0 0 100 30" preserveAspectRatio="none" role="img" aria-label=${label}><path class="area" d=${`M0,30 L${points.join(" L")} L100,30 Z`} /><path class="line" d=${`M${points.join(" L")}`} /></svg>`;
}
