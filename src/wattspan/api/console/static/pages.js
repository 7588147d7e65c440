// The pages: path, view, name in the navigation, and the right each requires.

import { Overview } from "./views/overview.js";
import { Fleet } from "./views/fleet.js";
import { Pending } from "./views/pending.js";
import { ChargePoint } from "./views/charge_point.js";
import { Exports } from "./views/exports.js";
import { Job, Jobs } from "./views/jobs.js";
import { Sessions } from "./views/sessions.js";
import { Session } from "./views/session.js";
import { IdTags } from "./views/id_tags.js";
import { Reservations } from "./views/reservations.js";
import { Users } from "./views/users.js";
import { Audit } from "./views/audit.js";
import { Alerts } from "./views/alerts.js";
import { Site, Sites } from "./views/sites.js";
import { System } from "./views/system.js";

/** `isMain` pages are in a phone's bar; `below` are other paths that belong to one. Without a title: not in the navigation. */
export const PAGES = [
  { path: "/", view: Overview, title: "Overview", icon: "overview", right: "read", isMain: true },
  { path: "/fleet", view: Fleet, title: "Fleet", icon: "fleet", right: "read", isMain: true, below: ["/charge-points"] },
  { path: "/sessions", view: Sessions, title: "Sessions", icon: "sessions", right: "read", isMain: true },
  { path: "/alerts", view: Alerts, title: "Alerts", icon: "alerts", right: "read", isMain: true },
  { path: "/sites", view: Sites, title: "Sites", icon: "sites", right: "read", group: "Plan" },
  { path: "/sites/:id", view: Site, right: "read" },
  { path: "/charge-points/:id", view: ChargePoint, right: "read" },
  { path: "/sessions/:id", view: Session, right: "read" },
  { path: "/pending", view: Pending, title: "Pending", icon: "pending", right: "read", group: "Plan" },
  { path: "/newcomers", view: Pending, right: "read" }, // the former path, for bookmarks
  { path: "/id-tags", view: IdTags, title: "Id tags", icon: "tags", right: "read", group: "Plan" },
  { path: "/reservations", view: Reservations, title: "Reservations", icon: "reservations", right: "read", group: "Plan" },
  { path: "/jobs", view: Jobs, title: "Bulk work", icon: "bulk", right: "read", group: "Work" },
  { path: "/jobs/:id", view: Job, right: "read" },
  { path: "/exports", view: Exports, title: "Exports", icon: "exports", right: "read", group: "Work" },
  { path: "/users", view: Users, title: "Users", icon: "users", right: "admin", group: "Administration" },
  { path: "/audit", view: Audit, title: "Audit", icon: "audit", right: "admin", group: "Administration" },
  { path: "/system", view: System, title: "System", icon: "system", right: "read", group: "Administration" },
];

/** Returns {page, given} of a path, or null. */
export function matched(path) {
  for (const page of PAGES) {
    const names = [];
    const form = new RegExp(`^${page.path.replace(/:(\w+)/g, (_, name) => { names.push(name); return "([^/]+)"; })}$`);
    const found = form.exec(path);
    if (found) return { page, given: Object.fromEntries(names.map((name, i) => [name, decodeURIComponent(found[i + 1])])) };
  }
  return null;
}
