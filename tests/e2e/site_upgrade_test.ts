/** `site upgrade`, from a site of the version before acknowledgements and receipts. */

import assert from "node:assert/strict";
import { ackTopic } from "../../src/core/topic.ts";
import type { DeviceClient } from "../../src/client/device_client.ts";
import { rulesOf } from "../../src/site/mosquitto/access_list.ts";
import { poll } from "../../src/time/poll.ts";
import { examine, named } from "../support/broken_site.ts";
import { type LiveSite } from "../support/live_site.ts";
import { withOlderSite } from "../support/older_site.ts";
import { streamReadings } from "../support/reading_stream.ts";
import { shell } from "../support/shell.ts";

/** MQTT 5 §3.4.2.1: Not authorized. */
const NOT_AUTHORIZED = 0x87;
const ADDED = [
  "pattern write device/%u/ack",
  "pattern read device/%u/receipt",
  "pattern read device/+/ack",
  "pattern write device/+/receipt",
];
const OWN_LINES = "# Mine.\nuser boss\ntopic read stats/#\n";

function upgrade(site: LiveSite, ...args: string[]) {
  return shell(["site", "upgrade", ...args, "--dir", site.layout.directory]);
}

async function acknowledges(device: DeviceClient): Promise<boolean> {
  const { reasonCode } = await device.publish("{}", { topic: ackTopic(device.deviceId) });
  return reasonCode !== NOT_AUTHORIZED;
}

function filesOf({ layout }: LiveSite): string[] {
  return [layout.aclDevices, layout.aclGateway, layout.revocationList]
    .map((path) => Deno.readTextFileSync(path));
}

function rulesIn(site: LiveSite): string[] {
  return filesOf(site).slice(0, 2).flatMap(rulesOf);
}

