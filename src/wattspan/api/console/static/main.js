// The console: who is logged in, which page is shown, and the event stream that keeps pages up to date.

import * as api from "./api.js";
import { Fault, Toasts, html, render, toast, useEffect, useRef, useState } from "./ui.js";
import { Login } from "./views/login.js";
import { Fleet } from "./views/fleet.js";
import { Pending } from "./views/pending.js";
import { ChargePoint } from "./views/charge_point.js";
import { Sessions } from "./views/sessions.js";
import { Session } from "./views/session.js";
import { IdTags } from "./views/id_tags.js";
import { Reservations } from "./views/reservations.js";
import { Users } from "./views/users.js";
import { Audit } from "./views/audit.js";
import { Alerts } from "./views/alerts.js";
import { System } from "./views/system.js";

/** path pattern, page, title in the navigation (null: none), the right it requires */
const PAGES = [
  ["/", Fleet, "Fleet", "read"],
  ["/charge-points/:id", ChargePoint, null, "read"],
  ["/pending", Pending, "Pending", "read"],
  ["/newcomers", Pending, null, "read"], // the former path, for bookmarks
  ["/sessions", Sessions, "Sessions", "read"],
  ["/sessions/:id", Session, null, "read"],
  ["/id-tags", IdTags, "Id tags", "read"],
  ["/reservations", Reservations, "Reservations", "read"],
  ["/alerts", Alerts, "Alerts", "read"],
  ["/users", Users, "Users", "admin"],
  ["/audit", Audit, "Audit", "admin"],
  ["/system", System, "System", "read"],
];

function matched(path) {
  for (const [pattern, page, , right] of PAGES) {
    const names = [];
    const form = new RegExp(`^${pattern.replace(/:(\w+)/g, (_, name) => { names.push(name); return "([^/]+)"; })}$`);
    const found = form.exec(path);
    if (found) return { page, right, given: Object.fromEntries(names.map((name, i) => [name, decodeURIComponent(found[i + 1])])) };
  }
  return null;
}

/** The path after the "#", so that the server need not know the pages. */
const currentPath = () => location.hash.slice(1) || "/";

function Shell({ user, settings, leave }) {
  const [path, setPath] = useState(currentPath());
  const [isLive, setLive] = useState(false);
  const listeners = useRef(new Set());
  useEffect(() => {
    const moved = () => { setPath(currentPath()); scrollTo(0, 0); document.querySelector("h1")?.focus({ preventScroll: true }); };
    addEventListener("hashchange", moved);
    const end = api.stream("/events", api.KINDS, (event) => listeners.current.forEach((listener) => listener(event)), setLive);
    return () => { removeEventListener("hashchange", moved); end(); };
  }, []);
  const may = (right) => user.rights.includes(right);
  const [where, search] = path.split("?");
  const found = matched(where);
  const onEvent = (listener) => { listeners.current.add(listener); return () => listeners.current.delete(listener); };
  const isHere = (to) => (to === "/" ? where === "/" || where.startsWith("/charge-points") : where.startsWith(to));
  return html`<div class="shell">
    <a class="skip" href="#main" onClick=${(e) => { e.preventDefault(); document.querySelector("h1")?.focus(); }}>Skip to content</a>
    <div class="side">
      <a class="brand" href="#/"><img src="/static/icon.svg" alt="" />Wattspan</a>
      <nav aria-label="Pages">
        ${PAGES.filter(([, , title, right]) => title && may(right)).map(([to, , title]) => html`<a key=${to} href=${`#${to}`} aria-current=${isHere(to) ? "page" : undefined}>${title}</a>`)}
      </nav>
      <div class="who"><span class=${`live ${isLive ? "on" : ""}`} role="status">${isLive ? "live" : "reconnecting"}</span><span>${user.name} <span class="soft">(${user.role})</span></span>
        <button onClick=${leave}>Log out</button></div>
    </div>
    <main id="main">
      ${found && may(found.right) ? html`<${found.page} key=${where} ...${found.given} given=${new URLSearchParams(search)} user=${user} may=${may} settings=${settings} onEvent=${onEvent} />`
        : html`<h1 tabindex="-1">Not found</h1><p>There is no such page, or you may not see it. <a href="#/">Go to the fleet</a></p>`}
      <p class="phone soft">${user.name} (${user.role}) <button class="plain" onClick=${leave}>Log out</button></p>
    </main>
  </div>`;
}

/** Set while somebody is logged in, for scripts can't read the login's cookie. */
const LOGGED_IN = "wattspan";

function App() {
  const [state, setState] = useState({ is: "loading" });
  const enter = async () => {
    if (!localStorage.getItem(LOGGED_IN)) return setState({ is: "out" });
    try {
      const login = await api.get("/session");
      api.remember(login.csrf_token);
      const settings = await api.get("/console");
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
    localStorage.removeItem(LOGGED_IN);
    setState({ is: "out" });
  };
  const page = { loading: () => null, out: () => html`<${Login} enter=${loggedIn} />`, in: () => html`<${Shell} user=${state.user} settings=${state.settings} leave=${leave} />`,
    broken: () => html`<main><${Fault} of=${state.problem} /><button onClick=${enter}>Try again</button></main>` }[state.is]();
  return html`${page}<${Toasts} />`;
}

render(html`<${App} />`, document.getElementById("app"));
