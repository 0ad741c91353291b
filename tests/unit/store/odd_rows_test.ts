/** Every type that SQLite has, in every column of the table that other programs write. */

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { DeviceKeys } from "../../../src/store/device_keys.ts";
import { openStore } from "../../../src/store/open_store.ts";
import { readDevicesTable } from "../../../src/store/sqlite/existing_devices.ts";
import { Registry } from "../../../src/store/sqlite/registry.ts";
import { Database } from "../../../src/store/sqlite/database.ts";
import { withFolder } from "../../support/with_folder.ts";

/** A value as SQL, and whether it damages a secret and a time. */
const VALUES: readonly (readonly [sql: string, secret: boolean, createdAt: boolean])[] = [
  ["1700000000", false, false], // as text in a column of texts
  ["1700000000000000000", false, true],
  ["9223372036854775807", false, true],
  ["-9223372036854775808", false, true],
  ["1700000000.25", false, false],
  ["1e300", false, true],
  ["9e999", false, true],
  ["'2024-01-01'", false, true],
  ["'a' || char(0) || 'b'", true, true],
  ["char(0)", true, true],
  ["''", true, true],
  ["CAST(x'ff41' AS TEXT)", true, true],
  ["x'736563726574'", true, true],
  ["zeroblob(100000)", true, true],
  ["printf('%.1000000c', 'x')", true, true],
  ["'$sealed$1$0123456789ab$AAAA'", true, true],
];

/** Works with a store whose devices are a good one and one odd row, and with a copy of the table. */
async function withOddRow(
  { secret = "'other'", createdAt = "NULL" }: { secret?: string; createdAt?: string },
  work: (path: string) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    const path = `${folder}/gateway.db`;
    new Database(path, { create: true }).close();
    const other = new DatabaseSync(path);
    other.exec(
      `INSERT INTO devices VALUES ('good', 'secret', 1), ('odd', ${secret}, ${createdAt})`,
    );
    other.close();
    await work(path);
  });
}

async function checkRow(path: string, damaged: boolean, what: string): Promise<void> {
  const database = new Database(path);
  const devices = new Registry(database).list();
  database.close();
  assert.deepEqual(devices.map(({ deviceId }) => deviceId), ["good", "odd"], what);
  assert.equal(devices[0]!.damage, undefined, what);
  assert.equal(devices[1]!.damage !== undefined, damaged, `${what}: ${devices[1]!.damage}`);

  const store = await openStore({ database: path }, { author: "gateway" });
  try {
    assert.equal(await store.registry.missingSealingKeys(), undefined, what);
    const keys = await DeviceKeys.load(store.registry);
    assert.notEqual(await keys.key("good"), undefined, what);
    assert.equal(await keys.key("odd") === undefined, damaged, what);
    const told = keys.newlyDamaged();
    assert.deepEqual(told.map(({ deviceId }) => deviceId), damaged ? ["odd"] : [], what);
    assert.deepEqual(keys.newlyDamaged(), [], what);
  } finally {
    await store.close();
  }
}

Deno.test("a row of devices is its own device's trouble, whatever is in it", async () => {
  for (const [sql, secretDamaged, timeDamaged] of VALUES) {
    await withOddRow({ secret: sql }, (path) => checkRow(path, secretDamaged, `secret ${sql}`));
    await withOddRow(
      { createdAt: sql },
      (path) => checkRow(path, timeDamaged, `created_at ${sql}`),
    );
  }
});

Deno.test("a registry of another program is read with what is wrong with each row", async () => {
  await withFolder((folder) => {
    const path = `${folder}/other.db`;
    const other = new DatabaseSync(path);
    other.exec("CREATE TABLE devices (device_id, shared_secret, created_at)");
    const odd = ["NULL", "x'41'", "5", ...VALUES.map(([sql]) => sql)];
    for (const sql of odd) {
      other.exec(
        `INSERT INTO devices VALUES (${sql}, 's', 1), ('a', ${sql}, 1), ('a', 's', ${sql})`,
      );
    }
    other.exec("INSERT INTO devices VALUES ('good', 'secret', 1)");
    other.close();
    const rows = readDevicesTable(path);
    assert.equal(rows.length, 3 * odd.length + 1);
    assert.deepEqual(rows.at(-1), {
      deviceId: "good",
      secret: "secret",
      createdAt: 1,
      damage: undefined,
    });
    const secretOf = (sql: string) => rows[3 * odd.indexOf(sql) + 1]!.damage;
    assert.match(secretOf("x'736563726574'")!, /not a text/);
    assert.match(secretOf("CAST(x'ff41' AS TEXT)")!, /not UTF-8/);
  });
});

Deno.test("times beyond any date in the tables beside it stop nobody", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/gateway.db`;
    const database = new Database(path, { create: true });
    const other = new DatabaseSync(path);
    const most = "9223372036854775807";
    other.exec(`
      INSERT INTO devices VALUES ('good', 'secret', 1), ('odd', 'other', 1);
      INSERT INTO device_revocations VALUES ('odd', ${most}, '');
      INSERT INTO device_secrets VALUES ('odd', ${most}, 'x', ${most}, ${most});
      INSERT INTO device_secret_uses VALUES ('odd', 1, ${most});
      INSERT INTO device_certificates VALUES ('01', 'odd', 0, ${most}, NULL, NULL);`);
    other.close();
    const odd = new Registry(database).find("odd")!;
    assert.notEqual(odd.damage, undefined);
    assert.notEqual(odd.revokedAt, undefined);
    database.close();
    const store = await openStore({ database: path }, { author: "gateway" });
    const keys = await DeviceKeys.load(store.registry);
    assert.equal(keys.statusOf("odd", 1), "revoked");
    assert.notEqual(await keys.key("good"), undefined);
    await store.registry.certificateEnds();
    await store.registry.revokedCertificates(0);
    await store.registry.certificates("odd");
    await store.close();
  });
});
