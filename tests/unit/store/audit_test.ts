import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { apiKeyDigest } from "../../../src/config/credentials.ts";
import { ApiKeys } from "../../../src/store/sqlite/api_keys.ts";
import { AuditLog } from "../../../src/store/sqlite/audit_log.ts";
import { Registry } from "../../../src/store/sqlite/registry.ts";
import { Database } from "../../../src/store/sqlite/database.ts";
import { withFolder } from "../../support/with_folder.ts";

const CERTIFICATE = { serial: "0a", notBefore: 1_000, notAfter: 2_000 };
const ALL = Number.MIN_SAFE_INTEGER;

async function withStore(work: (store: Database, audit: AuditLog) => void | Promise<void>) {
  await withFolder(async (folder) => {
    const store = new Database(`${folder}/gateway.db`, { create: true });
    try {
      await work(store, new AuditLog(store));
    } finally {
      store.close();
    }
  });
}

/** Enters `count` notes, one a second from `at` on. */
function fill(store: Database, count: number, at = 1_000): void {
  for (let i = 0; i < count; i++) {
    store.transaction(() =>
      store.audit.note({ at: at + i, event: "e", subject: `s${i}`, detail: "", count: 1 })
    );
  }
}

/** Somebody who knows SQLite: what the triggers refuse, they drop first. */
function tamper(path: string, sql: string): void {
  const database = new DatabaseSync(path);
  database.exec("DROP TRIGGER audit_update; DROP TRIGGER audit_delete; DROP TRIGGER audit_insert");
  database.exec(sql);
  database.close();
}

function eventsOf(audit: AuditLog): string[] {
  return [...audit.since(ALL)].map(({ author, event, subject, detail }) =>
    `${author}: ${event} ${subject} ${detail}`.trim()
  );
}

Deno.test("every change of registry and keys is an entry of the transaction that makes it", async () => {
  await withStore((store, audit) => {
    const registry = new Registry(store);
    registry.add({ deviceId: "a", sharedSecret: "hush", createdAt: 1 }, CERTIFICATE);
    registry.revoke("a", { revokedAt: 5, reason: "lost" });
    store.transaction(() => store.prepare("UPDATE devices SET shared_secret = 'other'").run());
    store.transaction(() => store.prepare("UPDATE devices SET created_at = 2").run());
    registry.remove("a");
    const keys = new ApiKeys(store);
    keys.add(apiKeyDigest("key-text"), {
      name: "k",
      createdAt: 1,
      role: "commands" as const,
      deviceIds: ["a"],
    });
    keys.remove("k");
    assert.deepEqual(eventsOf(audit), [
      "command: device_added a",
      "command: certificate_added a 0a",
      "command: device_revoked a lost",
      "command: secret_changed a",
      "command: revocation_ended a",
      "command: certificate_withdrawn a 0a",
      "command: device_removed a",
      "command: api_key_added k",
      "command: api_key_device_added k a",
      "command: api_key_device_removed k a",
      "command: api_key_removed k",
    ]);
    assert.doesNotMatch(JSON.stringify([...audit.since(ALL)]), /hush|other|key-text/);
    assert.throws(() =>
      store.transaction(() => {
        store.prepare("INSERT INTO devices VALUES ('b', 's', 1)").run();
        throw new Error("no");
      })
    );
    assert.equal(audit.prove().count, 11, "what did not happen is no entry");
    assert.deepEqual(audit.prove().faults, []);
  });
});

Deno.test("a rotation of a device's secret is entered, with its overlap and the end of that", async () => {
  await withStore((store, audit) => {
    const registry = new Registry(store);
    registry.add({ deviceId: "a", sharedSecret: "hush", createdAt: 1 }, CERTIFICATE);
    registry.rotateSecret("a", "hush2", { until: 5_000 });
    registry.endOverlap("a", 1_001);
    assert.deepEqual(eventsOf(audit).slice(2), [
      "command: secret_changed a",
      "command: secret_overlap_set a until 5000",
      "command: secret_overlap_set a until 1000",
    ]);
    assert.doesNotMatch(JSON.stringify([...audit.since(ALL)]), /hush/);
  });
});

Deno.test("what another program does to the registry is chained by the next transaction, as its", async () => {
  await withStore((store, audit) => {
    const other = new DatabaseSync(store.path);
    other.exec("INSERT INTO devices VALUES ('a', 's', 1), ('b', 's', 1)");
    other.close();
    assert.equal(audit.prove().count, 0);
    new Registry(store).remove("b");
    assert.deepEqual(eventsOf(audit), [
      "another program: device_added a",
      "another program: device_added b",
      "command: device_removed b",
    ]);
  });
});

Deno.test("the chain is what the docs say, so that anybody can check it", async () => {
  await withStore((store, audit) => {
    fill(store, 3);
    let hash: Uint8Array = new Uint8Array(32);
    for (
      const { sequence, at, author, event, subject, detail, count, ...entry } of audit.since(ALL)
    ) {
      const text = JSON.stringify([sequence, at, author, event, subject, detail, count]);
      hash = createHash("sha256").update(hash).update(text).digest();
      assert.equal(entry.hash.toHex(), hash.toHex());
    }
    assert.equal(audit.prove().head.hash.toHex(), hash.toHex());
  });
});

