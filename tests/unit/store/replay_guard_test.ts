import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { FILTER_IDS } from "../../../src/store/sqlite/bloom_filters.ts";
import { ReplayGuard } from "../../../src/store/sqlite/replay_guard.ts";
import { APPLICATION_ID, MIGRATIONS } from "../../../src/store/sqlite/schema.ts";
import { Database } from "../../../src/store/sqlite/database.ts";
import { withFolder } from "../../support/with_folder.ts";

const ID = "550e8400-e29b-41d4-a716-446655440000";
const SEGMENT_SECONDS = 300;

function withStore(work: (store: Database) => void): void {
  const store = new Database(":memory:", { create: true });
  work(store);
  store.close();
}

function withGuard(work: (guard: ReplayGuard) => void): void {
  withStore((store) => work(new ReplayGuard(store)));
}

/** One transaction's work at a time of the wall clock. */
function at<T>(guard: ReplayGuard, nowSeconds: number, work: () => T): T {
  return guard.transaction({ nowSeconds, segmentSeconds: SEGMENT_SECONDS }, work);
}

function forgetAll(guard: ReplayGuard, nowSeconds: number, beforeSeconds: number): void {
  while (at(guard, nowSeconds, () => guard.forget(beforeSeconds)));
}

Deno.test("ReplayGuard knows an id in either case, for its device only", () => {
  withGuard((guard) => {
    at(guard, 1_000, () => guard.remember("sensor_001", ID, 1_000));
    assert.ok(guard.has("sensor_001", ID));
    assert.ok(guard.has("sensor_001", ID.toUpperCase()));
    assert.ok(!guard.has("sensor_002", ID));
    assert.equal(guard.count(), 1);
  });
});

Deno.test("ReplayGuard keeps every id as long as its timestamp asks for, through many slices", () => {
  withGuard((guard) => {
    const sent: { id: string; timestamp: number }[] = [];
    for (let now = 10_000; now < 20_000; now += 50) {
      const timestamp = now + (now % 7 - 3) * 100; // up to the tolerance away, either way
      const id = crypto.randomUUID();
      at(guard, now, () => {
        guard.remember("sensor_001", id, timestamp);
        guard.forget(now - 300);
      });
      sent.push({ id, timestamp });
      for (const { id, timestamp } of sent) {
        if (timestamp > guard.forgottenSeconds()) assert.ok(guard.has("sensor_001", id));
      }
      assert.ok(guard.forgottenSeconds() < now - 300);
    }
    assert.ok(guard.count() < 30, `${guard.count()} of ${sent.length} are still held`);
  });
});

Deno.test("ReplayGuard keeps ids by time, not by count", () => {
  withGuard((guard) => {
    at(guard, 1_000, () => {
      for (let i = 0; i < 5_000; i++) guard.remember("sensor_001", crypto.randomUUID(), 1_000);
    });
    at(guard, 1_300, () => guard.remember("sensor_001", ID, 1_001));
    forgetAll(guard, 1_300, 1_000);
    assert.equal(guard.count(), 5_001);
    forgetAll(guard, 1_300, 1_001);
    assert.equal(guard.count(), 1);
    assert.ok(guard.has("sensor_001", ID));
  });
});

Deno.test("ReplayGuard says up to which timestamp it may have forgotten, and no further", () => {
  withGuard((guard) => {
    assert.equal(guard.forgottenSeconds(), 0);
    for (const now of [1_000, 1_300, 1_600]) {
      at(guard, now, () => guard.remember("sensor_001", crypto.randomUUID(), now + 10));
    }
    forgetAll(guard, 1_600, 1_400);
    assert.equal(guard.forgottenSeconds(), 1_310);
    // A clock that is a day ahead forgets everything, but moves the mark only to what was held.
    forgetAll(guard, 1_600 + 86_400, 1_600 + 86_400);
    assert.equal(guard.forgottenSeconds(), 1_610);
    assert.equal(guard.count(), 0);
    // What was forgotten before counts on.
    at(guard, 1_700, () => guard.remember("sensor_001", ID, 1_500));
    forgetAll(guard, 2_000, 1_600);
    assert.equal(guard.count(), 0);
    assert.equal(guard.forgottenSeconds(), 1_610);
  });
});

