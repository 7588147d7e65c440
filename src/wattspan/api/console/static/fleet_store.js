// The fleet in the browser: read once, then kept up to date by events. Pages subscribe; they never read it again.

import * as api from "./api.js";
import { attentionOf } from "./attention.js";
import { useEffect, useState } from "./vendor/preact.js";
import { counts, outlets, stateOf, worst } from "./status.js";

/** How long changes are collected before pages hear of them. */
const FLUSH_MS = 250;
const FIGURES = ["current_a", "power_w", "soc_percent", "energy_wh", "status", "error_code", "status_at", "transaction"];
const PLACE = ["name", "location", "site_id", "labels"];
const RELOAD_MS = 5000;
/** Charge points taken over between two pauses for the browser. */
const SLICE = 200;
const paused = () => new Promise((resolve) => setTimeout(resolve));

const collator = new Intl.Collator(undefined, { numeric: true });
const byPlace = (a, b) => collator.compare(a.connector_id, b.connector_id);

/** Returns a charge point with its derived fields; `power_w` and `transactions` are sums over its connectors. */
function derived(cp) {
  cp.id = cp.cp_id;
  cp.outlets = outlets(cp);
  cp.worst = worst(cp);
  cp.statuses = counts(cp);
  cp.power_w = 0;
  cp.transactions = 0;
  for (const each of cp.connectors) {
    cp.power_w += each.power_w ?? 0;
    if (each.transaction !== null && each.transaction !== undefined) cp.transactions += 1;
  }
  cp.seen_ms = cp.last_message_at ? Date.parse(cp.last_message_at) : 0;
  return cp;
}

/** Sums over the fleet, kept up to date one charge point at a time. */
class Totals {
  known = 0; connected = 0; sessions = 0; power_w = 0; connectors = 0; states = {};

  /** Adds (1) or takes away (-1) what a charge point contributes. */
  count(cp, sign) {
    this.known += sign;
    if (cp.connected) this.connected += sign;
    this.sessions += sign * cp.transactions;
    this.power_w += sign * cp.power_w;
    for (const each of cp.outlets) {
      const state = stateOf(cp, each);
      this.states[state] = (this.states[state] ?? 0) + sign;
      this.connectors += sign;
    }
  }
}

const blank = (cp_id) => ({ cp_id, name: "", location: "", site_id: null, labels: {}, connected: false, status: null, protocol: "", vendor: "", model: "", firmware: "", last_message_at: null, connectors: [] });

/** What each event does to its charge point. Others only show that it is alive. */
const EFFECTS = {
  ChargePointConnected: (cp, event) => { cp.connected = true; cp.protocol = event.protocol; },
  ChargePointDisconnected: (cp, event) => { if (!event.replaced) cp.connected = false; },
  ChargePointBooted: (cp, event) => { cp.vendor = event.vendor; cp.model = event.model; cp.firmware = event.firmware; cp.boots = (cp.boots ?? 0) + 1; },
  PlaceChanged: (cp, event) => { for (const name of PLACE) cp[name] = event[name]; },
  Figures: (cp, event) => {
    let at = cp.connectors.findIndex((each) => each.connector_id === event.connector_id);
    if (at < 0) {
      cp.connectors.push({ connector_id: event.connector_id });
      cp.connectors.sort(byPlace);
      at = cp.connectors.findIndex((each) => each.connector_id === event.connector_id);
    }
    for (const name of FIGURES) cp.connectors[at][name] = event[name];
  },
};

export class FleetStore {
  /** Charge points by identity. Objects are changed in place; `version` counts the changes. */
  chargePoints = new Map();
  version = 0;
  /** Counts the changes of the set of charge points, and of their names and places. */
  structure = 0;
  totals = new Totals();
  /** What needs attention of each charge point, by identity; without those that are stale, which time alone makes so. */
  urgent = new Map();
  isLoaded = false;
  fault = null;
  #listeners = new Set();
  /** Events since the fleet that is being read was asked for; null while none is. */
  #early = null;
  #changed = new Set();
  #isWhole = false;
  #timer = null;
  #turn = 0;

