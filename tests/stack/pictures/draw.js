// Draws one dashboard from its panels and the answers to their queries. Knows Grafana's words for panels; asks nobody.
import uPlot from "data:uplot";

const COLOURS = ["#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#8ab8ff", "#ffa6b0", "#37872d", "#e0b400"];
const NAMED = {
  green: "#73bf69", red: "#f2495c", yellow: "#f2cc0c", blue: "#5794f2", purple: "#b877d9", "light-blue": "#8ab8ff", "light-yellow": "#ffee52",
  "super-light-blue": "#c0d8ff", "dark-purple": "#8f3bb8", "dark-red": "#c4162a", orange: "#ff9830",
};
const UNITS = { watt: "W", watth: "Wh", bytes: "B", amp: "A", cps: "/s", reqps: "/s", Bps: "B/s" };

function spelled(value, unit) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (unit === "percentunit") return `${(value * 100).toFixed(1)} %`;
  if (unit === "s") {
    for (const [size, name] of [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"], [1e-3, "ms"]])
      if (Math.abs(value) >= size) return `${+(value / size).toFixed(1)} ${name}`;
    return value ? `${(value * 1e6).toFixed(0)} µs` : "0 s";
  }
  let scaled = value, prefix = "";
  if (unit !== "none" || Math.abs(value) >= 1e4)
    for (const [size, name] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]])
      if (Math.abs(value) >= size) { scaled = value / size; prefix = name; break; }
  return `${+scaled.toFixed(2)} ${prefix}${UNITS[unit] ?? ""}`.trim();
}

// Ticks that lie close together need more digits than a figure.
function tickNames(ticks, unit) {
  const size = unit === "percentunit" ? 100 : 1, digits = 1 - Math.floor(Math.log10((ticks[1] - ticks[0]) * size || 1));
  if (digits < 2 || unit === "s") return ticks.map((tick) => spelled(tick, unit));
  return ticks.map((tick) => `${+(tick * size).toFixed(digits)} ${unit === "percentunit" ? "%" : (UNITS[unit] ?? "")}`.trim());
}
const SECONDS = [1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200, 86400];

const mapped = (panel, value) => panel.fieldConfig.defaults.mappings?.[0]?.options?.[String(value)];
const hue = (name) => NAMED[name] ?? name;
function threshold(panel, value) {
  let colour = "#73bf69";
  for (const step of panel.fieldConfig.defaults.thresholds?.steps ?? [])
    if (step.value === null || value >= step.value) colour = hue(step.color);
  return colour;
}
const text = (panel, value) => mapped(panel, value)?.text ?? spelled(value, panel.fieldConfig.defaults.unit);
const colour = (panel, value) => (mapped(panel, value) ? hue(mapped(panel, value).color) : threshold(panel, value));
const last = (series) => series.points.at(-1)?.[1];

function element(parent, name, className, content = "") {
  const made = parent.appendChild(document.createElement(name));
  made.className = className;
  made.textContent = content;
  return made;
}

function canvas(body) {
  const made = element(body, "canvas", "");
  made.width = body.clientWidth;
  made.height = body.clientHeight;
  return [made.getContext("2d"), made.width, made.height];
}

function empty(panel, body) {
  element(body, "div", "empty", panel.fieldConfig.defaults.noValue ?? "no data");
}

function figures(panel, body, series) {
  const box = element(body, "div", "figures");
  for (const each of series) {
    const one = element(box, "div", "figure");
    if (series.length > 1) element(one, "div", "name", each.name);
    const shown = element(one, "div", "value", text(panel, last(each)));
    shown.style.color = colour(panel, last(each));
    shown.style.fontSize = `${Math.min(44, (body.clientWidth / Math.min(series.length, 4) / shown.textContent.length) * 1.5)}px`;
  }
}

