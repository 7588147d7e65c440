// The map of sites, on a style or tiles of the operator. MapLibre is loaded only when a map is shown.

import { STATES, stateOf } from "../status.js";
import { words } from "../format.js";
import { to } from "../router.js";
import { html, useEffect, useRef, useState } from "../ui.js";

/** Sites drawn at most: each is an element that the browser moves with the map. */
const MAX_MARKERS = 500;
const MAX_ZOOM = 15;
/** The states that colour a site, the first that any of its connectors has. */
const URGENT_FIRST = ["Faulted", "Unavailable", "Charging", "SuspendedEVSE", "SuspendedEV", "Occupied", "Finishing", "Preparing", "Reserved", "Available"];

/** Returns the sites that have a position. */
export const placed = (sites) => sites.filter((site) => site.latitude !== null && site.longitude !== null);

/** Returns a style of raster tiles if the address is a template of them, or the address of a style. */
const styleOf = (url) => (url.includes("{z}") ? { version: 8, sources: { tiles: { type: "raster", tiles: [url], tileSize: 256 } }, layers: [{ id: "tiles", type: "raster", source: "tiles" }] } : url);

/** Returns the state that stands for a site: Offline if none of its charge points is connected. */
export function siteState({ now }) {
  if (now.charge_points > 0 && now.connected === 0) return "Offline";
  return URGENT_FIRST.find((state) => now.statuses[state]) ?? "Unknown";
}

/** Sets what a marker shows; its link keeps the focus. */
function show(link, site) {
  const state = siteState(site);
  const name = site.name || site.site_id;
  link.className = `maplibregl-marker pin ${STATES[state].tone}`;
  link.href = to(`/sites/${encodeURIComponent(site.site_id)}`);
  link.textContent = site.now.connectors || site.now.charge_points || "–";
  link.title = `${name}: ${words(state)}, ${site.now.connected} of ${site.now.charge_points} connected`;
  link.setAttribute("aria-label", link.title);
}

/** `sites`: those with a position. */
export function SiteMap({ url, sites }) {
  const box = useRef();
  const map = useRef(null);
  const markers = useRef(new Map());
  const [fault, setFault] = useState("");
  const [isReady, setReady] = useState(false);
  useEffect(() => {
    let isGone = false;
    const begin = async () => {
      const { LngLatBounds, Map: MapLibre, NavigationControl } = await import("../vendor/maplibre-gl.mjs");
      if (isGone) return;
      const bounds = sites.reduce((found, site) => found.extend([site.longitude, site.latitude]), new LngLatBounds());
      map.current = new MapLibre({ container: box.current, style: styleOf(url), bounds, fitBoundsOptions: { padding: 60, maxZoom: MAX_ZOOM }, attributionControl: { compact: false }, cooperativeGestures: false, dragRotate: false, pitchWithRotate: false });
      map.current.addControl(new NavigationControl({ showCompass: false }), "top-right");
      map.current.on("error", ({ error }) => setFault(`The map can't be read: ${error?.message ?? "unknown error"}`));
      map.current.on("idle", () => { if (box.current) box.current.dataset.idle = "yes"; });
      setReady(true);
    };
    begin().catch((problem) => setFault(`This browser can't show the map: ${problem.message}`));
    return () => { isGone = true; map.current?.remove(); map.current = null; markers.current.clear(); };
  }, [url]);
  useEffect(() => {
    if (!isReady) return;
    import("../vendor/maplibre-gl.mjs").then(({ Marker }) => {
      if (!map.current) return;
      const shown = sites.slice(0, MAX_MARKERS);
      const ids = new Set(shown.map((site) => site.site_id));
      for (const [id, marker] of markers.current) if (!ids.has(id)) { marker.remove(); markers.current.delete(id); }
      for (const site of shown) {
        const place = [site.longitude, site.latitude];
        const known = markers.current.get(site.site_id);
        if (known) { show(known.getElement(), site); known.setLngLat(place); continue; }
        const link = document.createElement("a");
        show(link, site);
        markers.current.set(site.site_id, new Marker({ element: link }).setLngLat(place).addTo(map.current));
        link.setAttribute("aria-label", link.title); // MapLibre sets one of its own
      }
    });
  }, [isReady, sites]);
  return html`<section class="panel map-panel" aria-label="Map">
    ${fault && html`<p class="notice bad" role="alert">${fault}</p>`}
    <div class="map" ref=${box}></div>
    ${sites.length > MAX_MARKERS && html`<p class="soft small">The map shows the first ${MAX_MARKERS} of ${sites.length} sites. Search to narrow them.</p>`}</section>`;
}
