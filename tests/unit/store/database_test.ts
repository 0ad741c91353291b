import assert from "node:assert/strict";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { StoreError } from "../../../src/store/store_error.ts";
import { Outbox } from "../../../src/store/sqlite/outbox.ts";
import { Database } from "../../../src/store/sqlite/database.ts";
import { withFolder } from "../../support/with_folder.ts";

Deno.test("Store refuses a file that is no database, and leaves it as it is", async () => {
  await withFolder((folder) => {
    const path = `${folder}/gateway.db`;
    Deno.writeTextFileSync(
      path,
      "this is not a database at all, but long enough to be one\n".repeat(20),
    );
    const before = Deno.readFileSync(path);
    assert.throws(() => new Database(path), (error) => {
      assert.ok(error instanceof StoreError);
      assert.match(error.message, new RegExp(`Cannot open "${path}": file is not a database`));
      return true;
    });
    assert.deepEqual(Deno.readFileSync(path), before);
  });
});

Deno.test("Store refuses a database of a newer version, and leaves it as it is", async () => {
  await withFolder((folder) => {
    const path = `${folder}/gateway.db`;
    new Database(path, { create: true }).close();
    const database = new DatabaseSync(path);
    database.exec("PRAGMA user_version = 999");
    database.close();
    const before = Deno.readFileSync(path);
    assert.throws(() => new Database(path), /written by a newer version \(schema 999/);
    assert.deepEqual(Deno.readFileSync(path), before);
  });
});

Deno.test("Store refuses another program's database", async () => {
  await withFolder((folder) => {
    const path = `${folder}/gateway.db`;
    const database = new DatabaseSync(path);
    database.exec("PRAGMA application_id = 42; CREATE TABLE t (x)");
    database.close();
    assert.throws(() => new Database(path), /the database of another program/);
  });
});

Deno.test("Store refuses a missing file unless it is to be made", async () => {
  await withFolder((folder) => {
    assert.throws(() => new Database(`${folder}/gateway.db`), /no such file/);
    assert.deepEqual([...Deno.readDirSync(folder)], []);
  });
});

Deno.test("Store takes over a registry that has only the devices table", async () => {
  await withFolder((folder) => {
    const path = `${folder}/gateway.db`;
    const database = new DatabaseSync(path);
    database.exec(`
      CREATE TABLE devices (
        device_id TEXT PRIMARY KEY,
        shared_secret TEXT NOT NULL,
        created_at INTEGER
      );
      INSERT INTO devices VALUES ('sensor_001', 'supersecretkey123', NULL);
    `);
    database.close();
    const store = new Database(path);
    const { shared_secret } = store.prepare("SELECT * FROM devices").get()!;
    assert.equal(shared_secret, "supersecretkey123");
    store.close();
  });
});

/** A registry of schema 0, some of it still in the WAL, which `work` finds open. */
async function withOldDatabase(work: (path: string) => void): Promise<void> {
  await withFolder((folder) => {
    const path = `${folder}/gateway.db`;
    const database = new DatabaseSync(path);
    database.exec(`
      PRAGMA journal_mode = WAL;
      CREATE TABLE devices (device_id TEXT PRIMARY KEY, shared_secret TEXT NOT NULL, created_at INTEGER);
      INSERT INTO devices VALUES ('sensor_001', 'supersecretkey123', 1);
      PRAGMA wal_checkpoint(TRUNCATE);
      INSERT INTO devices VALUES ('sensor_002', 'supersecretkey456', 2);
    `);
    try {
      work(path);
    } finally {
      database.close();
    }
  });
}

Deno.test("a whole copy of an older database stands beside it before its schema changes", async () => {
  await withOldDatabase((path) => {
    new Database(path).close();
    const backup = `${path}.v0.backup`;
    assert.equal(Deno.statSync(backup).mode! & 0o777, 0o600);
    const copy = new DatabaseSync(backup, { readOnly: true });
    const ids = copy.prepare("SELECT device_id FROM devices ORDER BY 1").all();
    assert.deepEqual(ids.map((row) => row["device_id"]), ["sensor_001", "sensor_002"]);
    assert.equal(copy.prepare("PRAGMA user_version").get()!["user_version"], 0);
    assert.equal(copy.prepare("SELECT count(*) AS n FROM sqlite_schema").get()!["n"], 2);
    copy.close();
    const beside = [...Deno.readDirSync(dirname(path))].map(({ name }) => name)
      .filter((name) => name.includes("backup"));
    assert.deepEqual(beside, ["gateway.db.v0.backup"]);
  });
});

Deno.test("a copy put back in place is a database that the Store takes", async () => {
  await withOldDatabase((path) => {
    new Database(path).close();
    const back = `${path}.back`;
    Deno.copyFileSync(`${path}.v0.backup`, back);
    const store = new Database(back);
    assert.equal(store.prepare("SELECT count(*) AS n FROM devices").get()!["n"], 2);
    store.close();
  });
});

Deno.test("without a copy the schema does not change, and the error says why", async () => {
  await withOldDatabase((path) => {
    Deno.mkdirSync(`${path}.v0.backup`);
    assert.throws(() => new Database(path), (error) => {
      assert.ok(error instanceof StoreError);
      assert.match(
        error.message,
        /^Cannot open ".*": no copy of it could be made before the schema/,
      );
      return true;
    });
    const database = new DatabaseSync(path);
    assert.equal(database.prepare("PRAGMA user_version").get()!["user_version"], 0);
    assert.equal(database.prepare("SELECT count(*) AS n FROM sqlite_schema").get()!["n"], 2);
    database.close();
    assert.deepEqual(
      [...Deno.readDirSync(dirname(path))].filter(({ name }) => name.includes("unfinished")),
      [],
    );
  });
});

Deno.test("no copy is made of a new database, nor of one of this version", async () => {
  await withFolder((folder) => {
    for (let i = 0; i < 2; i++) new Database(`${folder}/gateway.db`, { create: true }).close();
    assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name), ["gateway.db"]);
  });
});

