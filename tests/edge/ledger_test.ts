import assert from "node:assert/strict";
import { Attendance } from "../../src/core/attendance.ts";
import { steadyClock, SYSTEM_CLOCK } from "../../src/edge/clock.ts";
import { DeadLetters } from "../../src/store/dead_letters.ts";
import { Ledger } from "../../src/edge/ledger.ts";
import { Outbox } from "../../src/store/outbox.ts";
import { RejectionAudit } from "../../src/edge/rejection_audit.ts";
import { ReplayGuard } from "../../src/store/replay_guard.ts";
import { Store } from "../../src/store/store.ts";

Deno.test("what another process put into the outbox is adopted also where the first commit fails", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/gateway.db`;
  const store = new Store(path, { create: true });
  const other = new Store(path);
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
      attendance: new Attendance("x", undefined),
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
  const real = deadLetters.trim.bind(deadLetters);
  deadLetters.trim = () => {
    throw new Error("database or disk is full");
  };
  assert.throws(commit);
  deadLetters.trim = real;
  assert.equal(commit().adopted.length, 1);
  store.close();
  other.close();
  await Deno.remove(folder, { recursive: true });
});
