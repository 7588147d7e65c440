// Tables: sorting, columns that one picks, rows by keyboard, cards on a phone, and only the visible rows of a long one.

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/preact.js";
import { rowKeys } from "./keyboard.js";
import { useQuery } from "./router.js";

/** Longer tables have a scroll area of their own and only their visible rows in the document. */
const LONG = 120;
const SPARE = 10;

/** A column: {title, cell: row => cell, key, sort: row => value, number, width, isHidden, noCard, side, wide}; `wide` ones are left out on a screen of middle width. [title, cell, class] is short for it. */
const column = (given) => (Array.isArray(given) ? { title: given[0], cell: given[1], number: given[2] === "number" } : given);

const collator = new Intl.Collator(undefined, { numeric: true });
const compared = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : a === b ? 0 : collator.compare(a ?? "", b ?? ""));

/** Returns the rows by the column that `order` names: "key", or "-key" for descending. */
export function sorted(rows, columns, order) {
  const key = order.replace(/^-/, "");
  const by = columns.map(column).find((each) => each.key === key)?.sort;
  if (!rows || !by) return rows;
  const sign = order.startsWith("-") ? -1 : 1;
  const pairs = rows.map((row) => [by(row), row]);
  return pairs.sort(([a], [b]) => sign * compared(a, b)).map(([, row]) => row);
}

/** The ids of columns that the user shows, kept in the browser. */
export function useColumns(name, columns) {
  const kept = `wattspan:columns:${name}`;
  const [shown, setShown] = useState(() => { try { return JSON.parse(localStorage.getItem(kept)); } catch { return null; } });
  const isShown = (each) => (shown ? shown.includes(each.key) : !each.isHidden);
  const toggle = (key) => {
    const next = columns.filter((each) => (each.key === key ? !isShown(each) : isShown(each))).map((each) => each.key);
    localStorage.setItem(kept, JSON.stringify(next));
    setShown(next);
  };
  return [columns.filter((each) => each.isFixed || isShown(each)), html`<details class="drop wide-only"><summary>Columns</summary><div>
    ${columns.filter((each) => !each.isFixed).map((each) => html`<label key=${each.key}><input type="checkbox" checked=${isShown(each)} onChange=${() => toggle(each.key)} /> ${each.title}</label>`)}</div></details>`];
}

export const Skeleton = ({ rows = 6 }) => html`<div class="scroll skeleton" aria-busy="true" aria-label="Loading" role="status">${Array.from({ length: rows }, (_, i) => html`<div key=${i} class="ghost"></div>`)}</div>`;
/** Keeps the place of a picture that is loading: as high as it will be, so that nothing below it moves. */
export const Ghost = ({ height }) => html`<div class="ghost" style=${`height:${height}px`} aria-busy="true" aria-label="Loading" role="status"></div>`;
const Empty = ({ children }) => html`<div class="scroll"><div class="empty">${children}</div></div>`;

const rowHeight = () => parseInt(getComputedStyle(document.documentElement).getPropertyValue("--row"), 10) || 38;

