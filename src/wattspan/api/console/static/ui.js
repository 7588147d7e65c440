// Components that several pages use.

import { html, render, useEffect, useLayoutEffect, useRef, useState } from "./vendor/preact.js";
import { ago, time, tone, words } from "./format.js";

export { html, render, useEffect, useLayoutEffect, useRef, useState };
export { useMemo, useCallback } from "./vendor/preact.js";

export const Chip = ({ of, tone: given }) => (of ? html`<span class=${`chip ${given ?? tone(of)}`}>${words(of)}</span>` : html`<span class="soft">–</span>`);
export const Ago = ({ at }) => html`<time title=${time(at)}>${ago(at)}</time>`;
export const Empty = ({ children }) => html`<p class="empty">${children}</p>`;
export const Fault = ({ of }) => of && html`<p class="notice bad" role="alert">${of.message}</p>`;

export const Head = ({ title, children }) => {
  useEffect(() => { document.title = `${title} · Wattspan`; }, [title]);
  return html`<div class="head"><h1 tabindex="-1">${title}</h1><span class="spring"></span>${children}</div>`;
};

export const Figures = ({ of }) => html`<dl class="figures">${of.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
export const Properties = ({ of }) => html`<dl class="facts">${of.filter(([, value]) => value !== null && value !== undefined && value !== "").map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`;

/** A table: `columns` are [title, row => cell, class]; a row's `id` keys it. */
export function Table({ label, columns, rows, empty = "Nothing here yet." }) {
  if (!rows) return html`<${Empty}>Loading …<//>`;
  if (!rows.length) return html`<${Empty}>${empty}<//>`;
  return html`<div class="scroll" role="region" aria-label=${label} tabindex="0"><table>
    <thead><tr>${columns.map(([title, , kind]) => html`<th class=${kind} scope="col">${title}</th>`)}</tr></thead>
    <tbody>${rows.map((row, i) => html`<tr key=${row.id ?? i}>${columns.map(([, cell, kind]) => html`<td class=${kind}>${cell(row)}</td>`)}</tr>`)}</tbody>
  </table></div>`;
}

const ROW_PX = 44;
const SPARE = 12;

/** A table of very many rows: only the visible ones are in the DOM. */
export function LongTable({ label, columns, rows, empty }) {
  const box = useRef();
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  useLayoutEffect(() => {
    const measured = () => box.current && setHeight(box.current.clientHeight);
    measured();
    addEventListener("resize", measured);
    return () => removeEventListener("resize", measured);
  }, []);
  const first = Math.max(0, Math.floor(top / ROW_PX) - SPARE);
  const last = Math.min(rows.length, Math.ceil((top + height) / ROW_PX) + SPARE);
  return html`<div class="rows" ref=${box} onScroll=${(e) => setTop(e.currentTarget.scrollTop)} role="region" aria-label=${label} tabindex="0">
    <table aria-rowcount=${rows.length + 1}>
      <colgroup>${columns.map(([, , , width]) => html`<col style=${width ? `width:${width}` : ""} />`)}</colgroup>
      <thead><tr aria-rowindex="1">${columns.map(([title, , kind]) => html`<th class=${kind} scope="col">${title}</th>`)}</tr></thead>
      <tbody>
        ${first > 0 && html`<tr key="before" aria-hidden="true"><td colspan=${columns.length} style=${`height:${first * ROW_PX}px;padding:0;border:0`}></td></tr>`}
        ${rows.slice(first, last).map((row, i) => html`<tr key=${row.id} aria-rowindex=${first + i + 2}>${columns.map(([, cell, kind]) => html`<td class=${kind}>${cell(row)}</td>`)}</tr>`)}
        ${last < rows.length && html`<tr key="after" aria-hidden="true"><td colspan=${columns.length} style=${`height:${(rows.length - last) * ROW_PX}px;padding:0;border:0`}></td></tr>`}
      </tbody>
    </table>
    ${rows.length === 0 && html`<${Empty}>${empty}<//>`}
  </div>`;
}

/** A modal with a form; `onDone` closes it. It shows the error that `submit` throws. */
export function Dialog({ title, submit, action = "Save", danger = false, onDone, children }) {
  const box = useRef();
  const [fault, setFault] = useState(null);
  const [isBusy, setBusy] = useState(false);
  useEffect(() => { box.current.showModal(); }, []);
  const sent = async (event) => {
    event.preventDefault();
    setBusy(true);
    setFault(null);
    try {
      await submit(new FormData(event.target), event.target);
      onDone(true);
    } catch (problem) {
      setFault(problem);
      setBusy(false);
    }
  };
  return html`<dialog ref=${box} aria-label=${title} onClose=${() => onDone(false)}>
    <form onSubmit=${sent}>
      <h2>${title}</h2>
      <${Fault} of=${fault} />
      ${children}
      <div class="actions" style="margin-top:1rem">
        <button class=${danger ? "danger" : "main"} disabled=${isBusy}>${action}</button>
        <button type="button" onClick=${() => box.current.close()}>Cancel</button>
      </div>
    </form>
  </dialog>`;
}

export const Field = ({ label, hint, ...input }) => html`<label>${label}<input ...${input} />${hint && html`<span class="hint">${hint}</span>`}</label>`;
export const Choice = ({ label, of, value, ...select }) => html`<label>${label}<select value=${value} ...${select}>${of.map((word) => {
  const [key, shown] = Array.isArray(word) ? word : [word, words(word)];
  return html`<option value=${key} selected=${key === value}>${shown}</option>`;
})}</select></label>`;

let show = () => {};
/** Shows a short message, which screen readers read too. */
export const toast = (text, isBad = false) => show({ text, isBad, id: Math.random() });
export function Toasts() {
  const [shown, setShown] = useState([]);
  show = (one) => {
    setShown((before) => [...before.slice(-2), one]);
    setTimeout(() => setShown((before) => before.filter(({ id }) => id !== one.id)), one.isBad ? 9000 : 4500);
  };
  return html`<div class="toasts" role="status" aria-live="polite">${shown.map(({ id, text, isBad }) => html`<div key=${id} class=${isBad ? "bad" : ""}>${text}</div>`)}</div>`;
}

/** The value of `load()`, which is called again when `on` changes or by `again()`. Answers that arrive late are dropped. */
export function useLoaded(load, on = []) {
  const [state, setState] = useState({ value: null, fault: null });
  const turn = useRef(0);
  const again = () => {
    const mine = ++turn.current;
    return load().then(
      (value) => mine === turn.current && setState({ value, fault: null }),
      (fault) => mine === turn.current && setState((before) => ({ value: before.value, fault })),
    );
  };
  useEffect(() => { setState({ value: null, fault: null }); again(); return () => { turn.current += 1; }; }, on);
  return { ...state, again };
}

/** Returns a function that calls `act` at most every `ms`, for lists that follow the event stream. */
export function useThrottled(act, ms) {
  const latest = useRef(act);
  latest.current = act;
  const timer = useRef(null);
  useEffect(() => () => clearTimeout(timer.current), []);
  return () => { timer.current ??= setTimeout(() => { timer.current = null; latest.current(); }, ms); };
}
