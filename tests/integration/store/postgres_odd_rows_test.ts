/** Whatever another program writes into the tables that gateways share. */

import assert from "node:assert/strict";
import { DeviceKeys } from "../../../src/store/device_keys.ts";
import { openStore } from "../../../src/store/open_store.ts";
import type { Store } from "../../../src/store/store.ts";
import { poll } from "../../../src/time/poll.ts";
import { HAS_POSTGRES, withPostgres } from "../../support/temporary_postgres.ts";
import { batch, candidate, messagesOf } from "../../unit/store/contract/sample_batch.ts";

/** The parts of a test. */
interface Site {
  readonly store: Store;
  sql(text: string): Promise<string>;
}

function testRows(name: string, work: (site: Site) => Promise<void>): void {
  const fn = () =>
    withPostgres(async (postgres) => {
      const place = await postgres.place();
      const { server } = postgres;
      const store = await openStore(place, { author: "command", create: true });
      const sql = (text: string) =>
        server.sql(`SET search_path = secure_iot_gateway; ${text}`, place.database);
      try {
        await work({ store, sql });
      } finally {
        await store.close();
      }
    });
  Deno.test({ name, ignore: !HAS_POSTGRES, fn });
}

const MOST = "9223372036854775807";

/** Values for mail whose other columns are right. */
function mail(columns: Readonly<Record<string, string>>): string {
  const all = {
    ...{ node: "'a'", sender: "'b'", device_id: "'d'", topic: "'device/d/response'", body: "'x'" },
    ...{ properties: "'{}'", is_awaited: "false", expires_at: "now() + interval '1 min'" },
    ...columns,
  };
  return `INSERT INTO mail (${Object.keys(all)}) VALUES (${Object.values(all)})`;
}

const REFUSED: readonly string[] = [
  "INSERT INTO leases VALUES ('b', 'infinity', now(), 1)",
  "INSERT INTO leases VALUES ('b', '-infinity', '-infinity', 1)",
  "INSERT INTO leases VALUES ('b', now() + interval '2 hours', now(), 1)",
  `INSERT INTO leases VALUES ('b', now(), now(), ${MOST})`,
  "INSERT INTO leases VALUES (E'\\x1b[31m', now(), now(), 1)",
  "INSERT INTO leases VALUES (repeat('b', 41), now(), now(), 1)",
  "INSERT INTO nodes VALUES ('', 1, 0)",
  `INSERT INTO nodes VALUES ('b', ${MOST}, 0)`,
  `UPDATE marks SET value = ${MOST} WHERE name = 'registry_revision'`,
  "INSERT INTO presence VALUES ('#', 'b')",
  "INSERT INTO presence VALUES ('d', E'b\\n')",
  mail({ device_id: "'a/b'" }),
  mail({ node: "''" }),
  mail({ body: "convert_to(repeat('x', 1048577), 'UTF8')" }),
  "INSERT INTO broker_list_uses VALUES (E'\\x1b[2J', 1)",
  `INSERT INTO broker_list_uses VALUES ('b', ${MOST})`,
  `INSERT INTO outbox (node, device_id, message_id, timestamp, accepted_ms, payload)
   VALUES ('a', 'd', 'm', '1', 1, convert_to(repeat('x', 1048577), 'UTF8'))`,
  `INSERT INTO outbox (node, device_id, message_id, timestamp, accepted_ms, payload)
   VALUES ('a', 'd', 'm', '1', ${MOST}, '')`,
];

testRows("what no gateway can use is refused by the server", async ({ sql }) => {
  for (const text of REFUSED) await assert.rejects(sql(text), /violates check constraint/, text);
});

testRows("a store that lacks its marks takes nothing in, and says so", async ({ store, sql }) => {
  const messages = messagesOf(store);
  for (const name of ["registry_revision", "forgotten_seconds"]) {
    const gone = await sql(`SELECT value FROM marks WHERE name = '${name}'`);
    await sql(`DELETE FROM marks WHERE name = '${name}'`);
    await assert.rejects(
      messages.commit(batch({ examined: [candidate("d")] })),
      /marks of the store are missing/,
    );
    await sql(`INSERT INTO marks VALUES ('', '${name}', ${gone.split("\n").at(-1)})`);
    const { committed } = await messages.commit(batch({ examined: [candidate("d")] }));
    assert.equal(committed[0]!.kind, "accepted");
  }
});

const ODD_MAIL: readonly Readonly<Record<string, string>>[] = [
  ...["", "#", "+/x", "$SYS/x", "device/d/data", "device/e/response", "device/d/response/x"].map(
    (topic) => ({ topic: `'${topic}'` }),
  ),
  { topic: "repeat('x', 70000)" },
  ...["null", "[]", '"x"', "5"].map((properties) => ({ properties: `'${properties}'` })),
  ...[5, "%%%", {}, null].map((correlationData) => (
    { properties: `'${JSON.stringify({ correlationData })}'` }
  )),
  ...[null, "x", [1], { a: 1 }, { a: ["x"] }, { a: null }].map((userProperties) => (
    { properties: `'${JSON.stringify({ userProperties })}'` }
  )),
  {
    properties: "jsonb_build_object('userProperties', jsonb_build_object('a', repeat('z', 70000)))",
  },
];

