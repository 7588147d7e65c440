// The server, one's own password and tokens, and for admins the settings.

import * as api from "../api.js";
import { Ago, Dialog, Properties, Fault, Field, Head, Table, html, toast, useLoaded, useState } from "../ui.js";
import { time } from "../format.js";

const RIGHTS = ["read", "command", "write", "admin"];

export function System({ user, may, settings }) {
  const health = useLoaded(() => api.get("/health"));
  const tokens = useLoaded(() => api.get("/tokens"));
  const all = useLoaded(() => (may("admin") ? api.get("/settings") : Promise.resolve(null)));
  const [open, setOpen] = useState(null);
  const [made, setMade] = useState(null);
  const done = (sent) => { setOpen(null); if (sent) tokens.again(); };
  const revoke = async (token) => { try { await api.remove(`/tokens/${token.id}`); tokens.again(); } catch (problem) { toast(problem.message, true); } };
  const columns = [["Token", (token) => token.label || token.id], ["Rights", (token) => token.scopes.join(", ")], ["Created", (token) => html`<${Ago} at=${token.created_at} />`], ["Expires", (token) => (token.expires_at ? time(token.expires_at) : "never")],
    ["", (token) => html`<button class="plain" onClick=${() => revoke(token)}>Revoke<span class="hidden-label"> ${token.label || token.id}</span></button>`]];
  return html`<${Head} title="System"><a class="button" href="/docs">API</a><//>
    <div class="grid">
      <section class="panel"><h2>Server</h2><${Properties} of=${[["Version", settings.version], ["Health", health.fault ? health.fault.message : health.value?.status], ["Database answers in", health.value && `${(health.value.database_s * 1000).toFixed(1)} ms`]]} /></section>
      <section class="panel"><h2>You</h2><${Properties} of=${[["Name", user.name], ["Role", user.role], ["Rights", user.rights.join(", ")]]} /><div class="actions below"><button onClick=${() => setOpen("password")}>Change password</button></div></section>
    </div>
    <div class="head"><h2 style="margin:0">Your API tokens</h2><span class="spring"></span><button onClick=${() => setOpen("token")}>Make a token</button></div>
    <${Fault} of=${tokens.fault} /><${Table} label="API tokens" columns=${columns} rows=${tokens.value} empty="No tokens. A program that uses the API sends one as “Authorization: Bearer …”." />
    ${all.value && html`<details class="panel"><summary>Settings</summary><${Properties} of=${Object.entries(all.value.settings).map(([name, value]) => [name, html`<code>${JSON.stringify(value)}</code>`])} /></details>`}
    ${open === "password" && html`<${Dialog} title="Change password" action="Change" onDone=${(sent) => { setOpen(null); if (sent) location.reload(); }} submit=${(form) => api.put("/session/password", Object.fromEntries(form))}>
      <div class="fields"><${Field} label="Old password" name="old" type="password" required autocomplete="current-password" /><${Field} label="New password" name="new" type="password" minlength="12" required autocomplete="new-password" hint="At least 12 characters. You have to log in again." /></div><//>`}
    ${open === "token" && html`<${Dialog} title="Make a token" action="Make" onDone=${done} submit=${async (form) => {
      const made = await api.post("/tokens", { label: form.get("label"), scopes: form.getAll("scopes"), expires_in_days: form.get("days") === "" ? null : Number(form.get("days")) });
      setMade(made);
    }}>
      <div class="fields"><${Field} label="Purpose" name="label" maxlength="500" /><${Field} label="Days" name="days" type="number" min="1" max="3650" value="90" hint="Empty: it never expires." />
      <fieldset><legend>May</legend>${RIGHTS.filter((right) => user.rights.includes(right)).map((right) => html`<label><input type="checkbox" name="scopes" value=${right} defaultChecked=${right === "read"} /> ${right}</label>`)}</fieldset></div><//>`}
    ${made && html`<${Dialog} title="Your new token" action="I have saved it" onDone=${() => setMade(null)} submit=${async () => {}}><p>It is not shown again.</p><p><code style="overflow-wrap:anywhere">${made.secret}</code></p><//>`}`;
}
