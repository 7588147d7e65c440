// The address: path and query after the "#", kept so that Back and a copied link show the same page in the same state.

import { useLayoutEffect, useState } from "./vendor/preact.js";

const CHANGED = "wattspan:address";
history.scrollRestoration = "manual";

/** Returns {path, query} of the address. The server need not know the pages. */
export function address() {
  const [path, search = ""] = (location.hash.slice(1) || "/").split("?");
  return { path, query: new URLSearchParams(search) };
}

/** Returns the link to a page; `query` values that are empty are left out. */
export function to(path, query = {}) {
  const kept = Object.entries(query).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return `#${path}${kept.length ? `?${new URLSearchParams(kept)}` : ""}`;
}

export const toChargePoint = (id, query) => to(`/charge-points/${encodeURIComponent(id)}`, query);
export const toSession = (number) => to(`/sessions/${number}`);

/** Goes to a page, as a link does. */
export const go = (link) => { location.hash = link; };

/** The address, which renders the caller again when it changes. */
export function useAddress() {
  const [, again] = useState(0);
  useLayoutEffect(() => { // any later, and it would miss who is quick
    const moved = () => again((turn) => turn + 1);
    for (const kind of ["hashchange", "popstate", CHANGED]) addEventListener(kind, moved);
    return () => { for (const kind of ["hashchange", "popstate", CHANGED]) removeEventListener(kind, moved); };
  }, []);
  return address();
}

/** Returns [value of `name` in the query as text, change({name: value})]; `change` replaces the address unless `push`. */
export function useQuery() {
  const { path, query } = useAddress();
  const change = (values, { push = false } = {}) => {
    const next = new URLSearchParams(address().query);
    for (const [name, value] of Object.entries(values)) {
      if (value === "" || value === null || value === undefined) next.delete(name);
      else next.set(name, value);
    }
    const text = next.toString();
    history[push ? "pushState" : "replaceState"](push ? null : history.state, "", `#${path}${text ? `?${text}` : ""}`);
    dispatchEvent(new Event(CHANGED));
  };
  return [(name) => query.get(name) ?? "", change];
}

const PATIENCE_MS = 2000;

/** Keeps the scroll position with each entry of the history, and restores it once the page is long enough again. */
export function keepScroll() {
  let timer = null;
  let isRestoring = false;
  const keep = () => { timer = null; history.replaceState({ ...history.state, scroll: scrollY }, ""); };
  const scrolled = () => { if (!isRestoring) timer ??= setTimeout(keep, 150); };
  const restore = (position) => {
    const until = performance.now() + PATIENCE_MS;
    isRestoring = true;
    const attempt = () => {
      scrollTo(0, position);
      if (Math.abs(scrollY - position) > 2 && performance.now() < until) requestAnimationFrame(attempt);
      else isRestoring = false;
    };
    requestAnimationFrame(attempt);
  };
  const moved = () => {
    clearTimeout(timer);
    timer = null;
    restore(history.state?.scroll ?? 0);
  };
  addEventListener("scroll", scrolled, { passive: true });
  addEventListener("hashchange", moved);
  if (history.state?.scroll) restore(history.state.scroll);
  return () => { removeEventListener("scroll", scrolled); removeEventListener("hashchange", moved); };
}
