// The users of the console and the API.

import * as api from "../api.js";
import { Ago, Chip, Choice, Dialog, Fault, Field, Head, Table, html, toast, useLoaded, useState } from "../ui.js";

const ROLES = ["viewer", "operator", "admin"];
const at = (name) => `/users/${encodeURIComponent(name)}`;

export function Users({ user }) {
  const loaded = useLoaded(() => api.all("/users", { limit: 200 }));
  const [open, setOpen] = useState(null);
  const done = (sent) => { setOpen(null); if (sent) loaded.again(); };
  const edit = async (name) => { try { const found = await api.get(at(name)); setOpen({ one: found, etag: found.etag }); } catch (problem) { toast(problem.message, true); } };
  const columns = [
    ["Name", (one) => one.name], ["Role", (one) => html`<${Chip} of=${one.role} tone=${one.role === "admin" ? "busy" : ""} />`], ["State", (one) => (one.disabled ? html`<${Chip} of="disabled" tone="bad" />` : "")],
    ["Last login", (one) => html`<${Ago} at=${one.last_login_at} />`], ["", (one) => html`<button class="plain" onClick=${() => edit(one.name)}>Edit<span class="hidden-label"> ${one.name}</span></button>`],
  ];
  return html`<${Head} title="Users"><button class="main" onClick=${() => setOpen({ one: null })}>Add user</button><//><${Fault} of=${loaded.fault} />
    <${Table} label="Users" columns=${columns} rows=${loaded.value?.map((one) => ({ ...one, id: one.name }))} />
    ${open && open.one === null && html`<${Dialog} title="Add user" onDone=${done} submit=${(form) => api.post("/users", Object.fromEntries(form))}><div class="fields">
      <${Field} label="Name" name="name" required maxlength="64" autocomplete="off" /><${Field} label="Password" name="password" type="password" minlength="12" required autocomplete="new-password" hint="At least 12 characters." /><${Choice} label="Role" name="role" value="viewer" of=${ROLES} /></div><//>`}
    ${open?.one && html`<${Dialog} title=${`Edit ${open.one.name}`} onDone=${done} submit=${(form) => api.patch(at(open.one.name), {
      role: form.get("role"), disabled: form.get("disabled") === "yes", ...(form.get("password") ? { password: form.get("password") } : {}),
    }, open.etag)}><div class="fields">
      <${Choice} label="Role" name="role" value=${open.one.role} of=${ROLES} /><${Choice} label="May log in" name="disabled" value=${open.one.disabled ? "yes" : "no"} of=${[["no", "yes"], ["yes", "no"]]} />
      <${Field} label="New password" name="password" type="password" minlength="12" autocomplete="new-password" hint="Empty: unchanged." /></div>
      ${open.one.name !== user.name && html`<div class="actions below"><button type="button" class="danger" onClick=${() => setOpen({ removed: open.one, etag: open.etag })}>Remove the user</button></div>`}<//>`}
    ${open?.removed && html`<${Dialog} title=${`Remove ${open.removed.name}`} action="Remove" danger=${true} onDone=${done} submit=${() => api.remove(at(open.removed.name), open.etag)}><p>Nobody can log in under this name any more, and its API tokens stop working. The audit log keeps what was done.</p><//>`}`;
}
