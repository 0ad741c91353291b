import assert from "node:assert/strict";
import { Outage } from "../../../src/core/outage.ts";
import { steadyClock, SYSTEM_CLOCK } from "../../../src/time/clock.ts";
import { DeadLetters } from "../../../src/store/sqlite/dead_letters.ts";
import { Ledger } from "../../../src/gateway/pipeline/ledger.ts";
import { Outbox } from "../../../src/store/sqlite/outbox.ts";
import { RejectionAudit } from "../../../src/store/sqlite/rejection_audit.ts";
import { ReplayGuard } from "../../../src/store/sqlite/replay_guard.ts";
import { Database } from "../../../src/store/sqlite/database.ts";

Deno.test("what another process put into the outbox is adopted also where the first commit fails", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/gateway.db`;
  const store = new Database(path, { create: true });
  const other = new Database(path);
  const outbox = new Outbox(store);
  const deadLetters = new DeadLetters(store);
  const ledger = new Ledger(
    {
      clock: SYSTEM_CLOCK,
      steadyMs: steadyClock(SYSTEM_CLOCK),
      store,
      replayGuard: new ReplayGuard(store),
      outbox,
      deadLetters,
      attendance: new Outage("x", undefined),
      rejectionAudit: new RejectionAudit(store, { maxCount: 1_000, maxAgeMs: 1e9 }),
    },
    {
      toleranceSeconds: 300,
      outageGraceSeconds: 0,
      rate: undefined,
      deadLetters: { maxCount: 10, maxAgeMs: 1e9 },
    } as never,
  );
  [...ledger.backlog()];
  other.transaction(() =>
    new Outbox(other).append({
      deviceId: "a",
      messageId: crypto.randomUUID(),
      timestamp: "1727712000",
      acceptedMs: Date.now(),
      payload: new Uint8Array([49]),
    })
  );
  const commit = () =>
    ledger.commit([], [], { tidy: true, heldSinceMs: undefined, identityOf: () => "a" });
  // The disk is full at the worst moment.
  const real = deadLetters.expire.bind(deadLetters);
  deadLetters.expire = () => {
    throw new Error("database or disk is full");
  };
  assert.throws(commit);
  deadLetters.expire = real;
  assert.equal(commit().adopted.length, 1);
  store.close();
  other.close();
  await Deno.remove(folder, { recursive: true });
});