function graph(panel, body, series, range) {
  const custom = panel.fieldConfig.defaults.custom ?? {};
  const stacked = custom.stacking?.mode === "normal";
  const times = [...new Set(series.flatMap((each) => each.points.map(([at]) => at)))].sort((a, b) => a - b);
  const columns = series.map((each) => {
    const values = new Map(each.points);
    return times.map((at) => values.get(at) ?? null);
  });
  if (stacked) for (let i = 1; i < columns.length; i++) columns[i] = columns[i].map((value, at) => (value ?? 0) + (columns[i - 1][at] ?? 0));
  const bars = custom.drawStyle === "bars";
  const order = series.map((_, i) => i);
  if (stacked) order.reverse();
  const legend = Math.min(60, 18 * Math.ceil(series.length / 5));
  const { min, max, unit } = panel.fieldConfig.defaults;
  const options = {
    width: body.clientWidth, height: body.clientHeight - legend - 4, legend: { show: false }, cursor: { show: false },
    scales: { x: { range: () => range }, y: { range: (_, low, high) => [min ?? Math.min(0, low ?? 0), max ?? ((high || 1) * 1.05)] } },
    axes: [
      { stroke: "#999", grid: { stroke: "#2c2e33", width: 1 } },
      { stroke: "#999", grid: { stroke: "#2c2e33", width: 1 }, size: 76, incrs: unit === "s" ? SECONDS : undefined,
        values: (_, ticks) => tickNames(ticks, unit) },
    ],
    series: [{}, ...order.map((i) => ({
      stroke: COLOURS[i % COLOURS.length], width: 1, points: { show: columns[i].filter((value) => value !== null).length < 40 },
      fill: bars || stacked ? COLOURS[i % COLOURS.length] + (bars ? "" : "40") : undefined,
      paths: bars ? uPlot.paths.bars({ size: [0.9, 20] }) : custom.lineInterpolation === "stepAfter" ? uPlot.paths.stepped({ align: 1 }) : undefined,
    }))],
  };
  new uPlot(options, [times, ...order.map((i) => columns[i])], body);
  const names = element(body, "div", "legend");
  names.style.height = `${legend}px`;
  series.forEach((each, i) => { element(names, "span", "", `▬ ${each.name}`).style.color = COLOURS[i % COLOURS.length]; });
}

function timeline(panel, body, series, [begin, end]) {
  const [draw, width, height] = canvas(body);
  const left = 110, row = Math.min(34, (height - 18) / series.length);
  const x = (at) => left + ((at - begin) / (end - begin)) * (width - left);
  draw.font = `${Math.min(12, row)}px sans-serif`;
  series.forEach((each, i) => {
    draw.fillStyle = "#ccc";
    draw.fillText(each.name, 4, i * row + row * 0.7);
    each.points.forEach(([at, value], n) => {
      const next = each.points[n + 1]?.[0] ?? end;
      draw.fillStyle = colour(panel, value);
      draw.fillRect(x(at), i * row + 1, Math.max(1, x(Math.min(next, at + 3 * panel.step)) - x(at) + 0.5), row - 2);
    });
  });
  marks(draw, x, begin, end, height);
}

function marks(draw, x, begin, end, height) {
  draw.fillStyle = "#999";
  draw.font = "11px sans-serif";
  for (let i = 0; i <= 6; i++) {
    const at = begin + ((end - begin) * i) / 6;
    const when = new Date(at * 1000).toISOString();
    draw.textAlign = i === 6 ? "right" : "left";
    draw.fillText(end - begin > 172800 ? when.slice(5, 10) : when.slice(11, 16), x(at), height - 3);
  }
  draw.textAlign = "left";
}

function heatmap(panel, body, series, [begin, end]) {
  const buckets = series.every((each) => "le" in each.labels);
  const bound = (each) => (each.labels.le === "+Inf" ? Infinity : Number(each.labels.le));
  if (buckets) series.sort((a, b) => bound(a) - bound(b));
  const cells = series.map((each, i) => {
    const below = new Map(buckets && i ? series[i - 1].points : []);
    return each.points.map(([at, value]) => [at, Math.max(0, value - (below.get(at) ?? 0))]);
  });
  const most = Math.max(1e-9, ...cells.flat().map(([, value]) => value));
  const [draw, width, height] = canvas(body);
  const left = 140, row = (height - 18) / series.length;
  const x = (at) => left + ((at - begin) / (end - begin)) * (width - left);
  series.forEach((each, i) => {
    const y = height - 18 - (i + 1) * row;
    draw.fillStyle = "#ccc";
    draw.font = "11px sans-serif";
    draw.fillText(buckets && Number.isFinite(bound(each)) ? spelled(bound(each), panel.options.yAxis.unit) : each.name, 4, y + row * 0.7);
    for (const [at, value] of cells[i]) {
      if (value <= 0) continue;
      const share = (value / most) ** 0.5;
      draw.fillStyle = `rgb(255, ${Math.round(220 - 150 * share)}, ${Math.round(180 - 180 * share)}, ${0.15 + 0.85 * share})`;
      draw.fillRect(x(at), y + 1, Math.max(2, x(at + panel.step) - x(at)), row - 1);
    }
  });
  marks(draw, x, begin, end, height);
}

