/** A backend whose certificate cannot be trusted is named when the gateway starts. */

import assert from "node:assert/strict";
import { freePorts } from "../support/free_ports.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";

/** Runs `work` beside a backend that shows a certificate of the site, before the gateway starts. */
async function withTlsBackend(
  name: "gatewayCa" | "broker",
  work: (site: LiveSite) => Promise<void>,
): Promise<void> {
  const [port] = freePorts(1) as [number];
  const settings = { BACKEND_URL: `https://localhost:${port}`, BACKEND_CA: "certs/gateway-ca.crt" };
  await withLiveSite(async (site) => {
    const { certificate, key } = site.layout[name];
    const pair = { cert: Deno.readTextFileSync(certificate), key: Deno.readTextFileSync(key) };
    const server = Deno.serve(
      { hostname: "127.0.0.1", port, onListen: () => {}, ...pair },
      () => new Response(),
    );
    try {
      await site.startGateway();
      await work(site);
      await site.stopGateway();
    } finally {
      await server.shutdown();
    }
  }, { settings, start: false });
}

Deno.test("a server with the certificate of an authority is named at the start, with what to make", async () => {
  await withTlsBackend("gatewayCa", async (site) => {
    const { message } = await site.logged("backend_untrusted");
    assert.match(message, /CA:TRUE.*make another: openssl req -x509/);
  });
});

Deno.test("of a backend whose certificate is right nothing is said", async () => {
  await withTlsBackend("broker", async (site) => {
    const device = await site.device("sensor_001");
    await device.response((await device.send("1")).messageId);
    assert.equal(site.log.find(({ event }) => event === "backend_untrusted"), undefined);
  });
});
