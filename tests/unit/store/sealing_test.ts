import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { dirname } from "node:path";
import { backup, DatabaseSync } from "node:sqlite";
import { StoreReopenError } from "../../../src/store/store_error.ts";
import { AuditLog } from "../../../src/store/sqlite/audit_log.ts";
import { DeviceKeys } from "../../../src/store/device_keys.ts";
import { Registry } from "../../../src/store/sqlite/registry.ts";
import { rotateSealingKey, sealSecrets, unsealSecrets } from "../../../src/store/sqlite/sealing.ts";
import { readSealingKeys, writeSealingKeys } from "../../../src/store/sealing_keys.ts";
import { type SealingKey, sealingKey } from "../../../src/store/sealed_secret.ts";
import { openStore } from "../../../src/store/open_store.ts";
import {
  assertAllOpen,
  countHits,
  DEVICES,
  MARKER,
  type Place,
  withPlainRegistry,
} from "../../support/plain_registry.ts";
import { withFolder } from "../../support/with_folder.ts";

/** The devices' keys, as a gateway with these sealing keys has them. */
async function loadKeys(
  { store: { path } }: Place,
  keys: readonly SealingKey[],
): Promise<DeviceKeys> {
  const sealingKey = { file: `${path}.keys`, credential: undefined };
  if (keys.length > 0) writeSealingKeys(sealingKey, keys);
  const store = await openStore({ database: path, sealingKey }, { author: "gateway" });
  try {
    return await DeviceKeys.load(store.registry);
  } finally {
    await store.close();
    if (keys.length > 0) await Deno.remove(sealingKey.file);
  }
}

Deno.test("after sealing, no secret stands in database, log, free pages or a backup", async () => {
  await withPlainRegistry(async (place) => {
    const { store, places } = place;
    const folder = dirname(store.path);
    assert.ok(
      await countHits(folder) > DEVICES,
      "the search finds what is and was there",
    );
    const { count, keyId } = await sealSecrets({ store, places });
    assert.equal(count, DEVICES);
    assert.equal(readSealingKeys(places)[0]!.id, keyId);
    const source = new DatabaseSync(store.path);
    await backup(source, `${folder}/backup.db`);
    source.close();
    assert.equal(await countHits(folder), 0);
    assertAllOpen(place);
    assert.equal(Deno.statSync(places.file).mode! & 0o777, 0o600);
    assert.equal((await sealSecrets({ store, places })).count, 0, "it can be done again");
  });
});

Deno.test("what a sealed site takes in is sealed, whichever program brings it", async () => {
  await withPlainRegistry(async (place) => {
    const { store, places } = place;
    await sealSecrets({ store, places });
    const keys = readSealingKeys(places);
    const device = { deviceId: "late", sharedSecret: `${MARKER}late`, createdAt: 1 };
    const certificate = { serial: "01", notBefore: 1, notAfter: 2 };
    assert.throws(() => new Registry(store).add(device, certificate), /secrets are sealed/);
    assert.equal(new Registry(store).find("late"), undefined, "nothing half done");
    new Registry(store, keys).add(device, certificate);
    assert.equal(new Registry(store, keys).find("late")!.sharedSecret, device.sharedSecret);
    const other = new DatabaseSync(store.path);
    for (
      const sql of [
        "INSERT INTO devices VALUES ('x', 'plain', 1)",
        "INSERT OR REPLACE INTO devices VALUES ('sensor_1', 'plain', 1)",
        "UPDATE devices SET shared_secret = 'plain' WHERE device_id = 'sensor_1'",
      ]
    ) {
      assert.throws(() => other.exec(sql), /the secrets of this site are sealed/);
    }
    other.exec("UPDATE devices SET created_at = 2");
    other.close();
    assert.equal(
      await countHits(dirname(store.path)),
      0,
    );
    const shown = JSON.stringify(new Registry(store, keys).list()) +
      Deno.inspect(new Registry(store, keys).list());
    assert.ok(!shown.includes(device.sharedSecret));
  });
});

Deno.test("unsealing gives the plain form back, byte for byte", async () => {
  await withPlainRegistry(async (place) => {
    const { store, places, secrets } = place;
    await sealSecrets({ store, places });
    assert.equal((await unsealSecrets({ store, places })).count, DEVICES);
    for (const row of store.prepare("SELECT * FROM devices").all()) {
      assert.equal(row["shared_secret"], secrets.get(row["device_id"] as string));
    }
    assert.equal((await sealSecrets({ store, places })).count, DEVICES, "and back again");
  });
});

Deno.test("rotating seals under a new key, and nothing opens under the old one", async () => {
  await withPlainRegistry(async (place) => {
    const { store, places } = place;
    await assert.rejects(rotateSealingKey({ store, places }), /are not sealed/);
    await sealSecrets({ store, places });
    const [old] = readSealingKeys(places);
    assert.equal((await rotateSealingKey({ store, places })).count, DEVICES);
    const keys = readSealingKeys(places);
    assert.equal(keys.length, 1);
    assert.notEqual(keys[0]!.id, old!.id);
    assertAllOpen(place);
    const database = Buffer.from(await Deno.readFile(store.path)).toString("latin1");
    assert.ok(!database.includes(`$${old!.id}$`), "no secret is left that the old key opens");
    await assert.rejects(loadKeys(place, [old!]), StoreReopenError);
    await unsealSecrets({ store, places });
    const audit = new AuditLog(store);
    const events = [...audit.since(0)].map(({ event, detail }) => `${event} ${detail}`.trim());
    const kinds = events.filter((event, i) => event !== events[i - 1]);
    assert.deepEqual(kinds, [
      ...[`sealing_key_set ${old!.id}`, "secret_sealed"],
      ...[`sealing_key_set ${keys[0]!.id}`, "secret_resealed"],
      ...["sealing_ended", "secret_unsealed"],
    ]);
    assert.equal(events.length, 3 * (DEVICES + 1));
    assert.deepEqual(audit.prove().faults, []);
  });
});

