import assert from "node:assert/strict";
import { connect } from "node:tls";
import { SampleBackend } from "../../src/demo/sample_backend.ts";
import { freePorts } from "../../src/demo/free_ports.ts";
import { until } from "../../src/demo/until.ts";
import type { LiveSite } from "../e2e/live_site.ts";
import { reissueClient, reissueServer, renew, rewrite, withLiveProcess } from "./live_process.ts";

const RENEWALS = 10;

/** Does something again and again until `stop`; returns what came of each. */
async function meanwhile<T>(stop: AbortSignal, work: () => Promise<T>): Promise<T[]> {
  const outcomes: T[] = [];
  while (!stop.aborted) outcomes.push(await work());
  return outcomes;
}

/** The serial number of the certificate that the API shows. */
function shownSerial(site: LiveSite): Promise<string> {
  const { port } = site.config.api;
  const ca = Deno.readTextFileSync(site.layout.gatewayCa.certificate);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, ca, servername: "localhost" }, () => {
      resolve(socket.getPeerCertificate().serialNumber.toLowerCase());
      socket.destroy();
    });
    socket.on("error", reject);
  });
}

/** Sends a command; returns the status, or what went wrong. */
async function command(site: LiveSite, client: Deno.HttpClient): Promise<string> {
  const key = Deno.readTextFileSync(site.layout.apiKey).trim();
  try {
    const response = await fetch(`https://localhost:${site.config.api.port}/command/sensor_001`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: "1",
      client,
    });
    const text = await response.text();
    return response.status === 202 ? "202" : `${response.status} ${text}`;
  } catch (error) {
    return String((error as Error).cause ?? error);
  }
}

Deno.test(`${RENEWALS} renewals under load lose no message and fail no request`, async () => {
  await withLiveProcess(async (site, gateway) => {
    const devices = await Promise.all(["sensor_001", "sensor_002"].map((id) => site.device(id)));
    const caCerts = [Deno.readTextFileSync(site.layout.gatewayCa.certificate)];
    using one = Deno.createHttpClient({ caCerts });
    using kept = Deno.createHttpClient({ caCerts, http2: false });
    using fresh = Deno.createHttpClient({ caCerts, http2: false, poolMaxIdlePerHost: 0 });
    const stop = new AbortController();
    const sending = devices.map((device) => meanwhile(stop.signal, () => device.send("1")));
    const asking = [one, kept, fresh].map((client) =>
      meanwhile(stop.signal, () => command(site, client))
    );
    for (let i = 0; i < RENEWALS; i++) {
      const serial = await reissueServer(site.layout);
      await reissueClient(site.layout);
      const { event, message } = await renew(gateway);
      assert.equal(event, "renewed", message);
      assert.match(message, /broker\.certificate.*api\.certificate/);
      assert.equal(await shownSerial(site), serial);
    }
    stop.abort();
    const sent = (await Promise.all(sending)).flat();
    for (const answers of await Promise.all(asking)) {
      assert.deepEqual(answers.filter((answer) => answer !== "202"), []);
      assert.ok(answers.length > RENEWALS);
    }
    const reached = () => new Set(site.backend.received.map(({ messageId }) => messageId));
    await until("every message", () => sent.every(({ messageId }) => reached().has(messageId)));
    assert.equal(reached().size, sent.length);
    assert.ok(sent.length > RENEWALS);
    Deno.writeTextFileSync(
      "/tmp/cf/load.txt",
      JSON.stringify([
        sent.length,
        site.backend.received.length,
        (await Promise.all(asking)).map((a) => a.length),
      ]) + Deno.readTextFileSync(`/proc/${gateway.pid}/status`).match(/VmRSS.*/)![0],
    );
  });
});
