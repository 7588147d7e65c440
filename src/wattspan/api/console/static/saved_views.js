// The views that this user saved and those that others share; read once and again after changes.

import * as api from "./api.js";
import { to } from "./router.js";
import { useEffect, useState } from "./vendor/preact.js";

let known = null;
const listeners = new Set();

async function read() {
  try {
    known = await api.get("/views");
    listeners.forEach((listener) => listener());
  } catch { /* the lists work without them */ }
}

/** The saved views by name, which renders the caller again when they change. */
export function useViews() {
  const [, again] = useState(0);
  useEffect(() => {
    const changed = () => again((turn) => turn + 1);
    listeners.add(changed);
    if (!known) { known = []; read(); }
    return () => listeners.delete(changed);
  }, []);
  return known ?? [];
}

/** Forgets the views of the user who logs out. */
export const forgetViews = () => { known = null; };

/** Parts of an address that are no filter: where a list is scrolled to. */
const PASSING = new Set(["row"]);

/** Returns the filters of an address as a view keeps them. */
export const filtersOf = (query) => Object.fromEntries([...query].filter(([name, value]) => value && !PASSING.has(name)));
export const linkOf = (view) => to(`/${view.page}`, view.query);
/** Returns whether an address shows a view. */
export const isShown = (view, path, query) => `/${view.page}` === path && JSON.stringify(Object.entries(filtersOf(query)).sort()) === JSON.stringify(Object.entries(view.query).sort());

export const saveView = async (page, name, query, isShared) => { await api.post("/views", { name, page, query, is_shared: isShared }); await read(); };
export const renameView = async (view, name) => { await api.patch(`/views/${view.view_id}`, { name }); await read(); };
export const removeView = async (view) => { await api.remove(`/views/${view.view_id}`); await read(); };