Deno.test("the secret before the newest is sealed, rotated and taken in like it", async () => {
  await withPlainRegistry(async ({ store, places }) => {
    const folder = dirname(store.path);
    const plain = new Registry(store);
    plain.rotateSecret("sensor_1", `${MARKER}second`, { until: 2_000_000_000 });
    const before = plain.find("sensor_1")!;
    const assertOpens = () => {
      const device = new Registry(store, readSealingKeys(places)).find("sensor_1")!;
      assert.equal(device.sharedSecret, before.sharedSecret);
      assert.equal(device.previous!.sharedSecret, before.previous!.sharedSecret);
    };
    assert.equal((await sealSecrets({ store, places })).count, DEVICES + 1);
    assert.equal(await countHits(folder), 0);
    assertOpens();
    assert.equal((await rotateSealingKey({ store, places })).count, DEVICES + 1);
    assertOpens();
    const sealed = new Registry(store, readSealingKeys(places));
    sealed.rotateSecret("sensor_2", `${MARKER}third`, { until: 2_000_000_000 });
    assert.equal(sealed.find("sensor_2")!.sharedSecret, `${MARKER}third`);
    assert.throws(
      () => store.prepare("UPDATE device_secrets SET previous_secret = 'plain'").run(),
      /the secrets of this site are sealed/,
    );
    assert.equal(await countHits(folder), 0);
    assert.equal((await unsealSecrets({ store, places })).count, DEVICES + 2);
    assertOpens();
  });
});

Deno.test("a wrong or missing key opens nothing, and is named", async () => {
  await withPlainRegistry(async (place) => {
    const { store, places } = place;
    await sealSecrets({ store, places });
    const [key] = readSealingKeys(places);
    await assert.rejects(
      loadKeys(place, []),
      new RegExp(`sealed under ${key!.id}, and there is no secrets.key`),
    );
    await Deno.remove(places.file);
    await assert.rejects(sealSecrets({ store, places }), /Cannot open the secrets/);
    await assert.rejects(unsealSecrets({ store, places }), /Cannot open the secrets/);
    const other = sealingKey(new Uint8Array(32));
    await assert.rejects(
      loadKeys(place, [other]),
      new RegExp(`${key!.id}, and secrets.key has ${other.id}`),
    );
    writeSealingKeys(places, [key!]);
    assertAllOpen(place);
  });
});

Deno.test("a secret that was altered, or moved to another device, is no key; the others are", async () => {
  await withPlainRegistry(async (place) => {
    const { store, places } = place;
    await sealSecrets({ store, places });
    store.prepare(
      `UPDATE devices SET shared_secret =
       (SELECT shared_secret FROM devices WHERE device_id = 'sensor_2') WHERE device_id = 'sensor_1'`,
    ).run();
    const registry = new Registry(store, readSealingKeys(places));
    const keys = await loadKeys(place, readSealingKeys(places));
    assert.deepEqual(keys.newlyDamaged().map(({ deviceId }) => deviceId), ["sensor_1"]);
    assert.equal(await keys.key("sensor_1"), undefined);
    assert.ok(await keys.key("sensor_2"));
    assert.throws(() => registry.find("sensor_1")!.sharedSecret, /"sensor_1": it was altered/);
  });
});

Deno.test("a key file that others may read, or that is none, is refused without showing it", async () => {
  await withFolder(async (folder) => {
    const places = { file: `${folder}/secrets.key`, credential: undefined };
    assert.deepEqual(readSealingKeys(places), []);
    writeSealingKeys(places, [{ id: "", bytes: new Uint8Array(32).fill(1) }]);
    assert.equal(readSealingKeys(places).length, 1);
    await Deno.chmod(places.file, 0o640);
    assert.throws(() => readSealingKeys(places), /others may read it/);
    await Deno.chmod(places.file, 0o600);
    for (const text of ["hunter2\n", "# nothing\n", "", "A".repeat(44) + "\n"]) {
      await Deno.writeTextFile(places.file, text);
      assert.throws(
        () => readSealingKeys(places),
        (error: Error) =>
          /is no key|no key in it/.test(error.message) && !error.message.includes("hunter2"),
      );
    }
    const credential = `${folder}/credential`;
    await Deno.writeTextFile(credential, `${"A".repeat(43)}\n`, { mode: 0o440 });
    assert.equal(readSealingKeys({ ...places, credential }).length, 1, "a credential goes first");
  });
});

Deno.test("a secret that is no text stops sealing with the name of its device", async () => {
  await withPlainRegistry(async ({ store, places }) => {
    const other = new DatabaseSync(store.path);
    other.exec("INSERT INTO devices VALUES ('odd', x'736563726574', 1)");
    const named = /^Cannot go on at the secret of "odd": it is not a text/;
    await assert.rejects(sealSecrets({ store, places }), { message: named });
    other.exec("DELETE FROM devices WHERE device_id = 'odd'");
    other.close();
    await sealSecrets({ store, places });
  });
});
