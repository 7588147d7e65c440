// Login and, if the server allows it, registration.

import * as api from "../api.js";
import { Fault, Field, html, useEffect, useState } from "../ui.js";

/** Whether one may register: the page itself says so, for nobody is logged in yet. */
const canRegister = document.documentElement.dataset.registration === "on";

export function Login({ enter }) {
  const [isNew, setNew] = useState(false);
  const [fault, setFault] = useState(null);
  const [isBusy, setBusy] = useState(false);
  useEffect(() => { document.title = "Log in · Wattspan"; }, []);
  const sent = async (event) => {
    event.preventDefault();
    const given = Object.fromEntries(new FormData(event.target));
    setBusy(true);
    setFault(null);
    try {
      if (isNew) await api.post("/registrations", given);
      await api.post("/session", given);
      await enter();
    } catch (problem) {
      setFault(problem);
      setBusy(false);
    }
  };
  return html`<main class="door"><form class="panel" onSubmit=${sent}>
    <h1 class="brand"><img src="/static/icon.svg" alt="" />Wattspan</h1>
    <${Fault} of=${fault} />
    <${Field} label="Name" name="name" autocomplete="username" required autofocus />
    <${Field} label="Password" name="password" type="password" autocomplete=${isNew ? "new-password" : "current-password"} required minlength=${isNew ? 12 : undefined} hint=${isNew ? "At least 12 characters." : undefined} />
    <button class="main" disabled=${isBusy}>${isNew ? "Register" : "Log in"}</button>
    ${canRegister && html`<button type="button" class="plain" onClick=${() => { setNew(!isNew); setFault(null); }}>${isNew ? "Log in instead" : "Register"}</button>`}
  </form></main>`;
}
