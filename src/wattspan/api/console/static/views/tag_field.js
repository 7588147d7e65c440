// A field for an id tag that suggests those on file while one types.

import * as api from "../api.js";
import { html, useEffect, useState } from "../ui.js";

const WAIT_MS = 200;
const MAX_SUGGESTIONS = 12;

/** Whoever may not see id tags gets no suggestions. */
export function TagField({ name = "id_tag", label = "Id tag" }) {
  const [text, setText] = useState("");
  const [found, setFound] = useState([]);
  useEffect(() => {
    const wait = setTimeout(() => api.get("/id-tags", { search: text, limit: MAX_SUGGESTIONS }).then((page) => setFound(page.items), () => setFound([])), WAIT_MS);
    return () => clearTimeout(wait);
  }, [text]);
  return html`<label>${label}<input name=${name} required maxlength="255" list=${`${name}-suggestions`} autocomplete="off" onInput=${(e) => setText(e.target.value)} />
    <datalist id=${`${name}-suggestions`}>${found.map((tag) => html`<option key=${tag.id_tag} value=${tag.id_tag}>${tag.status}</option>`)}</datalist></label>`;
}
