/**
 * The gateway's API, as the page asks it.
 *
 * The rules are:
 * - what is shown is asked for again only while somebody looks: not in a hidden tab, and not while the
 *   updates are paused;
 * - if the gateway cannot be reached, what was shown stays, and the page says how old it is;
 * - a session that is over leads to the log-in, whatever was asked.
 */

import { useCallback, useEffect, useState } from "preact/hooks";

const PROBLEM = "urn:secure-iot-gateway:problem:";

/** Longest time for an answer, milliseconds. */
const ANSWER_MAX_MS = 15_000;

let onLoggedOut = () => {};

let isPaused = false;

/** Until it is called with false, nothing on the page changes by itself. */
export function pauseUpdates(paused) {
  isPaused = paused;
}

/** Calls `listener` when the session is over. */
export function whenLoggedOut(listener) {
  onLoggedOut = listener;
}

/** What the API refused, or that it did not answer. */
class ApiFault extends Error {
  constructor(name, detail, retryAfterSeconds) {
    super(detail);
    this.problem = name;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** Asks; throws an `ApiFault`. */
export function read(path, { signal } = {}) {
  return ask(path, { signal });
}

/** Changes something; throws an `ApiFault`. */
export function change(path, body = {}, { method = "POST" } = {}) {
  const headers = { "content-type": "application/json" };
  return ask(path, { method, headers, body: JSON.stringify(body) });
}

async function ask(path, { signal, ...init }) {
  const stop = AbortSignal.any([AbortSignal.timeout(ANSWER_MAX_MS), ...(signal ? [signal] : [])]);
  let response, said;
  try {
    response = await fetch(`/ui/api/${path}`, { ...init, signal: stop });
    said = response.status === 204 ? null : await response.json();
  } catch {
    throw new ApiFault("unreachable", "The gateway does not answer");
  }
  if (response.ok) return said;
  const fault = new ApiFault(
    String(said?.type ?? "").replace(PROBLEM, ""),
    said?.detail ?? said?.title ?? `The gateway answered ${response.status}`,
    Number(response.headers.get("retry-after")) || undefined,
  );
  if (response.status === 401 && path !== "session") onLoggedOut();
  throw fault;
}

/** A query of the parameters that have a value. */
export function query(parameters) {
  const given = Object.entries(parameters).filter(([, value]) =>
    value !== undefined && value !== ""
  );
  return given.length === 0 ? "" : `?${new URLSearchParams(given)}`;
}

/**
 * What the API says at `path`, asked again every `seconds`: `{ value, fault, askedAt, refresh }`. With
 * another path what was said before is shown until the new answer is there, if `keep` is set.
 */
export function useApi(path, { seconds, keep = false } = {}) {
  const [state, setState] = useState({});
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    if (path === undefined) return;
    const stop = new AbortController();
    let isAsking = false;
    const once = async () => {
      if (isAsking) return;
      isAsking = true;
      try {
        const value = await read(path, { signal: stop.signal });
        if (stop.signal.aborted) return;
        setState({ value, path, askedAt: Date.now() / 1000 });
      } catch (fault) {
        if (!stop.signal.aborted) setState((before) => ({ ...before, fault, faultPath: path }));
      } finally {
        isAsking = false;
      }
    };
    const again = () => document.hidden || isPaused || once();
    const timer = seconds && setInterval(again, seconds * 1000);
    if (seconds) document.addEventListener("visibilitychange", again);
    once();
    return () => {
      stop.abort();
      clearInterval(timer);
      document.removeEventListener("visibilitychange", again);
    };
  }, [path, seconds, turn]);
  const refresh = useCallback(() => setTurn((turn) => turn + 1), []);
  const { value, askedAt } = state;
  const isOther = state.path !== path && !keep;
  const fault = state.faultPath === path ? state.fault : undefined;
  return { value: isOther ? undefined : value, fault, askedAt, refresh };
}