Deno.test("the audit takes no update, no delete and no entry out of turn, from any program", async () => {
  await withStore((store, audit) => {
    fill(store, 3);
    const other = new DatabaseSync(store.path);
    for (
      const sql of [
        "UPDATE audit SET detail = 'x' WHERE sequence = 2",
        "DELETE FROM audit WHERE sequence = 3",
        "DELETE FROM audit",
        "INSERT INTO audit SELECT 9, at, author, event, subject, detail, count, hash FROM audit LIMIT 1",
        "INSERT OR REPLACE INTO audit SELECT 2, at, author, event, subject, detail, count, hash FROM audit LIMIT 1",
      ]
    ) {
      assert.throws(() => other.exec(sql), /the audit is append-only/, sql);
    }
    other.close();
    assert.deepEqual(audit.prove(), { faults: [], count: 3, head: audit.prove().head });
  });
});

const TAMPERINGS: [name: string, sql: string, fault: RegExp][] = [
  ["altered", "UPDATE audit SET subject = 'x' WHERE sequence = 3", /^Entry 3 was altered/],
  ["altered in its time", "UPDATE audit SET at = 7 WHERE sequence = 1", /^Entry 1 was altered/],
  ["given another hash", "UPDATE audit SET hash = zeroblob(32) WHERE sequence = 5", /^Entry 5 was/],
  ["removed", "DELETE FROM audit WHERE sequence = 3", /^Entry 3 is missing/],
  ["removed at the beginning", "DELETE FROM audit WHERE sequence <= 2", /^Entries 1 to 2 are miss/],
  ["removed at the end", "DELETE FROM audit WHERE sequence >= 4", /^Entries 4 to 5 are missing/],
  ["removed, all of it", "DELETE FROM audit", /^Entries 1 to 5 are missing/],
  [
    "put in another order",
    `UPDATE audit SET sequence = -2 WHERE sequence = 2;
     UPDATE audit SET sequence = 2 WHERE sequence = 3;
     UPDATE audit SET sequence = 3 WHERE sequence = -2;`,
    /^Entry 2 was altered, or is not in its place/,
  ],
  [
    "removed, and the rest moved up",
    "DELETE FROM audit WHERE sequence = 2; UPDATE audit SET sequence = sequence - 1 WHERE sequence > 2",
    /^Entry 2 was altered, or is not in its place/,
  ],
  [
    "trimmed by somebody who only moves the mark",
    "UPDATE marks SET value = 4 WHERE name = 'audit_first'; DELETE FROM audit WHERE sequence < 4",
    /^Entries before 4 are missing, and no entry says/,
  ],
];

for (const [name, sql, fault] of TAMPERINGS) {
  Deno.test(`prove() finds an entry that was ${name}`, async () => {
    await withStore((store, audit) => {
      fill(store, 5);
      assert.deepEqual(audit.prove().faults, []);
      tamper(store.path, sql);
      assert.match(audit.prove().faults[0] ?? "no fault", fault);
    });
  });
}

Deno.test("a head that was kept elsewhere finds an end that was cut off without a trace, or made up", async () => {
  await withStore((store, audit) => {
    fill(store, 3);
    const { head } = audit.prove();
    fill(store, 2);
    assert.deepEqual(audit.prove(head.hash).faults, [], "it is in the chain, also when that grows");
    tamper(
      store.path,
      "DELETE FROM audit WHERE sequence > 2; UPDATE sqlite_sequence SET seq = 2 WHERE name = 'audit'",
    );
    assert.deepEqual(audit.prove().faults, [], "nothing in the file can tell");
    assert.match(
      audit.prove(head.hash).faults[0]!,
      /^No entry has the hash [0-9a-f]{64}: entries were/,
    );
    fill(store, 1); // as good as the real one, but another
    assert.equal(audit.prove(head.hash).faults.length, 1);
  });
});

Deno.test("trimming leaves an entry, and a chain that still proves itself", async () => {
  await withStore((store, audit) => {
    fill(store, 200);
    const early = [...audit.since(ALL)][4]!;
    const trim = (maxCount: number, maxAgeMs: number, nowMs: number) =>
      store.transaction(() => audit.trim({ maxCount, maxAgeMs }, { nowMs, ageMs: nowMs }));
    trim(200, 1e12, 2_000_000);
    assert.equal(audit.prove().count, 200, "nothing is over the limits");
    trim(150, 1e12, 2_000_000);
    assert.deepEqual([audit.prove().count, audit.prove().faults], [136, []]);
    const last = [...audit.since(ALL)].at(-1)!;
    assert.deepEqual([last.event, last.count], ["audit_trimmed", 65]);
    trim(100, 1e12, 2_000_000);
    fill(store, 3);
    assert.deepEqual([audit.prove().count, audit.prove().faults], [94, []]);
    assert.equal(audit.prove(early.hash).faults.length, 1, "a head that was trimmed is said so");
    assert.throws(
      () => store.transaction(() => store.prepare("DELETE FROM audit").run()),
      /append-only/,
    );
    tamper(store.path, "UPDATE audit SET detail = '136 00' WHERE event = 'audit_trimmed'");
    assert.notDeepEqual(audit.prove().faults, []);
  });
});

Deno.test("trimming by age waits until a day's worth is due, and keeps the head", async () => {
  await withStore((store, audit) => {
    fill(store, 10, 0);
    const trim = (nowSeconds: number) =>
      store.transaction(() =>
        audit.trim({ maxCount: 100, maxAgeMs: 1_000_000 }, {
          nowMs: nowSeconds * 1000,
          ageMs: nowSeconds * 1000,
        })
      );
    trim(1_000 + 86_400);
    assert.equal(audit.prove().count, 10);
    trim(1_001 + 86_400);
    const left = [...audit.since(ALL)].map(({ sequence, event }) => `${sequence} ${event}`);
    assert.deepEqual(left, ["10 e", "11 audit_trimmed"]);
    assert.deepEqual(audit.prove().faults, []);
  });
});