  /** Calls `listener(ids)` after changes: a set of identities, or null if any may have changed. Returns the way to stop. */
  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Reads the whole fleet. Events that arrive meanwhile are applied afterwards, for they may be newer. */
  async load() {
    const mine = ++this.#turn;
    this.#early ??= [];
    try {
      const fresh = [];
      for await (const cp of api.lines("/fleet")) {
        cp.connectors.sort(byPlace);
        fresh.push(derived(cp));
        if (fresh.length % SLICE === 0) await paused();
      }
      if (mine !== this.#turn) return;
      this.chargePoints = new Map(fresh.sort((a, b) => (a.cp_id < b.cp_id ? -1 : 1)).map((cp) => [cp.cp_id, cp]));
      this.totals = new Totals();
      this.urgent.clear();
      let number = 0;
      for (const cp of this.chargePoints.values()) {
        this.#include(cp);
        number += 1;
        if (number % SLICE === 0) await paused();
      }
      if (mine !== this.#turn) return;
      this.isLoaded = true;
      this.fault = null;
      const early = this.#early;
      this.#early = null;
      early.forEach((event) => this.apply(event));
    } catch (problem) {
      if (mine !== this.#turn) return;
      this.fault = problem;
      setTimeout(() => { if (mine === this.#turn) this.load(); }, RELOAD_MS);
    }
    this.#isWhole = true;
    this.#flush();
  }

  /** Takes over an event of the stream. */
  apply(event) {
    if (event.kind === "Reset") { this.load(); return; }
    this.#early?.push(event);
    if (!this.isLoaded) return;
    if (event.kind === "Seen") {
      const at_ms = Date.parse(event.at);
      for (const id of event.cp_ids) this.#see(this.chargePoints.get(id), event.at, at_ms);
    } else if (event.kind === "ChargePointDecommissioned") {
      const cp = this.chargePoints.get(event.cp_id);
      if (cp) this.#exclude(cp);
      this.chargePoints.delete(event.cp_id);
      this.#isWhole = true;
    } else if (event.cp_id) {
      let cp = this.chargePoints.get(event.cp_id);
      if (!cp) {
        cp = derived(blank(event.cp_id));
        this.chargePoints.set(event.cp_id, cp);
        this.#include(cp);
        this.#isWhole = true;
      }
      if (EFFECTS[event.kind]) {
        this.#exclude(cp);
        EFFECTS[event.kind](cp, event);
        this.#include(derived(cp));
      }
      if (event.kind === "PlaceChanged") this.#isWhole = true; // lists are sorted and searched by it
      this.#see(cp, event.received_at);
      this.#changed.add(cp.cp_id);
    }
    this.#timer ??= setTimeout(() => this.#flush(), FLUSH_MS);
  }

  /** Takes over fields that this browser's user has just changed. */
  patch(cp_id, fields) {
    const cp = this.chargePoints.get(cp_id);
    if (cp) { Object.assign(cp, fields); this.#isWhole = true; this.#flush(); }
  }

  #see(cp, at, at_ms = Date.parse(at)) {
    if (!cp || !at) return;
    cp.last_message_at = at;
    cp.seen_ms = at_ms;
    this.#changed.add(cp.cp_id);
  }

  #include(cp) {
    this.totals.count(cp, 1);
    const found = attentionOf(cp);
    if (found.length) this.urgent.set(cp.cp_id, found);
  }

  #exclude(cp) {
    this.totals.count(cp, -1);
    this.urgent.delete(cp.cp_id);
  }

  #flush() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.version += 1;
    if (this.#isWhole) this.structure += 1;
    const changed = this.#isWhole ? null : this.#changed;
    this.#changed = new Set();
    this.#isWhole = false;
    for (const listener of this.#listeners) listener(changed);
  }
}

export const fleet = new FleetStore();

/** Renders the caller again when the fleet changes, at most every `ms`. Returns the store. */
export function useFleet(ms = 1000) {
  const [, again] = useState(0);
  useEffect(() => {
    let timer = null;
    const changed = (ids) => {
      if (ids === null) { clearTimeout(timer); timer = null; again((turn) => turn + 1); return; }
      timer ??= setTimeout(() => { timer = null; again((turn) => turn + 1); }, ms);
    };
    const stop = fleet.subscribe(changed);
    return () => { stop(); clearTimeout(timer); };
  }, [ms]);
  return fleet;
}
