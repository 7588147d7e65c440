// The legend of the connectors' states, which also picks the one to show.

import { count, words } from "../format.js";
import { STATES } from "../status.js";
import { html } from "../ui.js";

/** `states`: counts by state. A click on the chosen state shows all again. */
export function StateLegend({ states, value, onChange }) {
  return html`<div class="legend" role="group" aria-label="Show only">${Object.entries(STATES).filter(([state]) => states[state] || state === value).map(([state, { fill, mark }]) => html`
    <button type="button" key=${state} aria-pressed=${value === state} onClick=${() => onChange(value === state ? "" : state)}>
      <span class="mark" aria-hidden="true" style=${`background:var(${fill});${mark === "hollow" ? "box-shadow:inset 0 0 0 1.5px var(--line-strong)" : ""}`}></span>${words(state)} <strong>${count(states[state] ?? 0)}</strong></button>`)}</div>`;
}
