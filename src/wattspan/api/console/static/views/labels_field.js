// Free labels as text: "name: value" or a name alone, one a line.

import { html } from "../ui.js";

/** Returns the labels of the text. */
export function labelsOf(text) {
  const found = {};
  for (const line of (text ?? "").split("\n").map((each) => each.trim()).filter(Boolean)) {
    const [name, ...value] = line.split(":");
    found[name.trim()] = value.join(":").trim();
  }
  return found;
}

export const LabelsField = ({ labels }) => html`<label>Labels<textarea name="labels" rows="3" style="min-height:4.5rem" defaultValue=${Object.entries(labels).map(([name, value]) => (value ? `${name}: ${value}` : name)).join("\n")} placeholder="owner: City"></textarea><span class="hint">One a line: a name, or a name and a value.</span></label>`;
