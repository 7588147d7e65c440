// The menu of saved views beside the filters of a list: open one, save what is shown, rename or delete one's own.

import { address } from "../router.js";
import { filtersOf, isShown, linkOf, removeView, renameView, saveView, useViews } from "../saved_views.js";
import { Dialog, Field, html, toast, useState } from "../ui.js";

/** `page`: the path of the list without "/". Whoever may write may share a view. */
export function SavedViews({ page, may }) {
  const views = useViews().filter((view) => view.page === page);
  const [open, setOpen] = useState(null);
  const { path, query } = address();
  const close = () => setOpen(null);
  const name = (form) => form.get("name").trim();
  return html`<details class="drop"><summary>Views</summary><div class="views">
      ${views.length ? views.map((view) => html`<div key=${view.view_id} class="view"><a href=${linkOf(view)} aria-current=${isShown(view, path, query) ? "true" : undefined}>${view.name}</a>${view.is_shared && html` <span class="soft small">shared</span>`}
        ${view.is_mine && html`<span class="spring"></span><button type="button" class="plain" aria-label=${`Rename ${view.name}`} onClick=${() => setOpen({ rename: view })}>Rename</button><button type="button" class="plain" aria-label=${`Delete ${view.name}`} onClick=${() => setOpen({ remove: view })}>Delete</button>`}</div>`)
        : html`<span class="soft small">A view keeps the search, filters and order under a name.</span>`}
      <button type="button" onClick=${() => setOpen({ save: true })}>Save this view</button></div></details>
    ${open?.save && html`<${Dialog} title="Save this view" onDone=${close} submit=${async (form) => {
      await saveView(page, name(form), filtersOf(address().query), form.get("shared") === "yes");
      toast(`${name(form)} is saved.`);
    }}><${Field} label="Name" name="name" required maxlength="100" pattern=".*\\S.*" />
      ${may("write") && html`<label class="check"><input type="checkbox" name="shared" value="yes" /> Show it to all users</label>`}<//>`}
    ${open?.rename && html`<${Dialog} title=${`Rename ${open.rename.name}`} action="Rename" onDone=${close} submit=${(form) => renameView(open.rename, name(form))}><${Field} label="Name" name="name" required maxlength="100" pattern=".*\\S.*" value=${open.rename.name} /><//>`}
    ${open?.remove && html`<${Dialog} title=${`Delete ${open.remove.name}`} action="Delete" danger=${true} onDone=${close} submit=${() => removeView(open.remove)}><p>Only the view is deleted${open.remove.is_shared ? ", for all users" : ""}.</p><//>`}`;
}
