import assert from "node:assert/strict";
/** The gateway as a process on a live site, reloaded by SIGHUP. */

import { GatewayProcess, type LogRecord } from "../../src/demo/sandbox/gateway_process.ts";
import { poll } from "../../src/time/poll.ts";
import {
  issueClientCertificate,
  issueServerCertificate,
  openAuthority,
} from "../../src/site/pki/authority.ts";
import type { CredentialPaths, SiteLayout } from "../../src/site/layout.ts";
import { type LiveSite, withLiveSite } from "./live_site.ts";

const QUICK = {
  SECURE_IOT_GATEWAY_BACKEND_RETRY_FIRST: "20ms",
  SECURE_IOT_GATEWAY_BACKEND_RETRY_LONGEST: "100ms",
};

/** Runs `work` beside a gateway process; it is gone afterwards, cleanly if all went well. */
export async function withLiveProcess(
  work: (site: LiveSite, gateway: GatewayProcess) => Promise<void>,
): Promise<void> {
  await withLiveSite(async (site) => {
    const gateway = await GatewayProcess.start(site.layout.directory, { environment: QUICK });
    try {
      await work(site, gateway);
      await gateway.stop();
    } catch (error) {
      throw new Error(`${(error as Error).stack}\n${gateway.log()}`);
    } finally {
      gateway.kill("SIGKILL");
      await gateway.exited;
    }
  }, { start: false });
}

/** Sends SIGHUP and waits for what comes of it: `reloaded` or `reload_failed`. */
export async function reload(gateway: GatewayProcess): Promise<LogRecord> {
  const outcomes = () =>
    gateway.lines().filter(({ event }) => /^(reloaded|reload_failed)$/.test(event));
  const before = outcomes().length;
  gateway.kill("SIGHUP");
  return await poll("the reload", () => outcomes()[before], { timeoutMs: 30_000 });
}

/** Gives the API, which shares the broker's, another certificate; returns its serial number. */
export async function reissueServer(layout: SiteLayout): Promise<string> {
  const issued = await issueServerCertificate(await gatewayAuthority(layout), {
    commonName: "broker",
    hosts: ["localhost", "127.0.0.1"],
    nowMs: Date.now(),
  });
  await write(layout.broker, issued);
  return issued.serial;
}

/** Gives the gateway another certificate for the broker. */
export async function reissueClient(layout: SiteLayout): Promise<void> {
  const options = { commonName: "gateway", nowMs: Date.now() };
  await write(
    layout.gateway,
    await issueClientCertificate(await gatewayAuthority(layout), options),
  );
}

/** Replaces text in gateway.toml. */
export async function rewrite(layout: SiteLayout, before: string, after: string): Promise<void> {
  const text = await Deno.readTextFile(layout.configuration);
  if (!text.includes(before)) throw new Error(`There is no ${before} in gateway.toml`);
  await Deno.writeTextFile(layout.configuration, text.replace(before, after));
}

async function gatewayAuthority({ gatewayCa }: SiteLayout) {
  const opened = await openAuthority({
    certificatePem: await Deno.readTextFile(gatewayCa.certificate),
    keyPem: await Deno.readTextFile(gatewayCa.key),
  });
  assert.ok(opened.ok);
  return opened.authority;
}

async function write(
  paths: CredentialPaths,
  issued: { certificatePem: string; keyPem: string },
): Promise<void> {
  await Deno.writeTextFile(paths.key, issued.keyPem);
  await Deno.writeTextFile(paths.certificate, issued.certificatePem);
}
