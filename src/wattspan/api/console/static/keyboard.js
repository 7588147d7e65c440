// The keys of every page: "/" to search, j and k through rows, g and a letter to go to a page, "?" for help.

import { go } from "./router.js";

export const KEYS = [
  ["/", "Search on this page"], ["j  k", "Next and previous row"], ["Enter", "Open the row"],
  ["g o", "Overview"], ["g f", "Fleet"], ["g s", "Sessions"], ["g a", "Alerts"], ["Esc", "Leave a field, close a dialog"], ["?", "This help"],
];
const PLACES = { o: "/", f: "/fleet", s: "/sessions", a: "/alerts" };
const CHORD_MS = 1200;

const isTyping = (target) => target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName);

/** Tables put their mover on top; j and k reach the newest one on the page. */
const movers = [];
export function rowKeys(move) {
  movers.push(move);
  return () => movers.splice(movers.indexOf(move), 1);
}

/** Listens for the keys; `help()` shows them. Returns the way to stop. */
export function listenToKeys(help) {
  let chord = 0;
  const pressed = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (isTyping(event.target)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (document.querySelector("dialog[open]")) return;
    if (performance.now() < chord && PLACES[event.key]) {
      chord = 0;
      go(PLACES[event.key]);
    } else if (event.key === "g") {
      chord = performance.now() + CHORD_MS;
      return;
    } else if (event.key === "/") {
      const field = document.querySelector("main [data-search]") ?? document.querySelector("main input[type=search]");
      if (!field) return;
      field.focus();
      field.select();
    } else if (event.key === "j" || event.key === "k") {
      movers.at(-1)?.(event.key === "j" ? 1 : -1);
    } else if (event.key === "?") {
      help();
    } else {
      return;
    }
    event.preventDefault();
  };
  addEventListener("keydown", pressed);
  return () => removeEventListener("keydown", pressed);
}
