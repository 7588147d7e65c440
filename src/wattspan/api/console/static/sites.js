// The sites by id, for names; read once and again after changes, by whomever.

import * as api from "./api.js";
import { useEffect, useState } from "./vendor/preact.js";

let known = new Map();
let latest = null; // the read that began last, while it lasts
const listeners = new Set();

/** Reads the sites again. */
export async function readSites() {
  const mine = (latest = api.get("/sites"));
  try {
    const { items } = await mine;
    if (mine !== latest) return;
    known = new Map(items.map((site) => [site.site_id, site]));
    listeners.forEach((listener) => listener());
  } catch { /* pages then show the ids */ } finally {
    if (mine === latest) latest = null;
  }
}

/** The sites by id, which renders the caller again when they were read. */
export function useSites() {
  const [, again] = useState(0);
  useEffect(() => {
    const changed = () => again((turn) => turn + 1);
    listeners.add(changed);
    if (!known.size && !latest) readSites();
    return () => listeners.delete(changed);
  }, []);
  return known;
}

export const siteName = (sites, id) => (id ? sites.get(id)?.name || id : "");
/** Returns what a charge point is grouped by: its site, or else its location. */
export const placeOf = (sites, cp) => siteName(sites, cp.site_id) || cp.location || "";