Deno.test("transaction() leaves nothing behind when its work throws", async () => {
  await withFolder((folder) => {
    const store = new Database(`${folder}/gateway.db`, { create: true });
    assert.throws(() =>
      store.transaction(() => {
        store.prepare("INSERT INTO marks VALUES ('x', 1)").run();
        throw new Error("no");
      }), /no/);
    assert.equal(store.readMark("x"), 0);
    store.transaction(() => store.prepare("INSERT INTO marks VALUES ('x', 2)").run());
    assert.equal(store.readMark("x"), 2);
    store.close();
  });
});

Deno.test("Store commits with synchronous=FULL in WAL mode unless told otherwise", async () => {
  await withFolder((folder) => {
    const path = `${folder}/gateway.db`;
    for (const [synchronous, level] of [[undefined, 2], ["NORMAL", 1]] as const) {
      const store = new Database(path, { create: true, ...(synchronous && { synchronous }) });
      assert.equal(store.prepare("PRAGMA synchronous").get()!["synchronous"], level);
      assert.equal(store.prepare("PRAGMA journal_mode").get()!["journal_mode"], "wal");
      store.close();
    }
  });
});

Deno.test("a store at its largest size throws, leaves nothing behind, and goes on when it may grow", async () => {
  await withFolder((folder) => {
    const store = new Database(`${folder}/gateway.db`, { create: true });
    const outbox = new Outbox(store);
    const entry = {
      deviceId: "a",
      messageId: crypto.randomUUID(),
      timestamp: "1727712000",
      acceptedMs: 0,
      payload: new Uint8Array(100_000), // more than fits into pages that are free
    };
    const pages = store.prepare("PRAGMA page_count").get()!["page_count"];
    store.prepare(`PRAGMA max_page_count = ${pages}`).get();
    assert.throws(() => store.transaction(() => outbox.append(entry)), /full/);
    assert.equal(outbox.count(), 0);
    store.prepare("PRAGMA max_page_count = 1000000").get();
    store.transaction(() => outbox.append(entry));
    assert.equal(outbox.count(), 1);
    store.close();
  });
});
