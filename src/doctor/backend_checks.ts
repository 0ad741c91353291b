/** Whether the backend can be reached, what it answers, and what its clock and others say. */

import { faultText } from "../core/fault_text.ts";
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { isEveryAddress } from "../config/listen_address.ts";
import { readBackendCredentials, readCertificateFile } from "../config/credentials.ts";
import { batchBody, batchKey } from "../core/delivery_batch.ts";
import { shownLocation } from "../core/delivery.ts";
import { Endpoint, shownUrl } from "../core/endpoint.ts";
import { PARENT_ID_BYTES, traceparentOf } from "../core/traceparent.ts";
import { WebhookSigner } from "../core/webhook_signature.ts";
import { isWrongBackend } from "../core/retry_statuses.ts";
import { secondsOf } from "../core/time.ts";
import { type Check, type CheckOutcome, fail, pass, passUnless, type Site, warn } from "./check.ts";
import { temporaryId } from "./temporary_device.ts";
import { programOutput } from "./program_output.ts";

/** A site, and what its backend's clock said when it was asked. */
export interface BackendSite extends Site {
  /** How far the backend's clock is ahead, and how far off that may be; set by the answer. */
  heard?: { readonly aheadMs: number; readonly offMs: number };
}

/** Whether the names in gateway.toml are known. */
export const NAMES_CHECK: Check<Site> = { name: "host names", look: hostNames };

/** Whether a message could be delivered. */
export const BACKEND_CHECK: Check<Site> = { name: "backend", look: backend };

/** What the backend says to a reading. */
export const ANSWER_CHECK: Check<BackendSite> = { name: "backend's answer", look: answer };

/** Whether what else tells the time agrees with this clock. */
export const OTHER_CLOCKS_CHECK: Check<BackendSite> = { name: "other clocks", look: otherClocks };

/** What the messages of a trial have as their payload. */
export const TRIAL_PAYLOAD = '{"doctor":"a trial, to be ignored"}';

async function hostNames({ config }: Site): Promise<CheckOutcome> {
  const { backend, devices, api, broker } = config;
  const names = {
    // Behind a proxy, the proxy resolves the backend's name.
    ...backend.proxy === undefined
      ? { "backend.url": hostOf(backend.url) }
      : { "backend.proxy": hostOf(backend.proxy) },
    "devices.host": devices.host,
    "broker.host": broker.host,
    "api.host": api.host,
  };
  const faults: string[] = [];
  for (const [setting, name] of Object.entries(names)) {
    if (isIP(name) || isEveryAddress(name)) continue;
    await lookup(name).catch((error) =>
      faults.push(`${setting} "${name}" does not resolve: ${faultText(error)}`)
    );
  }
  return passUnless(faults, {
    observed: `${[...new Set(Object.values(names))].join(", ")} can be used from here`,
    remedy: "Correct the name in gateway.toml, or add it to DNS or /etc/hosts",
  });
}

/** As the gateway goes there, without asking for anything. */
async function backend({ config }: Site): Promise<CheckOutcome> {
  const { url, ca, proxy } = config.backend;
  if (proxy !== undefined) return await proxyAnswers(proxy);
  const { protocol, port } = new URL(url);
  const secure = protocol === "https:";
  const address = {
    hostname: hostOf(url),
    port: Number(port) || (secure ? 443 : 80),
  };
  try {
    (await Deno.connect(address)).close();
  } catch (error) {
    return fail(
      `${shownUrl(url)}: ${faultText(error)}`,
      "Start the backend, or correct backend.url in gateway.toml",
    );
  }
  if (!secure) return pass(`${shownUrl(url)} can be reached`);
  const caCerts = ca === undefined ? [] : [...readCertificateFile(ca)];
  try {
    const connection = await Deno.connectTls({ ...address, caCerts });
    await connection.handshake().finally(() => connection.close());
    return pass(`${shownUrl(url)} can be reached, and its certificate is trusted`);
  } catch (error) {
    return fail(
      `${shownUrl(url)}: ${faultText(error)}`,
      "In gateway.toml, set backend.ca to the authority of the backend's certificate",
    );
  }
}

async function proxyAnswers(proxy: string): Promise<CheckOutcome> {
  const { host, port } = new URL(proxy);
  try {
    (await Deno.connect({ hostname: hostOf(proxy), port: Number(port) || 80 })).close();
    return pass(`the proxy ${host} can be reached`);
  } catch (error) {
    return fail(
      `the proxy ${host}: ${faultText(error)}`,
      "Start the proxy, or correct backend.proxy in gateway.toml",
    );
  }
}

function hostOf(url: string): string {
  return new URL(url).hostname.replace(/^\[(.*)\]$/, "$1");
}

