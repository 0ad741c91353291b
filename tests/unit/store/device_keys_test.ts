import assert from "node:assert/strict";
import { type Envelope, readEnvelope } from "../../../src/core/envelope.ts";
import { sign } from "../../../src/core/signature.ts";
import { DeviceKeys } from "../../../src/store/device_keys.ts";
import { Registry } from "../../../src/store/sqlite/registry.ts";
import { openStore } from "../../../src/store/open_store.ts";
import { Database } from "../../../src/store/sqlite/database.ts";
import { StoreReopenError } from "../../../src/store/store_error.ts";
import { message } from "../../support/judge.ts";
import { withFolder } from "../../support/with_folder.ts";

const CERTIFICATE = { serial: "01", notBefore: 1_000, notAfter: 2_000 };

async function withRegistry(
  work: (
    registry: Registry,
    store: Database,
    loadKeys: () => Promise<DeviceKeys>,
  ) => void | Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    const place = { database: `${folder}/gateway.db` };
    const database = new Database(place.database, { create: true });
    const store = await openStore(place, { author: "gateway" });
    try {
      await work(new Registry(database), database, () => DeviceKeys.load(store.registry));
    } finally {
      await store.close();
      database.close();
    }
  });
}

/** A message of a device that is signed with `secret`. */
async function envelopeOf(deviceId: string, secret: string): Promise<Envelope> {
  const envelope = readEnvelope(new TextEncoder().encode(await message("1", { deviceId, secret })));
  assert.ok(envelope.kind === "envelope");
  return envelope;
}

Deno.test("a device is expired after its newest certificate's end, and not at it", async () => {
  await withRegistry(async (registry, _store, loadKeys) => {
    registry.add({ deviceId: "a", sharedSecret: "s", createdAt: 1 }, CERTIFICATE);
    const ring = await loadKeys();
    assert.equal(ring.statusOf("a", 2_000), "active");
    assert.equal(ring.statusOf("a", 2_001), "expired");
    assert.equal(ring.statusOf("b", 2_000), "unknown");
  });
});

Deno.test("a device of which no certificate is known does not expire", async () => {
  await withRegistry(async (_registry, store, loadKeys) => {
    store.prepare("INSERT INTO devices VALUES ('a', 's', NULL)").run();
    assert.equal((await loadKeys()).statusOf("a", 9_999_999_999), "active");
  });
});

Deno.test("a device is refused while its row is damaged, and no longer", async () => {
  await withRegistry(async (registry, store, loadKeys) => {
    registry.add({ deviceId: "a", sharedSecret: "s", createdAt: 1 }, CERTIFICATE);
    const ring = await loadKeys();
    const envelope = await envelopeOf("a", "s");
    const isSigned = async () => await ring.signedPayload(envelope, 1_500) !== undefined;
    const damage = store.prepare("UPDATE devices SET created_at = ? WHERE device_id = 'a'");
    assert.equal(await isSigned(), true);
    for (const [createdAt, isSound] of [[-1, false], [2, true], [-2, false], [3, true]] as const) {
      damage.run(createdAt);
      await ring.refresh();
      assert.equal(ring.newlyDamaged().length, isSound ? 0 : 1);
      assert.equal(await isSigned(), isSound, `${createdAt}`);
      assert.equal(await ring.key("a", 1_500) !== undefined, isSound, `${createdAt}`);
    }
  });
});

Deno.test("DeviceKeys sees at once what another process changes", async () => {
  await withRegistry(async (_registry, store, loadKeys) => {
    const ring = await loadKeys();
    const other = new Database(store.path);
    const elsewhere = new Registry(other);
    elsewhere.add({ deviceId: "a", sharedSecret: "s", createdAt: 1 }, CERTIFICATE);
    assert.equal(ring.statusOf("a", 1_500), "unknown");
    await ring.refresh();
    assert.equal(ring.statusOf("a", 1_500), "active");
    const key = await ring.key("a");
    elsewhere.revoke("a", { revokedAt: 1_400, reason: "lost" });
    await ring.refresh();
    assert.equal(ring.statusOf("a", 1_500), "revoked");
    assert.equal(await ring.key("a"), key, "an unchanged secret keeps its key");
    other.prepare("UPDATE devices SET shared_secret = 't'").run();
    await ring.refresh();
    assert.notEqual(await ring.key("a"), key);
    elsewhere.remove("a");
    await ring.refresh();
    assert.equal(ring.statusOf("a", 1_500), "unknown");
    other.close();
  });
});

Deno.test("DeviceKeys keeps the keys that are in use, and makes the others again", async () => {
  await withRegistry(async (registry, _store, loadKeys) => {
    const names = Array.from({ length: 2_000 }, (_, i) => `d${i}`);
    registry.addAll(names.map((deviceId) => ({
      deviceId,
      sharedSecret: `secret of ${deviceId}`,
      createdAt: 1,
    })));
    const ring = await loadKeys();
    const inUse = await ring.key("d0");
    const first = await ring.key("d1");
    for (const name of names.slice(2)) {
      await ring.key(name);
      assert.equal(await ring.key("d0"), inUse, name);
    }
    const again = await ring.key("d1");
    assert.notEqual(again, first, "it was let go");
    const text = new TextEncoder().encode("the same");
    assert.equal(await sign(again!, text), await sign(first!, text));
    assert.notEqual(await sign(again!, text), await sign(inUse!, text));
  });
});

