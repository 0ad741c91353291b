import assert from "node:assert/strict";
import { Outage, QUIET_SECONDS } from "../../../src/core/outage.ts";

/** Connected, and its first marker has come. */
function caughtUp(): Outage {
  const outage = new Outage("run", 100);
  outage.end("broker");
  outage.markerCame(outage.markerDue()!);
  return outage;
}

Deno.test("an outage ends with the marker, not with the connection", () => {
  const outage = new Outage("run", 100);
  assert.equal(outage.markerDue(), undefined, "the broker is not there");
  outage.end("broker");
  assert.equal(outage.outageSinceSeconds, 100);
  const marker = outage.markerDue()!;
  assert.equal(outage.markerDue(), undefined, "one is under way");
  outage.markerCame(marker);
  assert.ok(outage.caughtUp);
  assert.equal(outage.outageSinceSeconds, undefined);
});

Deno.test("a marker from before the latest cause, or of another run, proves nothing", () => {
  const outage = new Outage("run", 100);
  outage.end("broker");
  const stale = outage.markerDue()!;
  outage.begin("store");
  outage.end("store");
  outage.markerCame(stale);
  outage.markerCame("other 0");
  assert.ok(!outage.caughtUp);
  assert.notEqual(outage.markerDue(), stale);
});

Deno.test("a marker that could not be sent is due again", () => {
  const outage = new Outage("run", 100);
  outage.end("broker");
  const marker = outage.markerDue()!;
  outage.markerFailed(marker);
  assert.equal(outage.markerDue(), marker);
});

Deno.test("an outage lasts until its last cause has ended, and starts at the last touch", () => {
  const outage = caughtUp();
  assert.equal(outage.touch(200), 200);
  outage.begin("outbox");
  outage.begin("store");
  assert.equal(outage.touch(300), undefined);
  outage.end("outbox");
  assert.equal(outage.markerDue(), undefined);
  outage.end("store");
  assert.equal(outage.outageSinceSeconds, 200);
});

Deno.test("without a marker an outage expires after quiet, which a late message interrupts", () => {
  const outage = new Outage("run", 100);
  outage.end("broker");
  assert.ok(!outage.expiresQuietly(0));
  outage.lateCame(30_000);
  assert.ok(!outage.expiresQuietly(QUIET_SECONDS * 1000));
  assert.ok(outage.expiresQuietly(30_000 + QUIET_SECONDS * 1000));
  assert.ok(!outage.expiresQuietly(1e9), "once");
});
