// A curve over time, drawn by uPlot in the page's own colours.

import uPlot from "./vendor/uplot.js";
import { html, useEffect, useRef } from "./ui.js";

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** What light-dark() comes to now: a canvas does not know it. */
function resolved(name) {
  const probe = document.createElement("span");
  probe.style.color = colour(name);
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/** `times` in Unix seconds; `lines`: [{label, values, unit, scale, colour}]; a screen reader gets `summary`. */
export function Chart({ times, lines, summary }) {
  const box = useRef();
  useEffect(() => {
    if (!times.length) return undefined;
    const soft = resolved("--soft");
    const axis = { stroke: soft, grid: { stroke: resolved("--line"), width: 1 }, ticks: { stroke: resolved("--line") } };
    const scales = [...new Set(lines.map((line) => line.scale))];
    const plot = new uPlot({
      width: box.current.clientWidth, height: 260, scales: { x: { time: true } },
      series: [{}, ...lines.map((line) => ({ label: line.label, scale: line.scale, stroke: resolved(line.colour), width: 2, spanGaps: true, value: (_, v) => (v === null || v === undefined ? "–" : `${v.toLocaleString(undefined, { maximumFractionDigits: 2 })} ${line.unit}`) }))],
      axes: [axis, ...scales.map((scale, i) => ({ ...axis, scale, side: i === 0 ? 3 : 1, size: 66, gap: 4, font: "11px system-ui, sans-serif", grid: i === 0 ? axis.grid : { show: false }, values: (_, ticks) => ticks.map((v) => `${v} ${lines.find((line) => line.scale === scale).unit}`) }))],
    }, [times, ...lines.map((line) => line.values)], box.current);
    const fit = new ResizeObserver(() => box.current && plot.setSize({ width: box.current.clientWidth, height: 260 }));
    fit.observe(box.current);
    return () => { fit.disconnect(); plot.destroy(); };
  }, [times, lines]);
  return html`<div class="chart" ref=${box} role="img" aria-label=${summary}></div>`;
}
