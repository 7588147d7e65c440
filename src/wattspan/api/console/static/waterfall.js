// The spans of a session as a waterfall, from the server's own data: the session, its phases, and what happened in them.

import { html } from "./vendor/preact.js";
import { duration, time } from "./format.js";

/** `spans`: [{name, from, until, colour, text}] in Unix seconds, the first is the root; a point has no `until`. */
export function Waterfall({ spans, label }) {
  const [root] = spans;
  const length = root.until - root.from || 1;
  const at = (seconds) => Math.min(100, Math.max(0, ((seconds - root.from) / length) * 100));
  return html`<div class="waterfall" role="list" aria-label=${label}>${spans.map((span, i) => html`<div class="span" role="listitem" key=${i}>
    <span style=${i ? "padding-left:14px" : "font-weight:600"} title=${span.text ?? span.name}>${span.name}</span>
    <span class="lane"><i title=${`${span.name}, ${time(span.from)}`} style=${`left:${at(span.from)}%;width:${span.until === undefined ? "0" : `${at(span.until) - at(span.from)}%`};background:var(${span.colour})`}></i></span>
    <span class="number soft">${span.until === undefined ? `+ ${duration(span.from - root.from)}` : duration(span.until - span.from)}</span></div>`)}</div>`;
}
