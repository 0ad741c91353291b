import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import type { AuditEntry } from "../../src/store/audit.ts";
import { poll } from "../../src/time/poll.ts";
import { AuditLog } from "../../src/store/sqlite/audit_log.ts";
import { shell } from "../support/shell.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";

function entries(site: LiveSite): AuditEntry[] {
  return site.withStore((store) => [...new AuditLog(store).since(0)]);
}

function rejections(site: LiveSite): string[] {
  return entries(site).filter(({ event }) => event === "message_rejected")
    .map(({ author, subject, detail, count }) => `${author}: ${subject} ${detail} ${count}`);
}

Deno.test("rejections are in the audit at once, and those that follow with their count", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    for (let i = 0; i < 7; i++) await device.publish(`not json ${i} hush`);
    const { message } = await device.send('"hush"');
    await device.publish(message.replace("hush", "loud"));
    await poll("two entries", () => rejections(site).length === 2);
    assert.deepEqual(rejections(site), [
      "gateway: sensor_001 malformed 1",
      "gateway: sensor_001 invalid_signature 1",
    ]);
    site.clockOffsetMs += 61_000;
    await poll("the count", () => rejections(site).length === 3);
    assert.equal(rejections(site)[2], "gateway: sensor_001 malformed 6");
    await device.publish("one more");
    await poll(
      "its rejection",
      () => site.log.filter(({ event }) => event === "message_rejected").length === 9,
    );
    await site.stopGateway();
    await site.startGateway();
    site.clockOffsetMs += 130_000;
    await poll("the count of before", () => rejections(site).length === 4);
    assert.equal(rejections(site)[3], "gateway: sensor_001 malformed 1");
    assert.doesNotMatch(JSON.stringify(entries(site)), /hush|loud|not json/);
    assert.deepEqual(site.withStore((store) => new AuditLog(store).prove().faults), []);
  });
});

Deno.test("who commands a device, or tries to without the right key, is in the audit and the log", async () => {
  await withLiveSite(async (site) => {
    await site.register("sensor_001");
    const key = Deno.readTextFileSync(site.layout.apiKey).trim();
    const command = async (authorization: string, body: string) => {
      const headers = { "content-type": "application/json", authorization };
      const response = await site.api("/command/sensor_001", { method: "POST", headers, body });
      return await response.json();
    };
    const { message_id: id } = await command(`Bearer ${key}`, '"hush"');
    await command(`Bearer ${key}`, "hush");
    for (let i = 0; i < 3; i++) await command(`Bearer hush${i}`, '"hush"');
    await command("", '"hush"');
    const made = () =>
      entries(site).filter(({ author }) => author === "gateway")
        .map(({ event, subject, detail, count }) => `${event} ${subject} ${detail} ${count}`);
    const expected = [
      `command_accepted sensor_001 backend ${id} no_subscriber 1`,
      "command_refused sensor_001 backend - not-json 1",
      "api_key_refused  wrong key, last from 127.0.0.1 1",
      "api_key_refused  no key, last from 127.0.0.1 1",
    ];
    await poll("four entries", () => made().length === 4);
    assert.deepEqual(made(), expected);
    await site.stopGateway(); // tells what is left of the minute
    assert.deepEqual(made(), [...expected, "api_key_refused  wrong key, last from 127.0.0.1 2"]);
    const sent = site.log.find(({ event }) => event === "command_accepted")!;
    assert.partialDeepStrictEqual(sent, {
      level: "info",
      message: "Command of key backend to sensor_001: no_subscriber",
      key_name: "backend",
      device_id: "sensor_001",
      message_id: id,
    });
    assert.equal(site.log.filter(({ event }) => event === "api_key_refused").length, 3);
    for (const secret of ["hush", key]) {
      assert.ok(!JSON.stringify([entries(site), site.log]).includes(secret));
    }
  });
});

Deno.test("whose key cancelled a command is in the audit and the log, also if a copy was sent", async () => {
  await withLiveSite(async (site) => {
    await site.device("sensor_001");
    await site.register("sensor_002");
    const lines: string[] = [];
    for (const [id, state] of [["sensor_001", "sent"], ["sensor_002", "cancelled"]] as const) {
      const init = { method: "POST", body: "1", headers: { ttl: "60" } };
      const path = (await site.api(`/command/${id}`, init)).headers.get("location")!;
      for (let i = 0; i < 2; i++) await site.api(path, { method: "DELETE" });
      lines.push(`${id} backend ${path.split("/").at(-1)} ${state}`);
    }
    const cancelled = () => entries(site).filter(({ event }) => event === "command_cancelled");
    await poll("both entries", () => cancelled().length === 2);
    assert.deepEqual(cancelled().map(({ subject, detail }) => `${subject} ${detail}`), lines);
    assert.equal(site.log.filter(({ event }) => event === "command_cancelled").length, 2);
  });
});

