import assert from "node:assert/strict";
import { poll } from "../../src/time/poll.ts";
import { streamReadings } from "../support/reading_stream.ts";
import { shell } from "../support/shell.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";

const READING = '{"temperature":22.5}';

function revoke(site: LiveSite, ...args: string[]) {
  return shell(["device", "revoke", ...args, "--dir", site.layout.directory]);
}

function restore(site: LiveSite, deviceId: string) {
  return shell(["device", "restore", deviceId, "--dir", site.layout.directory]);
}

function remove(site: LiveSite, ...args: string[]) {
  return shell(["device", "remove", ...args, "--dir", site.layout.directory]);
}

async function copyFolder(from: string, to: string): Promise<void> {
  await Deno.mkdir(to);
  for await (const { name } of Deno.readDir(from)) {
    await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
  }
}

Deno.test("revoke refuses a device immediately and verifies it; other devices notice nothing", async () => {
  await withLiveSite(async (site) => {
    const folder = await site.register("thief");
    const thief = await site.connect(folder);
    const neighbour = await site.device("neighbour");
    const stop = streamReadings(neighbour);
    await thief.send(READING);

    const result = await revoke(site, "thief", "--reason", "stolen from the roof");
    assert.equal(result.code, 0, result.stderr);
    assert.match(result.stdout, /registry: messages of thief are refused/);
    assert.match(result.stdout, /revocation list: number 2, 1 certificate, 1 of them of thief/);
    assert.match(result.stdout, /access list: every topic is denied to 1 revoked device/);
    assert.match(result.stdout, /probe: a certificate on this list is refused: .*revoked/i);
    assert.match(
      result.stdout,
      /probe: a device that is not revoked receives .* refused another's/,
    );
    assert.match(result.stdout, /probe: connected as thief, which ended its connection/);
    assert.match(result.stdout, /\nRevoked thief\n$/);

    await poll("the end of its connection", () => !thief.connected);
    await assert.rejects(site.connect(folder), /revoked/i);
    const sent = await stop();
    assert.ok(neighbour.connected && sent > 0);
    await site.received(sent + 1);
    assert.equal(await site.metric("broker_connects_total"), 1, "the gateway stayed connected");
    const show = await shell(["device", "show", "thief", "--dir", site.layout.directory]);
    assert.match(show.stdout, /status: revoked[^]*revoked_reason: stolen from the roof/);
  });
});

Deno.test("remove ends a device's connection and it cannot connect again; its id is free", async () => {
  await withLiveSite(async (site) => {
    const folder = await site.register("retired");
    const kept = `${site.layout.directory}/kept`;
    await copyFolder(folder, kept);
    const retired = await site.connect(folder);
    const neighbour = await site.device("neighbour");
    const stop = streamReadings(neighbour);

    const result = await remove(site, "retired");
    assert.equal(result.code, 0, result.stderr);
    assert.match(result.stdout, /registry: messages of retired are refused/);
    assert.match(result.stdout, /revocation list: number 2, 1 certificate, 1 of them of retired/);
    assert.match(result.stdout, /probe: a certificate on this list is refused: .*revoked/i);
    assert.match(result.stdout, /the connection of retired was ended/);
    assert.match(result.stdout, /\nRemoved retired\n$/);

    await poll("the end of its connection", () => !retired.connected);
    await assert.rejects(site.connect(kept), /revoked/i);
    assert.ok(await stop() > 0 && neighbour.connected);

    const add = await shell(["device", "add", "retired", "--dir", site.layout.directory]);
    assert.equal(add.code, 0, add.stderr);
    const successor = await site.connect(folder);
    const { messageId } = await successor.send(READING);
    await successor.response(messageId);
    await assert.rejects(site.connect(kept), /revoked/i);
  });
});

