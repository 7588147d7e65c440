// Power over the day as a stacked area, by site, or of the fleet where there are no sites.

import * as api from "../api.js";
import { StackedChart } from "../chart.js";
import { siteName, useSites } from "../sites.js";
import { Fault, Ghost, Segments, html, useEffect, useLoaded, useMemo } from "../ui.js";

const REFRESH_MS = 60_000;
const MAX_SITES = 5;
/** How high the chart is, and its legend where there are several sites. */
const [CHART_PX, LEGEND_PX] = [220, 30];
const SPANS = { today: "Today", "24h": "24 hours", "7d": "7 days" };
const STEPS = { today: 300, "24h": 300, "7d": 3600 };

function fromOf(span) {
  const at = new Date();
  if (span === "7d") return new Date(at.getTime() - 7 * 86_400_000);
  if (span === "24h") return new Date(at.getTime() - 86_400_000);
  at.setHours(0, 0, 0, 0);
  return at;
}

/** The largest sites each, the others together. */
function layers(series, sites) {
  const total = (each) => each.values.reduce((sum, value) => sum + (value ?? 0), 0);
  const ordered = series.filter((each) => each.values.some((value) => value !== null)).sort((a, b) => total(b) - total(a));
  const shown = ordered.slice(0, MAX_SITES).map((each) => ({ label: siteName(sites, each.site_id) || (ordered.length === 1 ? "Power" : "No site"), values: each.values }));
  const rest = ordered.slice(MAX_SITES);
  if (rest.length) shown.push({ label: `${rest.length} more`, values: rest[0].values.map((_, i) => rest.reduce((sum, each) => (each.values[i] === null ? sum : (sum ?? 0) + each.values[i]), null)) });
  return shown.map((each) => ({ ...each, values: each.values.map((value) => (value === null ? null : value / 1000)) }));
}

/** `filter`: of which charge points, as the API's query; `span`: today, 24h or 7d. */
export function PowerChart({ span, onSpan, filter = {}, by = "site", title = "Power", limit_kw = null }) {
  const sites = useSites();
  const loaded = useLoaded(() => api.get("/series", { ...filter, metric: "power_w", by, from_at: fromOf(span).toISOString(), step_s: STEPS[span] }), [span, by, JSON.stringify(filter)]);
  useEffect(() => { const timer = setInterval(loaded.again, REFRESH_MS); return () => clearInterval(timer); }, [span]);
  const found = loaded.value;
  const height = CHART_PX + (by === "site" && sites.size > 1 ? LEGEND_PX : 0);
  const times = useMemo(() => { const start = found ? new Date(found.from_at).getTime() / 1000 : 0; return found?.series[0]?.values.map((_, i) => start + i * found.step_s) ?? []; }, [found]);
  const stack = useMemo(() => (found ? layers(found.series, sites) : []), [found, sites]);
  const range = found ? [new Date(found.from_at).getTime() / 1000, span === "today" ? fromOf("today").getTime() / 1000 + 86_400 : new Date(found.until_at).getTime() / 1000] : null;
  return html`<section class="panel"><div class="head"><h2>${title}</h2>${limit_kw && html`<span class="soft small">grid limit ${limit_kw} kW</span>`}<span class="spring"></span><${Segments} label="Span" of=${Object.entries(SPANS)} value=${span} onChange=${onSpan} /></div>
    <${Fault} of=${loaded.fault} />
    ${!found && !loaded.fault && html`<${Ghost} height=${height} />`}
    ${found && (stack.length ? html`<${StackedChart} times=${times} series=${stack} unit="kW" range=${range} limit=${limit_kw} summary=${`Power of ${stack.map((each) => each.label).join(", ")} over time`} />` : html`<div class="empty" style=${`min-height:${height}px;display:grid;place-content:center`}>No power was measured in this time.</div>`)}</section>`;
}
