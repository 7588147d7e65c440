// Components that several pages use.

import * as api from "./api.js";
import { html, render, useEffect, useLayoutEffect, useRef, useState } from "./vendor/preact.js";
import { shortAgo, shortTime, time, titled, tone, words } from "./format.js";

export { html, render, useEffect, useLayoutEffect, useRef, useState };
export { useMemo, useCallback } from "./vendor/preact.js";
export { Ghost, Skeleton, Table, sorted, useColumns } from "./table.js";

export const Chip = ({ of, tone: given, title }) => (of ? html`<span class=${`chip ${given ?? tone(of)}`} title=${title}>${titled(of)}</span>` : html`<span class="soft">–</span>`);
/** How many connectors have each status, the worst first; `isPast`: when their charge point was last connected. */
export const Counts = ({ of, isPast = false }) => html`<span class="counts">${Object.entries(of).map(([status, n]) => html`<span key=${status} class=${`chip ${isPast ? "off" : tone(status)}`} title=${`${n} ${words(status)}${isPast ? ", before it went offline" : ""}`}>${n}<span class="hidden-label"> ${words(status)}</span></span>`)}</span>`;
export const Ago = ({ at }) => html`<time datetime=${at ?? undefined} title=${time(at)}>${shortAgo(at)}</time>`;
export const At = ({ at }) => html`<time datetime=${at ?? undefined} title=${time(at)}>${shortTime(at)}</time>`;
export const Empty = ({ title, children }) => html`<div class="empty">${title && html`<strong>${title}</strong>`}${children}</div>`;
const MAX_ERRORS = 8;
/** An error, with what the API says about each field or line. */
export const Fault = ({ of }) => of && html`<div class="notice bad" role="alert">${of.message}${of.body?.errors?.length > 0 && html`<ul>${of.body.errors.slice(0, MAX_ERRORS).map(({ path, message }) => html`<li key=${path}>${path.replace(/^\//, "").replace(/\//g, " ")}: ${message}</li>`)}</ul>`}</div>`;

/** Buttons of which one is chosen. `of`: [[value, title]]. */
export const Segments = ({ label, of, value, onChange }) => html`<div class="segments" role="group" aria-label=${label}>${of.map(([key, title]) => html`<button type="button" key=${key} aria-pressed=${value === key} onClick=${() => onChange(key)}>${title}</button>`)}</div>`;

/** The field that "/" focuses. */
/** `suggestions`: [value, label] that are offered while one types. */
export const Search = ({ label, value, onInput, placeholder, suggestions = [] }) => html`<label class="wide searchbox"><span class="hidden-label">${label}</span><input type="search" data-search placeholder=${placeholder} value=${value} onInput=${(e) => onInput(e.target.value)} autocomplete="off" spellcheck="false" list=${suggestions.length ? "suggestions" : undefined} />${suggestions.length > 0 && html`<datalist id="suggestions">${suggestions.map(([key, title]) => html`<option key=${key} value=${key}>${title}</option>`)}</datalist>`}<kbd aria-hidden="true">/</kbd></label>`;

/** The page's heading; `beside` stands next to it, the children at the right. */
export const Head = ({ title, beside, children }) => {
  useEffect(() => { document.title = `${title} · Wattspan`; }, [title]);
  return html`<div class="head"><h1 tabindex="-1">${title}</h1>${beside}${children && html`<span class="spring"></span>`}${children}</div>`;
};

export const Figures = ({ of }) => html`<dl class="figures">${of.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
export const Properties = ({ of }) => html`<dl class="facts">${of.filter(([, value]) => value !== null && value !== undefined && value !== "").map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`;

/** Shows a dialog in a root of its own: moved in the document, as a list's neighbours are when it loads, it would no longer be modal. */
export function Dialog(given) {
  const host = useRef(null);
  useLayoutEffect(() => {
    host.current = document.createElement("div");
    document.body.append(host.current);
    return () => { render(null, host.current); host.current.remove(); };
  }, []);
  useLayoutEffect(() => { render(html`<${Modal} ...${given} />`, host.current); });
  return null;
}

/** A modal with a form; `onDone` closes it. It shows the error that `submit` throws, and stays if that returns false. */
function Modal({ title, submit, action = "Save", danger = false, canCancel = true, onDone, children }) {
  const box = useRef();
  const [fault, setFault] = useState(null);
  const [isBusy, setBusy] = useState(false);
  useEffect(() => { box.current.showModal(); }, []);
  const sent = async (event) => {
    event.preventDefault();
    setBusy(true);
    setFault(null);
    try {
      if (await submit(new FormData(event.target), event.target) === false) setBusy(false);
      else onDone(true);
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
      <div class="actions">
        <button class=${danger ? "danger" : "main"} disabled=${isBusy}>${action}</button>
        ${canCancel && html`<button type="button" onClick=${() => box.current.close()}>Cancel</button>`}
      </div>
    </form>
  </dialog>`;
}

/** Whether the page keeps the value of an input. Otherwise its value is only the first one: drawn anew, what was typed stays. */
const isControlled = (props) => "onInput" in props || "onChange" in props;
const initial = ({ value, ...rest }) => (value === undefined || isControlled(rest) ? { value, ...rest } : { defaultValue: value, ...rest });
export const Field = ({ label, hint, ...input }) => html`<label>${label}<input ...${initial(input)} />${hint && html`<span class="hint">${hint}</span>`}</label>`;
export const Choice = ({ label, of, value, ...select }) => html`<label>${label}<select ...${isControlled(select) ? { value, ...select } : select}>${of.map((word) => {
  const [key, shown] = Array.isArray(word) ? word : [word, titled(word)];
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

/** The rows of a list that comes in pages, newest first: {items, next, fault, more(), again()}; `query` null: nothing is read. */
export function usePages(path, query, { waitMs = 250 } = {}) {
  const [pages, setPages] = useState({ items: null, next: null, isLong: false, fault: null });
  const turn = useRef(0);
  const isMore = useRef(false); // a further page is on its way, which again() must not drop
  const load = async (cursor) => {
    const mine = ++turn.current; // a further page, too: a first page that comes after it would drop it
    isMore.current = Boolean(cursor);
    try {
      const page = await api.get(path, { ...query, cursor });
      if (mine !== turn.current) return;
      isMore.current = false;
      setPages((before) => ({ items: cursor ? [...before.items, ...page.items] : page.items, next: page.next, isLong: Boolean(cursor), fault: null }));
    } catch (fault) { if (mine === turn.current) { isMore.current = false; setPages((before) => ({ ...before, fault })); } }
  };
  const latest = useRef();
  latest.current = load;
  useEffect(() => {
    if (query === null) return undefined;
    const wait = setTimeout(() => latest.current(), pages.items ? waitMs : 0);
    return () => { clearTimeout(wait); turn.current += 1; };
  }, [path, JSON.stringify(query)]);
  return { ...pages, more: pages.next ? () => latest.current(pages.next) : null, again: () => { if (!isMore.current) latest.current(); } };
}