/** As the gateway does it, for a device that does not exist. */
async function answer(site: BackendSite): Promise<CheckOutcome> {
  const { url, proxy, timeoutMs, retryStatuses } = site.config.backend;
  const { ca, fields, pair, signingKeys } = readBackendCredentials(site.config.backend);
  using client = Deno.createHttpClient({
    ...(ca !== undefined && { caCerts: [ca] }),
    ...(pair && { cert: pair.certificate, key: pair.key }),
    ...(proxy !== undefined && { proxy: { url: proxy } }),
  });
  const beganMs = Date.now();
  const trial = await trialOf(site, { beganSeconds: secondsOf(beganMs), signingKeys });
  const response = await fetch(trial.url, {
    method: "POST",
    headers: {
      ...Object.fromEntries(fields),
      "content-type": "application/json",
      ...trial.fields,
    },
    body: trial.body,
    redirect: "manual",
    client,
    signal: AbortSignal.timeout(timeoutMs),
  });
  await response.body?.cancel();
  const { status, headers } = response;
  noteClock(site, { date: headers.get("date"), beganMs, endMs: Date.now() });
  if (response.ok) return pass(`${shownUrl(url)} answers ${status} to a POST of doctor`);
  const location = headers.get("location");
  const to = location === null ? "" : ` with Location "${shownLocation(location)}"`;
  const observed = `${shownUrl(url)} answers ${status}${to} to a POST of doctor`;
  if (!retryStatuses.has(status)) {
    return warn(
      `${observed}: a reading with this answer becomes a dead letter`,
      "See the backend's log, and backend.path in gateway.toml, if it should take this reading",
    );
  }
  return fail(
    `${observed}: readings wait while it does`,
    isWrongBackend(status)
      ? "Check backend.url in gateway.toml, its path and scheme, and what the backend wants to be shown"
      : "See the backend's log; backend.retry_statuses in gateway.toml has what is sent again",
  );
}

/** A request as the gateway makes it: one reading, or a batch of one. */
async function trialOf(
  { config: { backend, checks } }: BackendSite,
  { beganSeconds, signingKeys }: {
    readonly beganSeconds: number;
    readonly signingKeys: readonly Uint8Array[];
  },
) {
  const { url, path, batch, hasTraceparent } = backend;
  const timestamp = String(beganSeconds);
  const names = { deviceId: temporaryId(), messageId: crypto.randomUUID(), timestamp };
  const payload = new TextEncoder().encode(TRIAL_PAYLOAD);
  const signer = signingKeys.length > 0 ? new WebhookSigner(signingKeys) : undefined;
  if (batch === undefined) {
    const signed = await signer?.headers({ ...names, payload }, beganSeconds);
    const fields = {
      ...{ "idempotency-key": names.messageId, "x-device-timestamp": timestamp },
      ...(hasTraceparent && { traceparent: newTraceparent(names) }),
    };
    return {
      url: new Endpoint(url, path).of(names),
      fields: { ...fields, ...signed },
      body: payload,
    };
  }
  const entries = [{ ...names, payload, sequence: 0, acceptedMs: 0 }];
  const traceparent = hasTraceparent ? newTraceparent : undefined;
  const body = batchBody(entries, { ...checks, nowSeconds: beganSeconds, traceparent });
  const id = await batchKey(entries);
  const signed = await signer?.headersOf({ id, body }, beganSeconds);
  const fields = { "idempotency-key": id, ...signed };
  return { url: new Endpoint(url, batch.path).of(names), fields, body };
}

function newTraceparent({ messageId }: { readonly messageId: string }): string {
  return traceparentOf(messageId, crypto.getRandomValues(new Uint8Array(PARENT_ID_BYTES)));
}

/** A Date header is cut to whole seconds, and was written at some time of the round trip. */
function noteClock(
  site: BackendSite,
  { date, beganMs, endMs }: { date: string | null; beganMs: number; endMs: number },
): void {
  const dateMs = Date.parse(date ?? "");
  if (Number.isNaN(dateMs)) return;
  const roundTripMs = Math.max(0, endMs - beganMs);
  site.heard = {
    aheadMs: dateMs + 500 - (beganMs + roundTripMs / 2),
    offMs: 500 + roundTripMs / 2,
  };
}

async function otherClocks({ config, heard }: BackendSite): Promise<CheckOutcome> {
  const synchronised = await isSynchronised();
  const ntp = synchronised === undefined
    ? "this machine does not say whether it is synchronised"
    : `this machine says that it is ${synchronised ? "" : "not "}synchronised`;
  if (heard === undefined && synchronised === undefined) {
    return warn(
      `no Date came from the backend to compare with, and ${ntp}`,
      "Synchronise the clock, since devices are refused if it is wrong: timedatectl set-ntp true",
    );
  }
  const allowedMs = config.checks.toleranceSeconds * 500;
  const observed = heard === undefined ? ntp : `the backend's clock is ${apart(heard)}; ${ntp}`;
  const surelyMs = heard === undefined ? 0 : Math.abs(heard.aheadMs) - heard.offMs;
  const remedy = "Synchronise both clocks: timedatectl set-ntp true";
  if (surelyMs > 2 * allowedMs) return fail(observed, remedy);
  const alone = heard === undefined && synchronised === false;
  return surelyMs > allowedMs || alone ? warn(observed, remedy) : pass(observed);
}

/** "3.0 s ahead of this one, give or take 0.5 s". */
function apart({ aheadMs, offMs }: { aheadMs: number; offMs: number }): string {
  const seconds = (ms: number) => `${(Math.abs(ms) / 1000).toFixed(1)} s`;
  const direction = aheadMs < 0 ? "behind" : "ahead of";
  return `${seconds(aheadMs)} ${direction} this one, give or take ${seconds(offMs)}`;
}

/** What the system's time service says of the clock; undefined if there is none. */
async function isSynchronised(): Promise<boolean | undefined> {
  const args = ["show", "-p", "NTPSynchronized", "--value"];
  const answer = (await programOutput("timedatectl", args))?.trim();
  return answer === "yes" ? true : answer === "no" ? false : undefined;
}