Deno.test("site upgrade adds what is missing; no connection is lost and no message", async () => {
  await withOlderSite(async (site) => {
    const { aclDevices } = site.layout;
    await Deno.writeTextFile(aclDevices, await Deno.readTextFile(aclDevices) + OWN_LINES);
    await Deno.chmod(aclDevices, 0o640);
    if (Deno.uid() === 0) await Deno.chown(aclDevices, 65_534, 65_534);
    const before = await Deno.stat(aclDevices);
    const device = await site.device("sensor_001");
    const plain = await site.device("sensor_002", { protocolVersion: 4 });
    assert.equal(await acknowledges(device), false);
    const stops = [device, plain].map(streamReadings);

    const { code, stdout, stderr } = await upgrade(site);
    assert.equal(code, 0, stderr);
    for (const rule of ADDED) assert.ok(stdout.includes(`\n+ ${rule}\n`), stdout);
    assert.match(stdout, /acl_devices, behind line 4:\n\+ # .*\n\+ pattern write device\/%u\/ack/);
    assert.match(stdout, /access list: 2 rules added to .*acl_devices\n/);
    assert.match(stdout, /access list: 2 rules added to .*acl_gateway\n/);
    assert.match(stdout, /probe: the gateway may send a receipt, and the device receives it/);
    assert.match(stdout, /\nThe site in .* is up to date\n$/);

    const sent = await Promise.all(stops.map((stop) => stop()));
    assert.ok(sent.every((count) => count > 0), String(sent));
    const total = sent[0]! + sent[1]!;
    await site.received(total);
    assert.equal(site.backend.received.length, total);
    assert.equal(new Set(site.backend.received.map(({ messageId }) => messageId)).size, total);
    assert.ok(device.connected && plain.connected);
    assert.equal(await site.metric("broker_connects_total"), 1, "the gateway stayed connected");
    assert.equal(await acknowledges(device), true);
    const body = '{"action":"reboot"}';
    await site.api("/command/sensor_001", { method: "POST", body });
    assert.equal((await device.command()).payload, body);

    const after = await Deno.stat(aclDevices);
    assert.deepEqual([after.mode, after.uid, after.gid], [before.mode, before.uid, before.gid]);
    assert.ok((await Deno.readTextFile(aclDevices)).includes(`\n${OWN_LINES}`));
  });
});

Deno.test("site upgrade again changes nothing, and sees that the broker uses the lists", async () => {
  await withOlderSite(async (site) => {
    assert.equal((await upgrade(site)).code, 0);
    const files = filesOf(site);
    const again = await upgrade(site, "--json");
    assert.equal(again.code, 0, again.stderr);
    assert.deepEqual(JSON.parse(again.stdout), {
      changes: [],
      complete: true,
      steps: [{ kind: "nothing_missing" }, { kind: "receipt_received" }],
      fault: null,
    });
    assert.deepEqual(filesOf(site), files);
    const findings = await examine(site);
    assert.deepEqual(named(findings, "warn"), []);
    assert.deepEqual(named(findings, "fail"), []);
  });
});

Deno.test("site upgrade --dry-run shows the difference and changes nothing", async () => {
  await withOlderSite(async (site) => {
    const device = await site.device("sensor_001");
    const files = filesOf(site);
    const { code, stdout } = await upgrade(site, "--dry-run");
    assert.equal(code, 0);
    for (const rule of ADDED) assert.ok(stdout.includes(`\n+ ${rule}\n`), stdout);
    assert.match(stdout, /\nNothing was changed: a dry run\n$/);
    const { changes } = JSON.parse((await upgrade(site, "--dry-run", "--json")).stdout);
    assert.deepEqual(changes[0].added.map((one: { after_line: number }) => one.after_line), [4, 8]);
    assert.deepEqual(filesOf(site), files);
    assert.equal(await acknowledges(device), false);
  });
});

Deno.test("site upgrade without a broker that runs is complete: it reads the lists when it starts", async () => {
  await withOlderSite(async (site) => {
    await site.stopGateway();
    await site.stopBroker();
    for (const expected of [/2 rules added/, /they lack nothing/]) {
      const { code, stdout, stderr } = await upgrade(site);
      assert.equal(code, 0, stderr);
      assert.match(stdout, expected);
      assert.match(stdout, /broker: not running \(.*\); it reads the access lists when it starts/);
    }
    await site.startBroker();
    assert.equal(await acknowledges(await site.device("sensor_001")), true);
  });
});

Deno.test("a broker that must not be reloaded is told by the next run, once that is safe", async () => {
  await withOlderSite(async (site) => {
    const folder = await site.register("sleeper");
    await (await site.connect(folder, { sessionExpirySeconds: 3600 })).close();
    const device = await site.device("sensor_001");
    await poll("the broker to save the session", () => savedSessions(site).includes("sleeper"));

    const first = await upgrade(site, "--json");
    assert.equal(first.code, 1);
    assert.match(first.stderr, /while sleeper is offline with a session that expires/);
    const { complete, fault, steps } = JSON.parse(first.stdout);
    assert.deepEqual([complete, fault.kind], [false, "broker_not_told"]);
    assert.equal(steps.at(-1).kind, "access_list_upgraded");
    assert.equal(await acknowledges(device), false);

    await (await site.connect(folder)).close(); // without a session
    await poll("the broker to forget it", () => !savedSessions(site).includes("sleeper"));
    const second = await upgrade(site);
    assert.equal(second.code, 0, second.stderr);
    assert.match(second.stdout, /broker: process \d+ was told/);
    assert.equal(await acknowledges(device), true);
    assert.ok(device.connected);
  });
});

function savedSessions({ layout }: LiveSite): string {
  try {
    return Deno.readTextFileSync(layout.brokerSessions);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}

Deno.test("a list that Mosquitto could not read is neither changed nor told", async () => {
  await withOlderSite(async (site) => {
    const { aclGateway } = site.layout;
    await Deno.writeTextFile(aclGateway, `${await Deno.readTextFile(aclGateway)}pattern reed x\n`);
    const files = filesOf(site);
    for (const args of [["--dry-run"], [], ["--json"]]) {
      const { code, stdout, stderr } = await upgrade(site, ...args);
      assert.equal(code, 1);
      assert.equal(stdout, "");
      assert.match(
        stderr,
        /^error: Cannot give the broker its lists: .*acl_gateway": line \d+: "reed" is none of "read"/,
      );
      assert.match(
        stderr,
        /\nhint: Fix that and run the same command again; nothing was changed at the broker/,
      );
    }
    assert.deepEqual(filesOf(site), files);
  });
});

Deno.test("an older site works as before: doctor names what is missing, and revoke adds nothing", async () => {
  await withOlderSite(async (site) => {
    const device = await site.device("sensor_001");
    const { messageId } = await device.send("1");
    await device.response(messageId);
    const findings = await examine(site, { silent: true });
    assert.deepEqual(named(findings, "fail"), []);
    assert.deepEqual(named(findings, "warn"), [
      "devices' access list",
      "gateway's access list",
      "acknowledgement, receipt",
      "receipt",
      "command",
    ]);
    const warnings = findings.filter(({ status }) => status === "warn");
    const observed = warnings.map((one) => one.observed).join("\n");
    for (const rule of ADDED) assert.ok(observed.includes(`there is no line "${rule}"`), observed);
    for (const { remedy } of warnings) assert.match(remedy!, /secure-iot-gateway site upgrade$/);

    await site.register("thief");
    const { code, stderr } = await shell(
      ["device", "revoke", "thief", "--dir", site.layout.directory],
    );
    assert.equal(code, 0, stderr);
    assert.deepEqual(rulesIn(site).filter((rule) => ADDED.includes(rule)), []);
    assert.equal((await upgrade(site)).code, 0);
    assert.ok(rulesIn(site).includes("topic deny device/#"), "the revocation is still there");
    await assert.rejects(site.connect(`${site.layout.devicesFolder}/thief`), /revoked/i);
  });
});