Deno.test("a flood of refused commands is ten entries and their number, also in the metrics", async () => {
  await withLiveSite(async (site) => {
    await site.register("sensor_001");
    for (let i = 0; i < 25; i++) {
      const response = await site.api("/command/sensor_001", { method: "POST", body: "{" });
      assert.equal(response.status, 400);
    }
    assert.equal((await site.api("/command/other", { method: "POST", body: "1" })).status, 404);
    const refusals = () => entries(site).filter(({ event }) => event === "command_refused");
    await poll("ten and one", () => refusals().length === 11);
    const refused = "commands_refused_total";
    assert.equal(await site.metric(`${refused}{reason="not-json"}`), 10);
    assert.equal(await site.metric(`${refused}{reason="unknown-device"}`), 1);
    assert.equal((await site.api("/metrics", { headers: { authorization: "" } })).status, 401);
    assert.equal(await site.metric('api_keys_refused_total{fault="no key"}'), 1);
    await site.stopGateway(); // tells what is left of the minute
    const last = refusals().at(-1)!;
    assert.deepEqual([last.subject, last.detail, last.count], [
      "sensor_001",
      "backend - not-json",
      15,
    ]);
    assert.equal(refusals().length, 12);
    const lines = site.log.filter(({ event }) => event === "command_refused");
    assert.equal(lines.length, 12);
    assert.equal(
      lines.at(-1)!["message"],
      "Did not send 15 more commands of key backend within a minute, the last to sensor_001: not-json",
    );
  });
});

Deno.test("audit verify and export work beside a running gateway; the log has the head too", async () => {
  await withLiveSite(async (site) => {
    const audit = (...args: string[]) => shell(["audit", ...args, "--dir", site.layout.directory]);
    const add = ["device", "add", "sensor_001", "--dir", site.layout.directory];
    assert.equal((await shell(add)).code, 0);
    const { stdout } = await audit("verify");
    assert.match(stdout, /^Verified 3 entries, up to number 3\nhead [0-9a-f]{64}\n$/);
    const head = /head (.*)/.exec(stdout)![1]!;
    const device = await site.connect(`${site.layout.directory}/devices/sensor_001`);
    await device.publish("{");
    await poll("its entry", () => rejections(site).length === 1);
    assert.equal((await audit("verify", "--head", head)).code, 0);

    const lines = (await audit("export")).stdout.trimEnd().split("\n").map((line) =>
      JSON.parse(line)
    );
    assert.deepEqual(lines.map(({ author, event, subject }) => `${author} ${event} ${subject}`), [
      "command api_key_added backend",
      "command device_added sensor_001",
      "command certificate_added sensor_001",
      "gateway message_rejected sensor_001",
    ]);
    assert.equal(lines[2].hash, head);
    assert.equal((await audit("export", "--since", "1h")).stdout.split("\n").length, 5);
    assert.equal((await audit("export", "--since", "2999-01-01")).stdout, "");
    for (const bad of ["yesterday", "2026-13-45", "-1"]) {
      const { code, stderr } = await audit("export", `--since=${bad}`);
      assert.equal(code, 2, bad);
      assert.match(stderr, /Cannot use the time/);
    }
    assert.equal((await audit("verify", "--head", "ab")).code, 2);
    const other = await audit("verify", "--head", "0".repeat(63) + "1");
    assert.equal(other.code, 1);
    assert.match(other.stderr, /^error: No entry has the hash 0+1/);

    const foreign = new DatabaseSync(site.layout.database);
    foreign.exec("INSERT INTO devices VALUES ('brought', 'hush', 1)");
    foreign.close();
    await poll("its entry", () => entries(site).length === 5);
    const [author, event, subject] = ["another program", "device_added", "brought"];
    assert.partialDeepStrictEqual(entries(site)[4], { author, event, subject });

    await site.stopGateway();
    const kept = site.log.findLast(({ event }) => event === "audit_head")!;
    assert.equal(kept["head"], entries(site)[4]!.hash.toHex());
    site.withStore((store) =>
      store.prepare("DROP TRIGGER audit_update").run() &&
      store.prepare("UPDATE audit SET subject = 'x' WHERE sequence = 2").run()
    );
    const altered = await audit("verify");
    assert.equal(altered.code, 1);
    assert.equal(altered.stdout, "");
    assert.match(altered.stderr, /^error: Entry 2 was altered, or is not in its place\n$/);
  });
});