Deno.test("a removal that the broker was not told of keeps the folder, and goes on when run again", async () => {
  await withLiveSite(async (site) => {
    const folder = await site.register("retired");
    const kept = `${site.layout.directory}/kept`;
    await copyFolder(folder, kept);
    const retired = await site.connect(folder);
    const pid = await Deno.readTextFile(site.layout.brokerPid);
    await Deno.remove(site.layout.brokerPid);
    const first = await remove(site, "retired", "--json");
    assert.equal(first.code, 1);
    assert.match(first.stderr, /^error: Cannot tell the broker: there is no process number/);
    const told = JSON.parse(first.stdout);
    assert.equal(told.complete, false);
    assert.equal(told.fault.kind, "broker_not_told");
    await poll("the end of its connection", () => !retired.connected);

    await Deno.writeTextFile(site.layout.brokerPid, pid);
    const again = await remove(site, "retired", "--json");
    assert.equal(again.code, 0, again.stderr);
    assert.deepEqual(JSON.parse(again.stdout).steps.map(({ kind }: { kind: string }) => kind), [
      "revocation_list_written",
      "access_list_written",
      "broker_reloaded",
      "listed_certificate_refused",
      "access_verified",
      "connection_ended",
      "bundle_removed",
    ]);
    await assert.rejects(site.connect(kept), /revoked/i);
    assert.equal((await remove(site, "retired")).code, 1, "there is no such device any more");
  });
});

Deno.test("where the broker cannot be told, the registry refuses the very next message all the same", async () => {
  await withLiveSite(async (site) => {
    // A broker that cannot be told leaves the registry to do it alone.
    await Deno.remove(site.layout.brokerPid);
    const thief = await site.device("thief");
    const result = await revoke(site, "thief");
    assert.equal(result.code, 1);
    assert.match(result.stderr, /^error: Cannot tell the broker: there is no process number/);
    assert.match(result.stdout, /The registry refuses thief already/);
    assert.match(result.stdout, /the connection of thief was ended/);
    await poll("the end of its connection", () => !thief.connected);
    const again = await site.connect(`${site.layout.devicesFolder}/thief`);
    await again.send(READING);
    const refused = await site.logged("message_rejected");
    assert.equal(refused.message, "Rejected message from thief: Device revoked");
    assert.equal(site.backend.received.length, 0);
  });
});

Deno.test("a revocation that broke off is made up for by running it again", async () => {
  await withLiveSite(async (site) => {
    const folder = await site.register("thief");
    const pid = await Deno.readTextFile(site.layout.brokerPid);
    await Deno.remove(site.layout.brokerPid);
    assert.equal((await revoke(site, "thief", "--reason", "lost")).code, 1);
    await (await site.connect(folder)).close();
    await Deno.writeTextFile(site.layout.brokerPid, pid);
    const again = await revoke(site, "thief");
    assert.equal(again.code, 0, again.stderr);
    await assert.rejects(site.connect(folder), /revoked/i);
    const { stdout } = await shell(["device", "show", "thief", "--dir", site.layout.directory]);
    assert.match(stdout, /revoked_reason: lost/);
  });
});

Deno.test("restore lets a device in again, and only that one", async () => {
  await withLiveSite(async (site) => {
    const one = await site.register("one");
    const other = await site.register("other");
    for (const id of ["one", "other"]) assert.equal((await revoke(site, id)).code, 0);
    const restored = await restore(site, "one");
    assert.equal(restored.code, 0, restored.stderr);
    assert.match(restored.stdout, /Restored one/);
    const device = await site.connect(one);
    const { messageId } = await device.send(READING);
    await device.response(messageId);
    await assert.rejects(site.connect(other), /revoked/i);
  });
});

Deno.test("what was sent for a gateway that is away survives a revocation", async () => {
  await withLiveSite(async (site) => {
    const sleeper = await site.register("sleeper");
    const asleep = await site.connect(sleeper, { sessionExpirySeconds: 0xffff_ffff });
    await asleep.close();
    await site.register("thief");
    const device = await site.device("neighbour");
    await site.stopGateway();
    await device.send(READING);
    const result = await revoke(site, "thief");
    assert.equal(result.code, 0, result.stderr);
    await device.send(READING);
    await site.startGateway();
    await site.received(2);
    const body = '{"action":"wake"}';
    assert.equal((await site.api("/command/sleeper", { method: "POST", body })).status, 202);
    const awake = await site.connect(sleeper, { sessionExpirySeconds: 0xffff_ffff });
    assert.equal((await awake.command()).payload, body);
  });
});