Deno.test("ReplayGuard goes on where the clock jumps to and fro", () => {
  withGuard((guard) => {
    const ids = Array.from({ length: 20 }, () => crypto.randomUUID());
    ids.forEach((id, i) => {
      const now = i % 2 === 0 ? 1_000_000 - i * 400 : 5_000 + i * 400;
      at(guard, now, () => {
        guard.remember("sensor_001", id, now);
        guard.forget(0);
      });
    });
    for (const id of ids) assert.ok(guard.has("sensor_001", id));
    assert.equal(guard.newestSeconds(), 1_000_000);
  });
});

Deno.test("forget() leaves the slice alone that takes new ids, however old they are", () => {
  withGuard((guard) => {
    at(guard, 1_000, () => guard.remember("sensor_001", ID, 500));
    assert.ok(!at(guard, 1_000, () => guard.forget(900)));
    assert.ok(guard.has("sensor_001", ID));
    assert.equal(guard.forgottenSeconds(), 0);
  });
});

Deno.test("forget() removes a bounded number at a time", () => {
  withGuard((guard) => {
    at(guard, 1_000, () => {
      for (let i = 0; i < 3_000; i++) guard.remember("sensor_001", crypto.randomUUID(), i);
    });
    at(guard, 20_000, () => assert.ok(guard.forget(10_000), "there is more to do"));
    assert.equal(guard.count(), 1_000);
    assert.equal(guard.forgottenSeconds(), 2_999);
    forgetAll(guard, 20_000, 10_000);
    assert.equal(guard.count(), 0);
  });
});

Deno.test("what a transaction that failed has remembered is forgotten with it", () => {
  withStore((store) => {
    const guard = new ReplayGuard(store);
    assert.throws(() =>
      at(guard, 1_000, () => {
        guard.remember("sensor_001", ID, 1_000);
        throw new Error("the disk is full");
      })
    );
    at(guard, 1_000, () => assert.ok(!guard.has("sensor_001", ID)));
    assert.equal(guard.count(), 0);
    at(guard, 1_000, () => guard.remember("sensor_001", ID, 1_000));
    assert.equal(new ReplayGuard(store).count(), 1, "the next start knows it");
  });
});

Deno.test("ReplayGuard knows every id in slice after slice, and after a restart", () => {
  withStore((store) => {
    const slices = store.prepare("SELECT count(*) AS n FROM replay_slices");
    const guard = new ReplayGuard(store);
    const ids = Array.from({ length: 2 * FILTER_IDS + 10 }, () => crypto.randomUUID());
    for (let i = 0; i < ids.length; i += 1_000) {
      at(guard, 1_000, () => {
        for (const id of ids.slice(i, i + 1_000)) guard.remember("sensor_001", id, 1_000);
      });
    }
    assert.equal(slices.get()!["n"], 2);
    for (const one of [guard, new ReplayGuard(store)]) {
      assert.ok(ids.every((id) => one.has("sensor_001", id)));
      assert.ok(!one.has("sensor_001", crypto.randomUUID()));
      assert.ok(!one.has("sensor_002", ids[0]!));
      assert.equal(one.count(), ids.length);
    }
    const later = new ReplayGuard(store);
    at(later, 1_000, () => later.remember("sensor_001", ID, 1_000));
    assert.ok(later.has("sensor_001", ID));
    assert.equal(slices.get()!["n"], 2, "the last one takes more");
  });
});

Deno.test("a slice whose filter is not one is known by its ids", () => {
  withStore((store) => {
    const guard = new ReplayGuard(store);
    at(guard, 1_000, () => guard.remember("sensor_001", ID, 1_000));
    at(guard, 1_000 + SEGMENT_SECONDS, () => {});
    const spoil = store.prepare("UPDATE replay_slices SET filter = ? WHERE filter NOTNULL");
    for (const spoilt of [new Uint8Array(), new Uint8Array(5)]) {
      assert.equal(spoil.run(spoilt).changes, 1);
      assert.ok(new ReplayGuard(store).has("sensor_001", ID));
    }
  });
});

