// A form from a JSON schema (draft 4 to 6, as OCPP uses), and the payload from the form.

import { html, useState } from "./ui.js";
import { words } from "./format.js";

const resolve = (schema, root) => {
  let found = schema;
  while (found?.$ref) found = found.$ref.replace(/^#\//, "").split("/").reduce((at, key) => at?.[key], root);
  return found ?? {};
};

const at = (value, path) => path.reduce((inner, key) => inner?.[key], value);

/** Returns a copy of `value` with `leaf` at `path`; undefined removes it. */
function placed(value, path, leaf) {
  if (!path.length) return leaf;
  const [key, ...rest] = path;
  const copy = Array.isArray(value) ? value.slice() : { ...value };
  const inner = placed(copy[key] ?? (typeof rest[0] === "number" ? [] : {}), rest, leaf);
  if (inner === undefined || (inner !== null && typeof inner === "object" && !Array.isArray(inner) && !Object.keys(inner).length && rest.length)) delete copy[key];
  else copy[key] = inner;
  return copy;
}

const typed = {
  integer: (text) => (text === "" ? undefined : Number.parseInt(text, 10)),
  number: (text) => (text === "" ? undefined : Number(text)),
  string: (text) => (text === "" ? undefined : text),
};

function Leaf({ name, schema, isNeeded, value, change }) {
  const label = html`<span title=${words(name)}>${name}</span>${isNeeded && html` <span aria-hidden="true">*</span>`}`;
  const hint = schema.description?.replace(/^urn:\S+\s*/m, "").split("\n")[0].slice(0, 140);
  if (schema.enum) {
    return html`<label>${label}<select required=${isNeeded} value=${value ?? ""} onChange=${(e) => change(e.target.value || undefined)}>
      <option value="">${isNeeded ? "Choose …" : "–"}</option>${schema.enum.map((word) => html`<option value=${word} selected=${word === value}>${word}</option>`)}</select></label>`;
  }
  if (schema.type === "boolean") {
    return html`<label>${label}<select required=${isNeeded} value=${value === undefined ? "" : String(value)} onChange=${(e) => change(e.target.value === "" ? undefined : e.target.value === "true")}>
      <option value="">${isNeeded ? "Choose …" : "–"}</option><option value="true">yes</option><option value="false">no</option></select></label>`;
  }
  if (schema.format === "date-time") {
    const local = value ? new Date(new Date(value) - new Date(value).getTimezoneOffset() * 60000).toISOString().slice(0, 16) : "";
    return html`<label>${label}<input type="datetime-local" required=${isNeeded} value=${local} onInput=${(e) => change(e.target.value ? new Date(e.target.value).toISOString() : undefined)} /></label>`;
  }
  const isNumber = schema.type === "integer" || schema.type === "number";
  return html`<label>${label}<input type=${isNumber ? "number" : "text"} step=${schema.type === "integer" ? 1 : "any"} min=${schema.minimum} maxlength=${schema.maxLength} required=${isNeeded}
    value=${value ?? ""} onInput=${(e) => change((typed[schema.type] ?? typed.string)(e.target.value))} />${hint && html`<span class="hint">${hint}</span>`}</label>`;
}

function Node({ name, schema: given, root, isNeeded, value, path, change, depth = 0 }) {
  const schema = resolve(given, root);
  if (name === "customData" || depth > 6) return null;
  if (schema.type === "object" || schema.properties) {
    const isThere = isNeeded || value !== undefined;
    if (!isThere) return html`<div><button type="button" onClick=${() => change(path, {})}><span title=${words(name)}>+ ${name}</span></button></div>`;
    const inner = html`<${Properties} ...${{ schema, root, value, path, change, depth }} />`;
    return depth === 0 && !name ? inner : html`<fieldset><legend><span title=${words(name)}>${name}</span> ${!isNeeded && html`<button type="button" class="plain" onClick=${() => change(path, undefined)}>remove</button>`}</legend>${inner}</fieldset>`;
  }
  if (schema.type === "array") {
    const items = value ?? (isNeeded ? [undefined] : []);
    const max = schema.maxItems ?? 50;
    return html`<fieldset><legend title=${words(name)}>${name}</legend>
      ${items.map((item, i) => html`<div key=${i} style="margin-bottom:.6rem"><${Node} name=${`${name} ${i + 1}`} schema=${schema.items} root=${root} isNeeded=${true} value=${item} path=${[...path, i]} change=${change} depth=${depth + 1} />
        ${items.length > 1 && html`<button type="button" class="plain" onClick=${() => change(path, items.filter((_, k) => k !== i))}>remove</button>`}</div>`)}
      ${items.length < max && html`<button type="button" onClick=${() => change(path, [...items, resolve(schema.items, root).type === "object" ? {} : undefined])}>+ add</button>`}
    </fieldset>`;
  }
  return html`<${Leaf} ...${{ name, schema, isNeeded, value }} change=${(leaf) => change(path, leaf)} />`;
}

function Properties({ schema, root, value, path, change, depth }) {
  const needed = new Set(schema.required ?? []);
  const names = Object.keys(schema.properties ?? {}).filter((name) => name !== "customData").sort((a, b) => needed.has(b) - needed.has(a));
  return html`<div class="fields">${names.map((name) => html`<${Node} key=${name} name=${name} schema=${schema.properties[name]} root=${root} isNeeded=${needed.has(name)}
    value=${value?.[name]} path=${[...path, name]} change=${change} depth=${depth + 1} />`)}</div>`;
}

/** The fields of `schema`; `onChange(payload)` gets the fields that are filled in. */
export function SchemaFields({ schema, payload, onChange }) {
  const names = Object.keys(schema.properties ?? {}).filter((name) => name !== "customData");
  if (!names.length) return html`<p class="soft">This command has no parameters.</p>`;
  const change = (path, leaf) => onChange(placed(payload, path, leaf));
  return html`<${Properties} schema=${schema} root=${schema} value=${payload} path=${[]} change=${change} depth=${0} />`;
}

/** The fields, or the JSON itself. */
export function PayloadForm({ schema, payload, onChange }) {
  const [isRaw, setRaw] = useState(false);
  const [text, setText] = useState("");
  const [isBroken, setBroken] = useState(false);
  const typed = (raw) => {
    setText(raw);
    try { onChange(JSON.parse(raw)); setBroken(false); } catch { setBroken(true); }
  };
  return html`<div>
    ${isRaw ? html`<label>Payload as JSON<textarea value=${text} spellcheck="false" aria-invalid=${isBroken} onInput=${(e) => typed(e.target.value)}></textarea>${isBroken && html`<span class="hint" role="alert">Not JSON yet.</span>`}</label>`
      : html`<${SchemaFields} ...${{ schema, payload, onChange }} />`}
    <button type="button" class="plain" onClick=${() => { setText(JSON.stringify(payload, null, 2)); setBroken(false); setRaw(!isRaw); }}>${isRaw ? "As a form" : "As JSON"}</button>
  </div>`;
}

export const valueAt = at;
