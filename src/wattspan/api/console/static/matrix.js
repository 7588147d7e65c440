// The status matrix: every connector of the fleet as one cell, by group, on one canvas. Only changed cells are drawn again.

import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { ago, duration, energy, power, words } from "./format.js";
import { go, toChargePoint } from "./router.js";
import { resolved } from "./colours.js";
import { STATES, stateOf } from "./status.js";

const collator = new Intl.Collator(undefined, { numeric: true });
const GAP = 2;
/** Cells drawn in one frame. */
const AT_ONCE = 1500;
const LABEL_PX = 17;
const BLOCK_GAP = 14;
const MIN_BLOCK = 132;
/** A group of so few connectors is one row. */
const ONE_ROW = 8;
/** Cell sizes by how many connectors there are; the last is for any more. */
const SIZES = [[40, 34], [150, 26], [600, 20], [2500, 14], [Infinity, 11]];

const sizeFor = (count) => SIZES.find(([upTo]) => count <= upTo)[1];
const label = (group, count) => `${group || "No location"} · ${count}`;

/** Places all cells: returns {cells, blocks, height, size}. `groups`: [[name, [{cp, connector}]]]. */
export function layout(groups, width, size) {
  const step = size + GAP;
  const columns = Math.max(1, Math.floor((width + GAP) / step));
  const cells = [];
  const blocks = [];
  let [x, y, tallest] = [0, 0, 0];
  for (const [name, members] of groups) {
    const across = Math.min(columns, Math.max(members.length > 60 || groups.length === 1 ? columns : 1, members.length <= ONE_ROW ? members.length : Math.ceil(Math.sqrt(members.length * 4)), Math.floor(MIN_BLOCK / step)));
    const blockWidth = Math.max(Math.min(MIN_BLOCK, width), across * step - GAP);
    const blockHeight = LABEL_PX + Math.ceil(members.length / across) * step;
    if (x > 0 && x + blockWidth > width) { x = 0; y += tallest + BLOCK_GAP; tallest = 0; }
    blocks.push({ x, y, width: blockWidth, text: label(name, members.length) });
    members.forEach(({ cp, connector }, i) => cells.push({ cp, connector, x: x + (i % across) * step, y: y + LABEL_PX + Math.floor(i / across) * step }));
    x += blockWidth + BLOCK_GAP;
    tallest = Math.max(tallest, blockHeight);
  }
  return { cells, blocks, height: Math.max(size, y + tallest), size };
}

/** Draws each state once in its colours; cells are then copies. */
function sprites(size, ratio) {
  const ink = resolved("--panel");
  const line = resolved("--line-strong");
  return Object.fromEntries(Object.entries(STATES).map(([state, { fill, mark }]) => {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = Math.round(size * ratio);
    const draw = canvas.getContext("2d");
    draw.scale(ratio, ratio);
    draw.fillStyle = resolved(fill);
    draw.beginPath();
    draw.roundRect(0, 0, size, size, Math.max(1.5, size / 8));
    draw.fill();
    draw.strokeStyle = draw.fillStyle = mark === "hollow" ? line : ink;
    draw.lineWidth = Math.max(1.2, size / 12);
    const [a, b, c] = [size * .3, size * .7, size / 2];
    draw.beginPath();
    if (mark === "hollow") { draw.lineWidth = 1.2; draw.roundRect(.6, .6, size - 1.2, size - 1.2, Math.max(1.5, size / 8)); draw.stroke(); }
    if (mark === "cross") { draw.moveTo(a, a); draw.lineTo(b, b); draw.moveTo(b, a); draw.lineTo(a, b); draw.stroke(); }
    if (mark === "dash") { draw.moveTo(a, c); draw.lineTo(b, c); draw.stroke(); }
    if (mark === "pause") { draw.moveTo(size * .38, a); draw.lineTo(size * .38, b); draw.moveTo(size * .62, a); draw.lineTo(size * .62, b); draw.stroke(); }
    if (mark === "bolt") { draw.moveTo(size * .56, size * .22); draw.lineTo(size * .32, size * .55); draw.lineTo(size * .48, size * .55); draw.lineTo(size * .44, size * .78); draw.lineTo(size * .68, size * .45); draw.lineTo(size * .52, size * .45); draw.closePath(); draw.fill(); }
    return [state, canvas];
  }));
}

