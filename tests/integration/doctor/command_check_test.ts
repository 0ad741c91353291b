/** Doctor's own command, on sites where it cannot get through. */

import assert from "node:assert/strict";
import { GatewayProcess } from "../../../src/demo/sandbox/gateway_process.ts";
import type { CheckResult } from "../../../src/doctor/check.ts";
import { isHealthy } from "../../../src/doctor/doctor_run.ts";
import { poll } from "../../../src/time/poll.ts";
import { contentsOf, examine, setting, withPatient } from "../../support/broken_site.ts";
import { withOlderSite } from "../../support/older_site.ts";

function row(findings: readonly CheckResult[]): CheckResult {
  return findings.find(({ name }) => name === "command")!;
}

Deno.test("doctor tries a command: its device has it, the word comes back, and nothing stays", async () => {
  await withPatient(async (site) => {
    const before = await contentsOf(site);
    const { status, observed } = row(await examine(site, { silent: true }));
    assert.equal(status, "pass", observed);
    assert.match(observed, /^the device had it after \d+ ms, and its word was back after \d+ ms$/);
    assert.deepEqual(site.backend.received, []);
    assert.deepEqual(await contentsOf(site), before);

    await Deno.writeTextFile(site.layout.apiKey, "another\n");
    const wrong = row(await examine(site, { silent: true }));
    assert.equal(wrong.status, "fail");
    assert.match(wrong.observed, /^the gateway answered 401: /);
    assert.match(wrong.remedy!, /secure-iot-gateway key add NAME/);

    await Deno.remove(site.layout.apiKey);
    const findings = await examine(site, { silent: true });
    assert.equal(row(findings).status, "skip");
    assert.ok(isHealthy(findings));
  });
});

Deno.test("doctor's command without the line for `ack`: a warning with what to type", async () => {
  await withOlderSite(async (site) => {
    const { status, observed, remedy } = row(await examine(site, { silent: true }));
    assert.equal(status, "warn", observed);
    assert.match(observed, /^it arrived, but device\/doctor-.*\/ack: refused, reason 0x87$/);
    assert.match(remedy!, /type: secure-iot-gateway site upgrade$/);
  });
});

Deno.test("doctor's command with a callback: the backend hears of it, but not with --no-message", async () => {
  await withPatient(async (site, gateway) => {
    const { configuration, directory } = site.layout;
    const toml = await Deno.readTextFile(configuration);
    const path = "/device/{device_id}/command/{message_id}";
    await Deno.writeTextFile(configuration, setting(toml, "callback", path));
    await gateway.stop();
    const again = await GatewayProcess.start(directory);
    try {
      const before = await contentsOf(site);
      const silent = await examine(site, { silent: true });
      assert.equal(row(silent).status, "skip");
      assert.ok(isHealthy(silent));
      assert.equal(site.backend.received.length, 0);

      assert.equal(row(await examine(site)).status, "pass");
      const told = site.backend.received.filter(({ path }) => path.includes("/command/"));
      assert.notEqual(told.length, 0);
      for (const { path } of told) assert.match(path, /^\/device\/doctor-[^/]+\/command\//);
      await poll("an empty outbox", async () => await site.metric("pending") === 0);
      assert.deepEqual(await contentsOf(site), before);
    } finally {
      await again.stop();
    }
  });
});
