/** The page: who is logged in, where they are, and the way to each section. */

import { render } from "preact";
import { useEffect, useErrorBoundary, useRef, useState } from "preact/hooks";
import { change, pauseUpdates, read, useApi, whenLoggedOut } from "./api.js";
import { Commands } from "./commands.js";
import { DeadLetters } from "./dead.js";
import { Device } from "./device.js";
import { Devices } from "./devices.js";
import { Expiries } from "./expiries.js";
import { html } from "./html.js";
import { Live } from "./live.js";
import { LogIn } from "./login.js";
import { Name } from "./outside.js";
import { gradeOf, Overview } from "./overview.js";
import { Rejections } from "./rejections.js";
import { Waiting } from "./waiting.js";

/** Each section: its word in the address, and its name. */
const SECTIONS = {
  overview: "Overview",
  devices: "Devices",
  rejections: "Rejections",
  waiting: "Waiting",
  dead: "Dead letters",
  commands: "Commands",
  expiry: "Expiry",
  live: "Live",
};

function App() {
  const [session, setSession] = useState();
  const [why, setWhy] = useState("");
  useEffect(() => {
    const askForKey = (why) => {
      setWhy(why);
      setSession(null);
    };
    whenLoggedOut(() => askForKey("The session is over: log in again"));
    read("session").then(
      setSession,
      ({ problem, message }) => askForKey(problem === "unauthorized" ? "" : message),
    );
  }, []);
  if (session === undefined) return html`<p class="first" role="status">Loading…</p>`;
  if (session === null) return html`<${LogIn} why=${why} onSession=${setSession} />`;
  const logOut = async () => {
    await change("session", {}, { method: "DELETE" }).catch(() => {});
    setWhy("");
    setSession(null);
  };
  return html`<${Page} session=${session} onLogOut=${logOut} />`;
}

/** Where the address leads: `#devices/sensor_001`. */
function usePlace() {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const onChange = () => setHash(location.hash);
    addEventListener("hashchange", onChange);
    return () => removeEventListener("hashchange", onChange);
  }, []);
  const [section, rest] = hash.slice(1).split("?")[0].split("/", 2);
  return { section: section in SECTIONS ? section : "overview", rest: decoded(rest) };
}

function decoded(text) {
  try {
    return text === undefined || text === "" ? undefined : decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

function Page({ session, onLogOut }) {
  const { section, rest } = usePlace();
  const overview = useApi("overview", { seconds: 5 });
  const main = useRef();
  const place = `${section}/${rest ?? ""}`;
  const first = useRef(place);
  useEffect(() => {
    if (first.current === place) return; // the page has just been opened
    first.current = undefined;
    scrollTo(0, 0);
    main.current.querySelector("h1")?.focus({ preventScroll: true });
  }, [place]);
  const skip = (event) => {
    event.preventDefault();
    main.current.focus();
  };
  return html`
    <a class="skip" href="#content" onClick=${skip}>Skip to the content</a>
    <div class="frame">
      <${Navigation} section=${section} session=${session} overview=${overview} onLogOut=${onLogOut} />
      <main id="content" ref=${main} tabindex="-1">
        <${Section} key=${place} ...${{ section, rest, session, overview }} />
      </main>
    </div>
  `;
}

function Section({ section, rest, session, overview }) {
  const [fault] = useErrorBoundary();
  if (fault) {
    return html`<p class="notice bad" role="alert">This cannot be shown: ${fault.message}</p>`;
  }
  const mayOperate = session.role === "operate";
  switch (section) {
    case "devices":
      return rest === undefined
        ? html`<${Devices} />`
        : html`<${Device} id=${rest} mayOperate=${mayOperate} />`;
    case "rejections":
      return html`<${Rejections} />`;
    case "waiting":
      return html`<${Waiting} device=${rest} mayOperate=${mayOperate} />`;
    case "dead":
      return html`<${DeadLetters} device=${rest} mayOperate=${mayOperate} />`;
    case "commands":
      return html`<${Commands} mayOperate=${mayOperate} />`;
    case "expiry":
      return html`<${Expiries} />`;
    case "live":
      return html`<${Live} />`;
    default:
      return html`<${Overview} overview=${overview} isPartial=${session.devices !== "every"} />`;
  }
}

function Navigation({ section, session, overview, onLogOut }) {
  const [isOpen, setOpen] = useState(false);
  useEffect(() => setOpen(false), [section]);
  return html`
    <header class="side">
      <div class="brand">
        <img src="/ui/assets/icon.svg" alt="" width="24" height="24" />
        <span>SecureIoTGateway</span>
        <${Well} of=${overview} />
        <button type="button" class="menu" aria-expanded=${String(isOpen)} aria-controls="menu"
          onClick=${() => setOpen(!isOpen)}>Menu</button>
      </div>
      <div id="menu" class=${isOpen ? "open" : ""}>
        <nav aria-label="Sections">
          <ul>
            ${Object.entries(SECTIONS).map(([name, title]) =>
              html`
                <li key=${name}><a href=${`#${name}`} aria-current=${section === name
                  ? "page"
                  : undefined}
                  onClick=${() => setOpen(false)}>${title}<${Tally} section=${name} of=${overview
                    .value} /></a></li>
              `
            )}
          </ul>
        </nav>
        <div class="who">
          <p class="muted"><${Name} text=${session.name} /> may ${session.role}</p>
          <${PauseButton} />
          <button type="button" onClick=${onLogOut}>Log out</button>
        </div>
      </div>
    </header>
  `;
}

/** Holds what changes by itself (WCAG 2.2.2); the live tail has one of its own. */
function PauseButton() {
  const [isPaused, setPaused] = useState(false);
  const toggle = () => {
    pauseUpdates(!isPaused);
    setPaused(!isPaused);
  };
  useEffect(() => () => pauseUpdates(false), []);
  return html`
    <button type="button" class=${isPaused ? "on" : ""} onClick=${toggle}>
      ${isPaused ? "Resume updates" : "Pause updates"}
    </button>
  `;
}

/** Is it well? Seen from every section. */
function Well({ of: { value, fault } }) {
  if (fault === undefined && value === undefined) return "";
  const [grade, sentence] = fault === undefined ? gradeOf(value) : ["bad", fault.message];
  return html`
    <p class=${`well ${grade}`}><span class="mark" aria-hidden="true"></span>${sentence}</p>
  `;
}

/** What is in a section, where that is a reason to look. */
function Tally({ section, of }) {
  const counts = { dead: of?.counts.dead_letters, waiting: of?.backend.stuck };
  const count = counts[section];
  if (!count) return "";
  return html`
    <span class="tally">${count}<span class="silent"> ${section === "waiting"
      ? "stuck"
      : ""}</span></span>
  `;
}

render(html`<${App} />`, document.querySelector("#page"));