Deno.test("an empty secret in an old registry is no key, and no failure", async () => {
  await withRegistry(async (_registry, store, loadKeys) => {
    store.prepare("INSERT INTO devices VALUES ('a', '', NULL)").run();
    assert.equal(await (await loadKeys()).key("a"), undefined);
  });
});

Deno.test("a command is signed with the newest good secret that it has used", async () => {
  await withRegistry(async (registry, _store, loadKeys) => {
    registry.add({ deviceId: "a", sharedSecret: "old", createdAt: 1 }, CERTIFICATE);
    const ring = await loadKeys();
    const old = await ring.key("a");
    registry.rotateSecret("a", "new", { until: 1_600 });
    const rotated = await loadKeys();
    assert.notEqual(await rotated.key("a", 1_601), await rotated.key("a", 1_600));
    registry.recordUses([{ deviceId: "a", generation: 1, lastUsed: 1_500 }]);
    registry.recordUses([{ deviceId: "a", generation: 2, lastUsed: 1_501 }]);
    const used = await loadKeys();
    assert.equal(await used.key("a", 1_502), await used.key("a", 1_601), "the new one");
    assert.notEqual(await used.key("a", 1_502), old);
  });
});

Deno.test("during an overlap both secrets verify, and after it the new one alone", async () => {
  await withRegistry(async (registry, _store, loadKeys) => {
    registry.add({ deviceId: "a", sharedSecret: "old", createdAt: 1 }, CERTIFICATE);
    registry.rotateSecret("a", "new", { until: 1_600 });
    const ring = await loadKeys();
    const [byOld, byNew] = [await envelopeOf("a", "old"), await envelopeOf("a", "new")];
    const verifies = async (envelope: Envelope, nowSeconds: number) =>
      await ring.signedPayload(envelope, nowSeconds) !== undefined;
    assert.ok(await verifies(byOld, 1_600));
    assert.ok(await verifies(byNew, 1_600));
    assert.ok(!await verifies(byOld, 1_601));
    assert.ok(await verifies(byNew, 1_601));
    assert.ok(!await verifies(await envelopeOf("a", "other"), 1_500));
    assert.ok(!await verifies(await envelopeOf("b", "new"), 1_500), "an unknown device");
  });
});

Deno.test("a refresh that fails changes nothing, and the next one makes up for it", async () => {
  await withRegistry(async (registry, store, loadKeys) => {
    registry.add({ deviceId: "a", sharedSecret: "s", createdAt: 1 }, CERTIFICATE);
    const ring = await loadKeys();
    const setSecret = store.prepare("UPDATE devices SET shared_secret = ?");
    store.writeMark("sealing_key", 0x0123456789ab);
    setSecret.run("$sealed$1$0123456789ab$x");
    await assert.rejects(ring.refresh(), StoreReopenError);
    assert.ok(await ring.signedPayload(await envelopeOf("a", "s"), 1_500));
    store.writeMark("sealing_key", 0);
    setSecret.run("t");
    await ring.refresh();
    assert.ok(await ring.signedPayload(await envelopeOf("a", "t"), 1_500));
  });
});

Deno.test("each use of a secret is recorded, the first at once and the others once a minute", async () => {
  await withRegistry(async (registry, _store, loadKeys) => {
    registry.add({ deviceId: "a", sharedSecret: "s", createdAt: 1 }, CERTIFICATE);
    const ring = await loadKeys();
    const envelope = await envelopeOf("a", "s");
    const noted = async (nowSeconds: number) => {
      await ring.signedPayload(envelope, nowSeconds);
      const first = await ring.recordUses({ all: false });
      return [registry.secretUses("a")[0]?.lastUsed, first.length];
    };
    assert.deepEqual(await ring.recordUses({ all: false }), []);
    assert.deepEqual(await noted(1_001), [1_001, 1]);
    assert.deepEqual(await noted(1_030), [1_001, 0]);
    assert.deepEqual(await noted(1_061), [1_061, 0]);
    assert.deepEqual(await noted(1_120), [1_061, 0]);
    await ring.recordUses({ all: true });
    assert.equal(registry.secretUses("a")[0]?.lastUsed, 1_120);
    assert.deepEqual(await noted(9_000_000), [9_000_000, 0]);
    assert.deepEqual(await noted(1_200), [1_200, 0], "the clock was ahead, and was put right");
  });
});

Deno.test("at most 500 uses are recorded at a time, and the others the next time", async () => {
  await withRegistry(async (registry, _store, loadKeys) => {
    const names = Array.from({ length: 501 }, (_, i) => `d${i}`);
    registry.addAll(names.map((deviceId) => ({ deviceId, sharedSecret: deviceId, createdAt: 1 })));
    const ring = await loadKeys();
    for (const name of names) await ring.signedPayload(await envelopeOf(name, name), 1_500);
    assert.equal((await ring.recordUses({ all: false })).length, 500);
    assert.equal((await ring.recordUses({ all: false })).length, 1);
    assert.equal((await ring.recordUses({ all: false })).length, 0);
  });
});
