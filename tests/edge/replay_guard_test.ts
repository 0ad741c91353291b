import assert from "node:assert/strict";
import { ReplayGuard } from "../../src/edge/replay_guard.ts";
import { Store } from "../../src/edge/store.ts";

const ID = "550e8400-e29b-41d4-a716-446655440000";

function withGuard(work: (guard: ReplayGuard) => void): void {
  const store = new Store(":memory:", { create: true });
  work(new ReplayGuard(store));
  store.close();
}

Deno.test("ReplayGuard knows an id in either case, for its device only", () => {
  withGuard((guard) => {
    guard.remember("sensor_001", ID, 1_000);
    assert.ok(guard.remembers("sensor_001", ID));
    assert.ok(guard.remembers("sensor_001", ID.toUpperCase()));
    assert.ok(!guard.remembers("sensor_002", ID));
    assert.equal(guard.count(), 1);
  });
});

Deno.test("ReplayGuard keeps ids by time, not by count", () => {
  withGuard((guard) => {
    for (let i = 0; i < 5_000; i++) guard.remember("sensor_001", crypto.randomUUID(), 1_000);
    guard.remember("sensor_001", ID, 1_001);
    while (guard.forget(1_001) > 0);
    assert.equal(guard.count(), 1);
    assert.ok(guard.remembers("sensor_001", ID));
  });
});

Deno.test("ReplayGuard says up to which timestamp it may have forgotten, and no further", () => {
  withGuard((guard) => {
    assert.equal(guard.forgottenSeconds(), 0);
    for (const timestamp of [1_000, 1_010, 1_020]) {
      guard.remember("sensor_001", crypto.randomUUID(), timestamp);
    }
    while (guard.forget(1_015) > 0);
    assert.equal(guard.forgottenSeconds(), 1_010);
    // A clock that is a day ahead forgets everything, but moves the mark only to what was held.
    while (guard.forget(1_000 + 86_400) > 0);
    assert.equal(guard.forgottenSeconds(), 1_020);
    assert.equal(guard.count(), 0);
  });
});

Deno.test("forget() takes a bounded number at a time, oldest first", () => {
  withGuard((guard) => {
    for (let i = 0; i < 3_000; i++) guard.remember("sensor_001", crypto.randomUUID(), i);
    assert.equal(guard.forget(10_000), 1_000);
    assert.equal(guard.forgottenSeconds(), 999);
    assert.equal(guard.count(), 2_000);
  });
});