Deno.test("the broker is not reloaded while that would corrupt its memory", async () => {
  await withLiveSite(async (site) => {
    const sleeper = await site.device("sleeper", { sessionExpirySeconds: 3600 });
    await sleeper.close();
    const thief = await site.device("thief");
    const saved = () =>
      Deno.readTextFileSync(site.layout.brokerSessions).includes("sleeper") ? true : undefined;
    await poll("the broker to save the session", () => {
      try {
        return saved();
      } catch {
        return undefined;
      }
    });
    const result = await revoke(site, "thief");
    assert.equal(result.code, 1);
    assert.match(result.stderr, /while sleeper is offline with a session that expires/);
    assert.match(result.stderr, /hint: Restart the broker/);
    await poll("the end of its connection", () => !thief.connected);
    await site.stopBroker();
    await site.startBroker();
    const folder = `${site.layout.devicesFolder}/thief`;
    await assert.rejects(site.connect(folder), /revoked/i, "the lists were written all the same");
  });
});

Deno.test("lists that Mosquitto could not read are neither written nor told", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("thief");
    const broken = await Deno.readTextFile(site.layout.aclDevices) + "pattern reed device/#\n";
    await Deno.writeTextFile(site.layout.aclDevices, broken);
    const list = await Deno.readTextFile(site.layout.revocationList);
    const result = await revoke(site, "thief");
    assert.equal(result.code, 1);
    assert.match(result.stderr, /acl_devices": line \d+: "reed" is none of "read"/);
    assert.equal(await Deno.readTextFile(site.layout.aclDevices), broken);
    assert.equal(await Deno.readTextFile(site.layout.revocationList), list);
    await poll("the end of its connection", () => !device.connected);
  });
});

Deno.test("a broker that turns out to let one device speak for another is stopped", async () => {
  await withLiveSite(async (site) => {
    await site.register("thief");
    const open = await Deno.readTextFile(site.layout.aclDevices) + "pattern write device/#\n";
    await Deno.writeTextFile(site.layout.aclDevices, open);
    const result = await revoke(site, "thief");
    assert.equal(result.code, 1);
    assert.match(result.stderr, /lets one device publish as another: it was stopped/);
    await site.broker!.exited;
  });
});

Deno.test("a process number that was left behind is not signalled", async () => {
  await withLiveSite(async (site) => {
    await site.register("thief");
    await Deno.writeTextFile(site.layout.brokerPid, String(Deno.pid));
    const result = await revoke(site, "thief");
    assert.equal(result.code, 1);
    assert.match(result.stderr, /named in ".*mosquitto\.pid", is not Mosquitto/);
  });
});

Deno.test("without the authority's key the registry and the connection are seen to all the same", async () => {
  await withLiveSite(async (site) => {
    const thief = await site.device("thief");
    await Deno.rename(site.layout.deviceCa.key, `${site.layout.directory}/away.key`);
    const result = await revoke(site, "thief");
    assert.equal(result.code, 1);
    assert.match(
      result.stderr,
      /Cannot sign the revocation list: .*\nhint: Put device-ca\.key back/,
    );
    await poll("the end of its connection", () => !thief.connected);
    await Deno.rename(`${site.layout.directory}/away.key`, site.layout.deviceCa.key);
    assert.equal((await revoke(site, "thief")).code, 0);
  });
});

Deno.test("two revocations at one time both hold", async () => {
  await withLiveSite(async (site) => {
    const ids = ["one", "two", "three"];
    for (const id of ids) await site.register(id);
    const results = await Promise.all(ids.map((id) => revoke(site, id)));
    for (const { code, stderr } of results) assert.equal(code, 0, stderr);
    for (const id of ids) {
      await assert.rejects(site.connect(`${site.layout.devicesFolder}/${id}`), /revoked/i);
    }
  });
});

Deno.test("revoke needs a device that is there", async () => {
  await withLiveSite(async (site) => {
    const result = await revoke(site, "nobody");
    assert.equal(result.code, 1);
    assert.match(result.stderr, /^error: There is no device "nobody"/);
  }, { start: false });
});

Deno.test("a device whose certificate has expired is refused on the connection that it still has", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("old");
    site.withStore((store) =>
      store.prepare("UPDATE device_certificates SET not_after = unixepoch() - 1").run()
    );
    await device.send(READING);
    const refused = await site.logged("message_rejected");
    assert.equal(refused.message, "Rejected message from old: Device revoked");
    assert.ok(device.connected);
    assert.equal(await site.metric("devices_expiring"), 0, "none when it started");
  });
});
