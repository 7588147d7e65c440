// The console: who is logged in, which page is shown, and the event stream that keeps pages up to date.

import * as api from "./api.js";
import { attention } from "./attention.js";
import { fleet, useFleet } from "./fleet_store.js";
import { Icon } from "./icons.js";
import { KEYS, listenToKeys } from "./keyboard.js";
import { PAGES, matched } from "./pages.js";
import { keepScroll, useAddress } from "./router.js";
import { forgetViews, isShown, linkOf, useViews } from "./saved_views.js";
import { Fault, Toasts, html, render, toast, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./ui.js";
import { readSites } from "./sites.js";
import { Login } from "./views/login.js";

const LOGGED_IN = "wattspan"; // set in the browser while somebody is logged in, for scripts can't read the login's cookie
const GROUPS = ["", "Plan", "Work", "Administration"];

/** The saved views that the navigation shows; the menu of each list has all. */
const MAX_VIEWS = 8;

function Links({ path, query, may, counts, onChosen, isAll = false }) {
  const views = useViews().slice(0, MAX_VIEWS);
  const isHere = (page) => path === page.path || (page.path !== "/" && path.startsWith(page.path)) || (page.below ?? []).some((each) => path.startsWith(each));
  const saved = views.length > 0 && html`${!isAll && html`<span class="group" key="views">Saved views</span>`}${views.map((view) => html`<a key=${view.view_id} class="rare" href=${linkOf(view)} aria-current=${isShown(view, path, query) ? "page" : undefined} onClick=${onChosen}><${Icon} of="view" /><span class="cut" title=${view.name}>${view.name}</span></a>`)}`;
  return GROUPS.map((group) => {
    const pages = PAGES.filter((page) => page.title && (page.group ?? "") === group && may(page.right));
    if (!pages.length) return null;
    return html`${group && !isAll && html`<span class="group" key=${group}>${group}</span>`}${pages.map((page) => html`<a key=${page.path} class=${page.isMain ? "" : "rare"} href=${`#${page.path}`} aria-current=${isHere(page) ? "page" : undefined} onClick=${onChosen}>
      <${Icon} of=${page.icon} />${page.title}${counts[page.path] > 0 && html` <span class=${`badge ${page.path === "/alerts" ? "bad" : ""}`}>${counts[page.path]}</span>`}</a>`)}${group === "" && saved}`;
  });
}

/** How many things wait on a page, shown beside its name. */
function useCounts(settings) {
  const [pending, setPending] = useState(0);
  const store = useFleet(5000);
  useEffect(() => {
    const read = () => api.get("/charge-points/pending").then((found) => setPending(found.length), () => {});
    read();
    const timer = setInterval(read, 30_000);
    return () => clearInterval(timer);
  }, []);
  const urgent = useMemo(() => attention(store, settings.stale_after_s).length, [store.version, store.isLoaded]);
  return { "/pending": pending, "/alerts": urgent };
}

function Shell({ user, settings, leave }) {
  const { path, query } = useAddress();
  const [isLive, setLive] = useState(false);
  const [isOpen, setOpen] = useState(false);
  const [isHelp, setHelp] = useState(false);
  const listeners = useRef(new Set());
  const may = (right) => user.rights.includes(right);
  const counts = useCounts(settings);
  useEffect(() => {
    const heard = (event) => { fleet.apply(event); if (event.kind === "SitesChanged") readSites(); if (event.kind !== "Seen" && event.kind !== "Figures") listeners.current.forEach((listener) => listener(event)); };
    const first = fleet.load();
    let hasBegun = false;
    const began = (is) => {
      setLive(is);
      if (!is || hasBegun) return;
      hasBegun = true;
      first.then(() => fleet.load()); // again, for what happened before the events began
      listeners.current.forEach((listener) => listener({ kind: "Reset" }));
    };
    const ends = [api.stream("/events", api.KINDS, heard, began), keepScroll()];
    return () => ends.forEach((end) => end());
  }, []);
  useLayoutEffect(() => listenToKeys(() => setHelp(true)), []); // as soon as the page is seen
  // In the render itself: any later, and it would take the focus back from a user who was quick.
  useLayoutEffect(() => { setOpen(false); document.querySelector("h1")?.focus({ preventScroll: true }); }, [path]);
  const found = matched(path);
  const onEvent = (listener) => { listeners.current.add(listener); return () => listeners.current.delete(listener); };
  const who = html`<span>${user.name} <span class="soft">(${user.role})</span></span>`;
  return html`<div class="shell">
    <header class="side">
      <a class="skip" href="#main" onClick=${(e) => { e.preventDefault(); document.querySelector("h1")?.focus(); }}>Skip to content</a>
      <a class="brand" href="#/"><img src="/static/icon.svg" alt="" />Wattspan</a>
      <nav aria-label="Pages"><${Links} ...${{ path, query, may, counts }} />
        <button type="button" class="menu" aria-expanded=${isOpen} onClick=${() => setOpen(!isOpen)}><${Icon} of="more" />More</button></nav>
      <div class="who"><span class=${`live ${isLive ? "on" : ""}`} role="status">${isLive ? "live" : "reconnecting"}</span>
        <div class="actions">${who}<button onClick=${leave}>Log out</button></div></div>
    </header>
    <main id="main">
      ${found && may(found.page.right) ? html`<${found.page.view} key=${path} ...${found.given} given=${query} user=${user} may=${may} settings=${settings} onEvent=${onEvent} />`
        : html`<h1 tabindex="-1">Not found</h1><p>There is no such page, or you may not see it. <a href="#/">Go to the overview</a></p>`}
    </main>
    ${isOpen && html`<div class="sheet" role="region" aria-label="All pages"><nav aria-label="All pages"><${Links} ...${{ path, query, may, counts }} isAll=${true} onChosen=${() => setOpen(false)} /></nav>
      <div class="who"><span class=${`live ${isLive ? "on" : ""}`}>${isLive ? "live" : "reconnecting"}</span><span class="spring"></span>${who}<button onClick=${leave}>Log out</button></div></div>`}
    ${isHelp && html`<${Help} onDone=${() => setHelp(false)} />`}
  </div>`;
}

function Help({ onDone }) {
  const box = useRef();
  useEffect(() => { box.current.showModal(); }, []);
  return html`<dialog ref=${box} aria-label="Keyboard" onClose=${onDone}><h2>Keyboard</h2>
    <dl class="facts">${KEYS.map(([keys, text]) => html`<dt>${keys.split(/\s+/).map((key) => html`<kbd>${key}</kbd> `)}</dt><dd>${text}</dd>`)}</dl>
    <div class="actions"><button onClick=${() => box.current.close()}>Close</button></div></dialog>`;
}

function App() {
  const [state, setState] = useState({ is: "loading" });
  const enter = async () => {
    if (!localStorage.getItem(LOGGED_IN)) return setState({ is: "out" });
    try {
      const [login, settings] = await Promise.all([api.get("/session"), api.get("/console")]);
      api.remember(login.csrf_token);
      return setState({ is: "in", user: login, settings });
    } catch (problem) {
      return setState(problem.status === 401 ? { is: "out" } : { is: "broken", problem });
    }
  };
  const loggedIn = () => { localStorage.setItem(LOGGED_IN, "yes"); return enter(); };
  useEffect(() => { api.onLogout(() => setState({ is: "out" })); enter(); }, []);
  const leave = async () => {
    try { await api.remove("/session"); } catch (problem) { toast(problem.message, true); }
    api.remember(null);
    forgetViews();
    localStorage.removeItem(LOGGED_IN);
    setState({ is: "out" });
  };
  const page = { loading: () => html`<main class="door"><p class="soft">Loading …</p></main>`, out: () => html`<${Login} enter=${loggedIn} />`, in: () => html`<${Shell} user=${state.user} settings=${state.settings} leave=${leave} />`,
    broken: () => html`<main><h1 tabindex="-1">Wattspan</h1><${Fault} of=${state.problem} /><button onClick=${enter}>Try again</button></main>` }[state.is]();
  return html`${page}<${Toasts} />`;
}

render(html`<${App} />`, document.getElementById("app"));