const description = ({ cp, connector }) => {
  const state = stateOf(cp, connector);
  const parts = [words(state)];
  if (connector.error_code && connector.error_code !== "NoError") parts.push(connector.error_code);
  if (connector.power_w) parts.push(power(connector.power_w));
  if (connector.energy_wh !== null && connector.energy_wh !== undefined && connector.transaction) parts.push(energy(connector.energy_wh));
  parts.push(state === "Offline" ? `last message ${ago(cp.last_message_at)}` : connector.status_at ? `for ${duration((Date.now() - Date.parse(connector.status_at)) / 1000)}` : "");
  return parts.filter(Boolean).join(", ");
};

/** Groups the connectors: `groupOf(cp)` names the group, `wanted(cp, connector)` leaves out the others. */
export function grouped(chargePoints, groupOf, wanted = () => true) {
  const groups = new Map();
  for (const cp of chargePoints) {
    for (const connector of cp.outlets) {
      if (!wanted(cp, connector)) continue;
      const name = groupOf(cp);
      if (!groups.has(name)) groups.set(name, []);
      groups.get(name).push({ cp, connector });
    }
  }
  return [...groups].sort(([a], [b]) => (a === "") - (b === "") || collator.compare(a, b));
}

/** The matrix of a fleet store. `wanted` leaves connectors out, and `filterKey` changes with it and with the groups; `lit` is the only state in full colour. Arrow keys move, Enter opens, hovering or touching describes a cell. */
export function Matrix({ store, groupOf, wanted, filterKey = "", lit = "" }) {
  const box = useRef();
  const surface = useRef();
  const state = useRef({ placed: null, drawn: [], sprites: null, width: 0, ratio: 1, shape: "" });
  const only = useRef(lit);
  const [hovered, setHovered] = useState(-1);
  const [selected, setSelected] = useState(-1);
  const [isFocused, setFocused] = useState(false);
  const [, setRenders] = useState(0);
  // A pointer that rests beside the cells takes nothing from the keyboard.
  const announced = isFocused ? selected : -1;
  const tip = hovered >= 0 ? hovered : announced;
  const described = useRef();
  described.current = [tip, announced];
  const refresh = () => described.current.some((i) => i >= 0) && setRenders((n) => n + 1);

  const draw = (ids, from = 0) => {
    const { placed, drawn, sprites: images, ratio } = state.current;
    const context = surface.current?.getContext("2d");
    if (!context || !placed) return;
    for (let i = from; i < placed.cells.length; i += 1) {
      if (!ids && i >= from + AT_ONCE) { requestAnimationFrame(() => state.current.placed === placed && draw(null, i)); return; }
      const cell = placed.cells[i];
      if (ids && !ids.has(cell.cp.cp_id)) continue;
      const now = stateOf(cell.cp, cell.connector);
      if (drawn[i] === now) continue;
      drawn[i] = now;
      const [x, y, side] = [Math.round(cell.x * ratio), Math.round(cell.y * ratio), images[now].width];
      context.clearRect(x, y, side, side);
      context.globalAlpha = !only.current || only.current === now ? 1 : 0.16;
      context.drawImage(images[now], x, y);
    }
  };

  const arrange = () => {
    const width = box.current?.clientWidth;
    if (!width) return;
    const groups = grouped(store.chargePoints.values(), groupOf, wanted);
    const count = groups.reduce((sum, [, members]) => sum + members.length, 0);
    const ratio = devicePixelRatio || 1;
    const placed = layout(groups, width, sizeFor(count));
    const canvas = surface.current;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(placed.height * ratio);
    canvas.style.height = `${placed.height}px`;
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    context.font = "12px system-ui, sans-serif";
    context.fillStyle = resolved("--soft");
    context.textBaseline = "top";
    for (const block of placed.blocks) context.fillText(shortened(context, block.text, block.width), block.x, block.y);
    context.setTransform(1, 0, 0, 1, 0, 0);
    state.current = { placed, drawn: [], sprites: sprites(placed.size, ratio), width, ratio };
    draw(null);
    refresh();
  };

  useEffect(() => {
    arrange();
    const resize = new ResizeObserver(() => { if (box.current && box.current.clientWidth !== state.current.width) arrange(); });
    resize.observe(box.current);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", arrange);
    const stop = store.subscribe((ids) => {
      if (ids === null || hasNewCells(store, ids, state.current.placed, wanted)) requestAnimationFrame(arrange);
      else requestAnimationFrame(() => {
        draw(ids);
        if (described.current.some((i) => ids.has(state.current.placed?.cells[i]?.cp.cp_id))) refresh();
      });
    });
    return () => { resize.disconnect(); scheme.removeEventListener("change", arrange); stop(); };
  }, [store, filterKey]);

  useEffect(() => {
    only.current = lit;
    state.current.drawn = [];
    draw(null);
  }, [lit]);

  const at = (event) => {
    const bounds = surface.current.getBoundingClientRect();
    const [x, y] = [event.clientX - bounds.left, event.clientY - bounds.top];
    const size = state.current.placed?.size ?? 0;
    return (state.current.placed?.cells ?? []).findIndex((cell) => x >= cell.x && x < cell.x + size + GAP && y >= cell.y && y < cell.y + size + GAP);
  };
  const open = (i) => { const cell = state.current.placed?.cells[i]; if (cell) go(toChargePoint(cell.cp.cp_id)); };
  const pressed = (event) => {
    const cells = state.current.placed?.cells ?? [];
    if (!cells.length) return;
    const here = cells[selected];
    const nearest = (isCandidate) => cells.reduce((best, cell, i) => (isCandidate(cell) && (best < 0 || distance(cell, here) < distance(cells[best], here)) ? i : best), -1);
    const moves = {
      ArrowRight: () => Math.min(cells.length - 1, selected + 1), ArrowLeft: () => Math.max(0, selected - 1), Home: () => 0, End: () => cells.length - 1,
      ArrowDown: () => (here ? nearest((cell) => cell.y > here.y) : 0), ArrowUp: () => (here ? nearest((cell) => cell.y < here.y) : 0),
    };
    if (event.key === "Enter" && here) open(selected);
    else if (moves[event.key]) { const next = moves[event.key](); if (next >= 0) { setSelected(next); setHovered(-1); scrollToCell(next); } }
    else return;
    event.preventDefault();
  };
  const scrollToCell = (i) => {
    const cell = state.current.placed.cells[i];
    const top = surface.current.getBoundingClientRect().top + cell.y;
    if (top < 60) scrollBy(0, top - 120);
    else if (top > innerHeight - 90) scrollBy(0, top - innerHeight + 140);
  };
  const cell = state.current.placed?.cells[tip];
  const told = state.current.placed?.cells[announced];
  const size = state.current.placed?.size ?? 0;
  const right = cell && cell.x > state.current.width / 2;
  return html`<div class="matrix" ref=${box}>
    <canvas ref=${surface} role="application" tabindex="0" aria-roledescription="status matrix" aria-label="Every connector of the fleet. The arrow keys move, Enter opens the charge point."
      onMouseMove=${(e) => setHovered(at(e))} onMouseLeave=${() => setHovered(-1)} onClick=${(e) => open(at(e))} onKeyDown=${pressed} onFocus=${() => { setSelected(Math.max(0, selected)); setFocused(true); }} onBlur=${() => setFocused(false)}></canvas>
    ${cell && html`<div class="matrix-tip" style=${`top:${cell.y + size + 6}px;${right ? `right:${state.current.width - cell.x - size}px` : `left:${cell.x}px`}`}>
      <strong>${cell.cp.name || cell.cp.cp_id}${cell.connector.connector_id !== "0" ? ` / ${cell.connector.connector_id}` : ""}</strong>${description(cell)}</div>`}
    <span class="hidden-label" role="status">${told ? `${told.cp.cp_id}, connector ${told.connector.connector_id}: ${description(told)}` : ""}</span>
  </div>`;
}

const distance = (a, b) => Math.abs(a.y - b.y) * 3 + Math.abs(a.x - b.x);

/** Returns the text cut to a width, with an ellipsis. */
function shortened(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let kept = text;
  while (kept.length > 1 && context.measureText(`${kept}…`).width > width) kept = kept.slice(0, -1);
  return `${kept}…`;
}

/** Returns whether a changed charge point has other connectors to show than it has cells. */
function hasNewCells(store, ids, placed, wanted = () => true) {
  if (!placed) return true;
  placed.known ??= placed.cells.reduce((found, cell) => found.set(cell.cp.cp_id, (found.get(cell.cp.cp_id) ?? 0) + 1), new Map());
  for (const id of ids) {
    const cp = store.chargePoints.get(id);
    if (cp && cp.outlets.filter((each) => wanted(cp, each)).length !== (placed.known.get(id) ?? 0)) return true;
  }
  return false;
}
