// Line icons of 16 px, as SVG paths.

import { html } from "./vendor/preact.js";

const PATHS = {
  overview: "M2 9l6-6 6 6M4 8v6h8V8",
  fleet: "M4 2h5a1 1 0 011 1v11H3V3a1 1 0 011-1zM5 5h3M10 7h1.5a1 1 0 011 1v3a1 1 0 002 0V6l-2-2",
  sessions: "M9 1.5L3.5 9H7l-.5 5.5L12.5 7H9z",
  alerts: "M8 2a4 4 0 00-4 4c0 4-1.5 5-1.5 5h11S12 10 12 6a4 4 0 00-4-4zM6.7 13.5a1.4 1.4 0 002.6 0",
  sites: "M8 14.5s5-4.6 5-8.2A5 5 0 003 6.3c0 3.6 5 8.2 5 8.2zM8 8a1.8 1.8 0 100-3.6A1.8 1.8 0 008 8z",
  reservations: "M3 3.5h10v10H3zM3 6.5h10M5.5 2v3M10.5 2v3",
  tags: "M2 2h6l6 6-6 6-6-6zM5 5h.01",
  pending: "M8 2a6 6 0 100 12A6 6 0 008 2zM8 5v3l2 2",
  bulk: "M2 4h3v3H2zM2 10h3v3H2zM8 5.5h6M8 11.5h6",
  exports: "M8 2v8M5 7l3 3 3-3M2.5 11v2.5h11V11",
  users: "M6 8a2.5 2.5 0 100-5 2.5 2.5 0 000 5zM1.5 14c0-2.5 2-4 4.5-4s4.5 1.5 4.5 4M11 3.2a2.5 2.5 0 010 4.6M12.5 10.4c1.2.6 2 1.8 2 3.6",
  audit: "M4 2h6l3 3v9H4zM6.5 8h4M6.5 11h4",
  system: "M8 10.2a2.2 2.2 0 100-4.4 2.2 2.2 0 000 4.4zM8 1.5v2M8 12.5v2M1.5 8h2M12.5 8h2M3.4 3.4l1.4 1.4M11.2 11.2l1.4 1.4M12.6 3.4l-1.4 1.4M4.8 11.2l-1.4 1.4",
  view: "M4 2h8v12l-4-3-4 3z",
  more: "M3 4h10M3 8h10M3 12h10",
};

export const Icon = ({ of }) => html`<svg width="16" height="16" viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="1.4" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d=${PATHS[of]} /></svg>`;
