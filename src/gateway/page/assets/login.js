/** The log-in, with an API key. */

import { useEffect, useRef, useState } from "preact/hooks";
import { change } from "./api.js";
import { html } from "./html.js";

/** Asks for a key, and says `why` again; `onSession` gets who is logged in. */
export function LogIn({ onSession, why }) {
  const [fault, setFault] = useState(why);
  const [isBusy, setBusy] = useState(false);
  const field = useRef();
  useEffect(() => {
    document.title = "Log in · SecureIoTGateway";
    field.current.focus();
  }, []);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    setFault("");
    try {
      onSession(await change("session", { key: field.current.value.trim() }));
    } catch (problem) {
      setFault(sentenceOf(problem));
      setBusy(false);
      field.current.select();
    }
  };
  return html`
    <main class="login">
      <form onSubmit=${submit} method="post" action="/ui">
        <h1><img src="/ui/assets/icon.svg" alt="" width="32" height="32" />SecureIoTGateway</h1>
        <label for="key">API key</label>
        <input id="key" name="key" type="password" required autocomplete="current-password"
          maxlength="512" ref=${field} aria-describedby="fault" />
        <p id="fault" class=${fault ? "notice bad" : "silent"} role="alert">${fault}</p>
        <button type="submit" class="primary" disabled=${isBusy}>Log in</button>
        <p class="muted">A key that may look is made on the gateway's machine:</p>
        <p><code>secure-iot-gateway key add NAME --view</code></p>
      </form>
    </main>
  `;
}

function sentenceOf({ problem, message, retryAfterSeconds }) {
  if (problem === "unauthorized") return "This key is not known";
  if (problem === "not-permitted") return "This key may not look: it needs --view or --operate";
  if (problem === "too-many-wrong-keys") {
    return `Too many wrong keys: try again in ${retryAfterSeconds ?? 60} s`;
  }
  return message;
}