Deno.test("a forgotten slice leaves nothing behind, and those after it stay known", () => {
  withStore((store) => {
    const guard = new ReplayGuard(store);
    const ids = Array.from({ length: 20 }, () => crypto.randomUUID());
    ids.forEach((id, i) => {
      const now = 10_000 + i * SEGMENT_SECONDS;
      at(guard, now, () => guard.remember("sensor_001", id, now));
      forgetAll(guard, now, now - SEGMENT_SECONDS);
      const sent = ids.slice(0, i + 1);
      const known = sent.map((_id, j) => j >= i - 1);
      for (const one of [guard, new ReplayGuard(store)]) {
        assert.deepEqual(sent.map((id) => one.has("sensor_001", id)), known);
        assert.equal(one.count(), Math.min(2, i + 1));
      }
    });
    const { n } = store.prepare("SELECT count(*) AS n FROM replay_slices").get()!;
    assert.equal(n, 2);
  });
});

Deno.test("what fails after a slice was closed, opened or forgotten changes nothing", () => {
  withStore((store) => {
    const guard = new ReplayGuard(store);
    const ids = Array.from({ length: 4 }, () => crypto.randomUUID());
    const [first, second, late] = [1_000, 1_000 + SEGMENT_SECONDS, 1_000 + 2 * SEGMENT_SECONDS];
    at(guard, first, () => guard.remember("sensor_001", ids[0]!, first));
    at(guard, second, () => guard.remember("sensor_001", ids[1]!, second));
    assert.throws(() =>
      at(guard, late, () => {
        guard.remember("sensor_001", crypto.randomUUID(), late);
        assert.ok(guard.forget(late));
        throw new Error("the disk is full");
      })
    );
    at(guard, second, () => guard.remember("sensor_001", ids[2]!, second)); // the clock stepped back
    at(guard, late, () => guard.remember("sensor_001", ids[3]!, late));
    for (const one of [guard, new ReplayGuard(store)]) {
      for (const id of ids) assert.ok(one.has("sensor_001", id));
      assert.equal(one.count(), ids.length);
      assert.equal(one.forgottenSeconds(), 0);
    }
  });
});

Deno.test("a slice keeps its ids known where another got its number in a transaction that fails", () => {
  withStore((store) => {
    const guard = new ReplayGuard(store);
    at(guard, 1_000, () => guard.remember("sensor_001", ID, 1_000));
    at(guard, 1_000 + SEGMENT_SECONDS, () => {}); // closes it
    assert.throws(() =>
      at(guard, 1_000 + SEGMENT_SECONDS, () => {
        assert.ok(guard.forget(1_001));
        guard.remember("sensor_001", crypto.randomUUID(), 1_000);
        throw new Error("the disk is full");
      })
    );
    at(guard, 1_000 + SEGMENT_SECONDS, () => assert.ok(guard.has("sensor_001", ID)));
  });
});

Deno.test("ids that a store of schema 1 remembers are remembered after its upgrade", async () => {
  await withFolder((folder) => {
    const path = `${folder}/gateway.db`;
    const id = ID.replaceAll("-", "");
    const former = new DatabaseSync(path);
    former.exec(`
      ${MIGRATIONS[0]}
      PRAGMA application_id = ${APPLICATION_ID};
      PRAGMA user_version = 1;
      UPDATE replay_slices SET opened_seconds = 900, newest_seconds = 1000, ids = 1 WHERE number = 1;
      INSERT INTO replay_guard_1 VALUES ('sensor_001', x'${id}');
      REPLACE INTO replay_slices VALUES (3, 2, 950, 1200, 1);
      INSERT INTO replay_guard_3 VALUES ('sensor_003', x'${id}');
    `);
    former.close();
    const store = new Database(path);
    const guard = new ReplayGuard(store);
    for (const deviceId of ["sensor_001", "sensor_003"]) assert.ok(guard.has(deviceId, ID));
    assert.ok(!guard.has("sensor_002", ID));
    at(guard, 1_300, () => guard.remember("sensor_002", ID, 1_300));
    forgetAll(guard, 1_300, 1_100);
    assert.deepEqual(
      ["sensor_001", "sensor_002", "sensor_003"].map((deviceId) => guard.has(deviceId, ID)),
      [false, true, true],
    );
    assert.equal(guard.forgottenSeconds(), 1_000);
    store.close();
  });
});