function ranking(panel, body, series) {
  const sorted = [...series].sort((a, b) => last(b) - last(a));
  const { min = 0, max = Math.max(...sorted.map(last), 1e-9) } = panel.fieldConfig.defaults;
  for (const each of sorted) {
    const line = element(body, "div", "bar");
    element(line, "span", "name", each.name);
    const track = element(line, "span", "track");
    const filled = element(track, "span", "filled");
    filled.style.width = `${((last(each) - min) / (max - min || 1)) * 100}%`;
    filled.style.background = colour(panel, last(each));
    element(line, "span", "amount", text(panel, last(each)));
  }
}

function donut(panel, body, series) {
  const [draw, width, height] = canvas(body);
  const all = series.reduce((sum, each) => sum + last(each), 0) || 1;
  let from = -Math.PI / 2;
  series.forEach((each, i) => {
    const to = from + (last(each) / all) * 2 * Math.PI;
    draw.beginPath();
    draw.lineWidth = height * 0.18;
    draw.strokeStyle = COLOURS[i % COLOURS.length];
    draw.arc(height * 0.45, height / 2, height * 0.33, from, to);
    draw.stroke();
    draw.fillStyle = COLOURS[i % COLOURS.length];
    draw.font = "12px sans-serif";
    draw.fillText(`${each.name}  ${spelled(last(each), panel.fieldConfig.defaults.unit)}`, Math.min(height, width - 160), 20 + i * 18);
    from = to;
  });
}

function table(panel, body, series) {
  const { excludeByName = {}, renameByName = {} } = panel.transformations?.[1]?.options ?? {};
  const rows = series.map((each) => ({ ...each.labels, Value: spelled(last(each), panel.fieldConfig.defaults.unit) }));
  const names = [...new Set(rows.flatMap(Object.keys))].filter((name) => !excludeByName[name]);
  const made = element(body, "table", "");
  const head = element(made, "tr", "");
  for (const name of names) element(head, "th", "", renameByName[name] ?? name);
  for (const row of rows) {
    const line = element(made, "tr", "");
    for (const name of names) element(line, "td", "", row[name] ?? "");
  }
}

const KINDS = {
  stat: figures, gauge: figures, timeseries: graph, "state-timeline": timeline, heatmap, bargauge: ranking, piechart: donut, table,
};

window.drawn = (dashboard) => {
  document.title = dashboard.title;
  const grid = document.getElementById("grid");
  const unit = 38, column = grid.clientWidth / 24;
  element(document.getElementById("head"), "span", "", dashboard.title);
  let bottom = 0;
  const failed = [];
  for (const panel of dashboard.panels) {
    const { x, y, w, h } = panel.gridPos;
    bottom = Math.max(bottom, (y + h) * unit);
    const box = element(grid, "section", panel.type === "row" ? "row" : "panel");
    Object.assign(box.style, { left: `${x * column}px`, top: `${y * unit}px`, width: `${w * column - 8}px`, height: `${h * unit - 8}px` });
    element(box, "h2", "", panel.type === "row" ? `⌄ ${panel.title}` : panel.title);
    if (panel.type === "row") continue;
    const body = element(box, "div", "body");
    try {
      if (panel.type === "logs") element(body, "div", "empty", "log lines");
      else if (!panel.series.length) empty(panel, body);
      else KINDS[panel.type](panel, body, panel.series, [dashboard.begin, dashboard.end]);
    } catch (error) {
      failed.push(`${panel.title}: ${error}`);
    }
  }
  grid.style.height = `${bottom}px`;
  return failed;
};