testRows("mail as no gateway writes it is told from what one writes", async ({ store, sql }) => {
  const { nodes } = messagesOf(store);
  const properties = { correlationData: Uint8Array.of(1, 2), userProperties: { a: "b" } };
  const right = { deviceId: "d", topic: "device/d/command", body: Uint8Array.of(7), properties };
  for (const columns of ODD_MAIL) await sql(mail(columns));
  const number = await nodes!.post({ ...right, node: "a", isAwaited: true });
  await sql(mail({ expires_at: "'infinity'" }));
  const taken = await nodes!.takeMail();
  assert.deepEqual(
    taken.slice(0, ODD_MAIL.length).map((one) => one.mail),
    ODD_MAIL.map(() => undefined),
  );
  const [good, endless] = taken.slice(ODD_MAIL.length);
  assert.equal(good!.number, number);
  assert.deepEqual(good!.mail, {
    ...{ ...right, node: "a", isAwaited: true },
    properties: { ...properties, messageExpiryInterval: 3_600 },
  });
  assert.equal(endless!.mail!.properties.messageExpiryInterval, 366 * 86_400);
});

testRows("notes of the audit are chained however many there are", async ({ store, sql }) => {
  await sql(`INSERT INTO audit_notes (at, author, event, subject, detail, count)
    SELECT 1, 'x', 'y', 'z', 'q', 1 FROM generate_series(1, 12000)`);
  const { sequence } = await store.audit.head();
  assert.ok(sequence >= 12_000);
  const { faults, count } = await store.audit.prove();
  assert.deepEqual([faults, count], [[], sequence]);
});

testRows("what is told over the database is passed over, unless it is right", async (parts) => {
  const { store, sql } = parts;
  const told: string[] = [];
  let listens = false;
  const listening = messagesOf(store).nodes!.listen({
    listening: () => listens = true,
    moved: (deviceId, node) => void told.push(`moved ${deviceId} ${node}`),
    mailCame: () => void told.push("mail"),
    mailConcluded: (number) => void told.push(`concluded ${number}`),
    commandChanged: (messageId) => void told.push(`changed ${messageId}`),
  });
  try {
    await poll("the listener", () => listens);
    const odd = [
      ...["", "[]", "null", "5", '{"moved":"a/#","node":"b"}', '{"moved":"d"}', '{"mail":5}'],
      ...['{"changed":"' + "x".repeat(37) + '","node":"b"}', '{"concluded":1.5,"node":"a"}'],
      ...[`{"moved":"d","node":"${"b".repeat(41)}"}`, '{"moved":"","node":"b"}', "{"],
    ];
    for (const text of odd) await sql(`SELECT pg_notify('secure_iot_gateway', '${text}')`);
    await sql(`SELECT pg_notify('secure_iot_gateway', '{"moved":"d","node":"b"}')`);
    await poll("what is right", () => told.length > 0);
    assert.deepEqual(told, ["moved d b"]);
  } finally {
    await listening.close();
  }
});

testRows("a row of devices is its own device's trouble, whatever is in it", async (parts) => {
  const { store, sql } = parts;
  await sql(`INSERT INTO devices VALUES ('good', 'secret', 1), ('revoked', 'other', 1),
    (E'a\\nb', 's', 1), ('', 's', 1), (repeat('x', 2000), 's', 1), ('t', 's', ${MOST}),
    ('e', '', 1), ('l', repeat('x', 1000000), 1), ('s', '$sealed$1$0123456789ab$AAAA', 1);
    INSERT INTO device_revocations VALUES ('revoked', ${MOST}, repeat('x', 1000000));
    INSERT INTO device_secrets VALUES ('revoked', -${MOST}, repeat('x', 1000000), ${MOST}, ${MOST});
    INSERT INTO device_certificates (serial, device_id, not_before, not_after)
      VALUES ('01', 'revoked', -${MOST}, ${MOST})`);
  const devices = await store.registry.list();
  const sound = devices.filter(({ damage }) => damage === undefined);
  assert.deepEqual(sound.map(({ deviceId }) => deviceId), ["good"]);
  for (const { revokedReason = "" } of devices) assert.ok(revokedReason.length <= 1_000);
  const keys = await DeviceKeys.load(store.registry);
  assert.notEqual(await keys.key("good", 1), undefined);
  assert.equal(keys.statusOf("revoked", 1), "revoked");
  assert.equal(keys.newlyDamaged().length, devices.length - 1);
});