/** A table of `rows`, each with an `id`. `order` and `onOrder` sort it; without `rows` it shows that it loads. */
export function Table({ label, columns: given, rows, empty = "Nothing here yet.", order = "", onOrder = null, name = "" }) {
  const columns = useMemo(() => given.map(column), [given]);
  const box = useRef();
  const [active, setActive] = useState(-1);
  const [view, setView] = useState({ top: 0, height: 700 });
  const [read, change] = useQuery();
  const isLong = (rows?.length ?? 0) > LONG;
  const height = rowHeight();
  const timer = useRef(null);

  useLayoutEffect(() => {
    if (!isLong || !box.current) return undefined;
    const first = name ? Number(read("row")) || 0 : 0;
    if (first) box.current.scrollTop = first * height;
    const measured = () => box.current && setView({ top: box.current.scrollTop, height: box.current.clientHeight });
    measured();
    addEventListener("resize", measured);
    return () => removeEventListener("resize", measured);
  }, [isLong]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const scrolled = (event) => {
    const top = event.currentTarget.scrollTop;
    setView({ top, height: event.currentTarget.clientHeight });
    if (!name) return;
    clearTimeout(timer.current);
    timer.current = setTimeout(() => change({ row: Math.round(top / height) || "" }), 300);
  };

  const latest = useRef();
  latest.current = (step) => {
    if (!rows?.length) return;
    const next = Math.min(rows.length - 1, Math.max(0, active + step));
    setActive(next);
    if (isLong && box.current) {
      const [from, to] = [next * height, (next + 2) * height];
      if (from < box.current.scrollTop) box.current.scrollTop = from;
      else if (to > box.current.scrollTop + box.current.clientHeight) box.current.scrollTop = to - box.current.clientHeight;
    }
    requestAnimationFrame(() => {
      const row = box.current?.querySelector(`tr[data-at="${next}"]`);
      (row?.querySelector("a") ?? row?.querySelector("button, input"))?.focus({ preventScroll: isLong });
    });
  };
  useEffect(() => rowKeys((step) => latest.current(step)), []);

  if (!rows) return html`<${Skeleton} />`;
  if (!rows.length) return html`<${Empty}>${empty}<//>`;
  const first = isLong ? Math.max(0, Math.floor(view.top / height) - SPARE) : 0;
  const last = isLong ? Math.min(rows.length, Math.ceil((view.top + view.height) / height) + SPARE) : rows.length;
  const gap = (key, count) => count > 0 && html`<tr key=${key} class="gap" aria-hidden="true"><td colspan=${columns.length} style=${`height:${count * height}px;padding:0;border:0`}></td></tr>`;
  return html`<div class=${isLong ? "rows" : "scroll"} ref=${box} onScroll=${isLong ? scrolled : undefined} role="region" aria-label=${label} tabindex="0">
    <table style=${isLong ? `--least:${leastWidth(columns)}px` : ""} class=${`cards ${columns.some((each) => each.side) ? "brief" : ""}`} role="table" aria-rowcount=${isLong ? rows.length + 1 : undefined}>
      ${isLong && html`<colgroup>${columns.map((each) => html`<col style=${each.width ? `width:${each.width}` : ""} />`)}</colgroup>`}
      <thead role="rowgroup"><tr role="row" aria-rowindex=${isLong ? 1 : undefined}>${columns.map((each) => html`<${Head} key=${each.key ?? each.title} of=${each} order=${order} onOrder=${onOrder} />`)}</tr></thead>
      <tbody role="rowgroup">${gap("before", first)}${rows.slice(first, last).map((row, i) => html`<${Row} key=${row.id ?? first + i} row=${row} at=${first + i} columns=${columns} isHere=${first + i === active} isLong=${isLong} />`)}${gap("after", rows.length - last)}</tbody>
    </table></div>`;
}

/** The width at which every column has its own and those without one have room for a name. */
const leastWidth = (columns) => columns.reduce((sum, each) => sum + (parseInt(each.width, 10) || 180), 0);

function Head({ of, order, onOrder }) {
  const kind = [of.number && "number", of.wide && "wide-cell"].filter(Boolean).join(" ");
  const title = of.title || html`<span class="hidden-label">${of.isPick ? "Choose" : "Actions"}</span>`;
  if (!of.sort || !onOrder) return html`<th class=${kind} scope="col" role="columnheader">${title}</th>`;
  const direction = order === of.key ? "ascending" : order === `-${of.key}` ? "descending" : undefined;
  const next = direction === "ascending" ? `-${of.key}` : of.key;
  return html`<th class=${kind} scope="col" role="columnheader" aria-sort=${direction}><button type="button" onClick=${() => onOrder(next)}>${title}<span aria-hidden="true">${direction === "ascending" ? "↑" : direction === "descending" ? "↓" : ""}</span></button></th>`;
}

const isUnset = (cell) => cell === "" || cell === null || cell === undefined || cell === false;

function Row({ row, at, columns, isHere, isLong }) {
  return html`<tr role="row" data-at=${at} class=${isHere ? "here" : ""} aria-rowindex=${isLong ? at + 2 : undefined}>${columns.map((each, i) => {
    const cell = each.cell(row);
    const kind = [each.number && "number", i === (columns[0].isPick ? 1 : 0) && "lead", isUnset(cell) && "unset", each.noCard && "nocard", each.side && "side-cell", each.wide && "wide-cell", each.title === "" && !each.isPick && "acts"].filter(Boolean).join(" ");
    return html`<td role="cell" class=${kind} data-title=${each.title || undefined}>${cell}</td>`;
  })}</tr>`;
}
