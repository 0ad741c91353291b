import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { GatewayProcess, programCommand } from "../../src/demo/sandbox/gateway_process.ts";
import { poll } from "../../src/time/poll.ts";
import { createAuthority } from "../../src/site/pki/authority.ts";
import { runToEnd } from "../support/finished_run.ts";
import { withLiveSite } from "../support/live_site.ts";

const DAY_MS = 86_400_000;

Deno.test("a backend's authority that ends soon is warned of, and by doctor, as the other files are", async () => {
  await withLiveSite(async (site) => {
    const { layout: { directory, certificatesFolder } } = site;
    const made = await createAuthority({ commonName: "backend", nowMs: Date.now() });
    const lifeMs = new X509Certificate(made.certificatePem).validToDate.getTime() - Date.now();
    const nowMs = Date.now() - lifeMs + 20 * DAY_MS;
    const ending = await createAuthority({ commonName: "backend", nowMs });
    const path = `${certificatesFolder}/backend-ca.crt`;
    await Deno.writeTextFile(path, ending.certificatePem);
    const environment = {
      SECURE_IOT_GATEWAY_BACKEND_URL: site.backend.url,
      SECURE_IOT_GATEWAY_BACKEND_CA: path,
    };
    const gateway = await GatewayProcess.start(directory, { environment });
    try {
      const warning = await poll(
        "the warning",
        () => gateway.lines().find(({ event }) => event === "expires_soon"),
      );
      assert.match(warning.message, /^"[^"]*backend-ca\.crt" expires in (19|20) days$/);
      const end = new X509Certificate(ending.certificatePem).validToDate.getTime() / 1000;
      assert.equal(await site.metric(`expires_timestamp_seconds{file="${path}"}`), end);
      const doctor = await runToEnd({
        ...programCommand("doctor", "--dir", directory, "--json"),
        environment,
      });
      assert.match(doctor.stdout, /backend-ca\.crt\\" expires on/);
    } finally {
      gateway.kill("SIGKILL");
      await gateway.exited;
    }
  }, { start: false });
});
