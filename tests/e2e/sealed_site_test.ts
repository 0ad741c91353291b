import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { backup, DatabaseSync } from "node:sqlite";
import { GatewayProcess } from "../../src/demo/sandbox/gateway_process.ts";
import type { DeviceClient } from "../../src/client/device_client.ts";
import { poll } from "../../src/time/poll.ts";
import { Registry } from "../../src/store/sqlite/registry.ts";
import { Database } from "../../src/store/sqlite/database.ts";
import { shell } from "../support/shell.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";

async function secrets(site: LiveSite, verb: string): Promise<string> {
  const { code, stdout, stderr } = await shell(["secrets", verb, "--dir", site.layout.directory]);
  assert.equal(code, 0, stderr);
  return stdout;
}

/** Readings without a pause until `stop`; resolves to how many there were, all acknowledged. */
async function sendUntil(device: DeviceClient, stop: AbortSignal): Promise<string[]> {
  const sent: string[] = [];
  while (!stop.aborted) sent.push((await device.send(String(sent.length))).messageId);
  return sent;
}

Deno.test("a site is sealed, its key rotated, and it is unsealed again, without losing a message", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    const stop = new AbortController();
    const sending = sendUntil(device, stop.signal);
    assert.match(await secrets(site, "seal"), /^Sealed 1 secret under key [0-9a-f]{12}\n$/);
    await site.logged("store_reopened");
    for (const event of ["store_failed", "store_replaced"]) {
      assert.ok(!site.log.some((record) => record.event === event), event);
    }
    assert.match(await secrets(site, "seal"), /^Sealed 0 secrets/);
    assert.match(await secrets(site, "rotate-key"), /^Sealed 1 secret under key/);
    assert.match(await secrets(site, "unseal"), /^Unsealed 1 secret\n$/);
    stop.abort();
    const sent = await sending;
    assert.ok(sent.length > 10);
    const received = () => new Set(site.backend.received.map(({ messageId }) => messageId));
    await poll("every reading", () => received().size === sent.length);
    assert.deepEqual([...received()], sent, "each, in order");
    assert.deepEqual(site.log.filter(({ event }) => event === "message_rejected"), []);
  });
});

Deno.test("a sealed site takes in new devices, signs commands, and its database verifies nothing", async () => {
  await withLiveSite(async (site) => {
    const { directory } = site.layout;
    const folder = await site.register("sensor_001");
    await secrets(site, "seal");
    assert.equal((await shell(["device", "add", "sensor_002", "--dir", directory])).code, 0);
    const needles = ["sensor_001", "sensor_002"].flatMap((id) => {
      const secret = Deno.readTextFileSync(`${directory}/devices/${id}/secret`);
      const bytes = Buffer.from(secret);
      return [secret, bytes.toString("hex"), bytes.toString("base64").replace(/=*$/, "")];
    });
    const gateway = await GatewayProcess.start(directory);
    try {
      const second = await site.connect(`${directory}/devices/sensor_002`);
      for (const device of [await site.connect(folder), second]) {
        await device.response((await device.send("1")).messageId);
      }
      await site.api("/command/sensor_002", { method: "POST", body: '{"on":true}' });
      assert.ok((await second.command()).valid);
      for (const verb of ["sign", "verify"]) {
        const args = verb === "sign" ? ["1"] : ["-"];
        const input = verb === "sign"
          ? ""
          : (await shell(["sign", "sensor_001", "1", "--dir", directory])).stdout;
        assert.equal(
          (await shell([verb, "sensor_001", ...args, "--dir", directory], input)).code,
          0,
        );
      }
      const source = new DatabaseSync(site.layout.database);
      await backup(source, `${directory}/backup.db`);
      source.close();
      const { database } = site.layout;
      const files = [database, `${database}-wal`, `${database}-shm`, `${directory}/backup.db`];
      for (const path of [...files, ...mappedFiles(gateway.pid)]) {
        const text = Buffer.from(await Deno.readFile(path)).toString("latin1");
        for (const needle of needles) assert.ok(!text.includes(needle), path);
      }
      for (const needle of needles) assert.ok(!gateway.log().includes(needle));
    } finally {
      await gateway.stop();
    }
    const stolen = new Database(`${directory}/backup.db`);
    for (const device of new Registry(stolen).list()) {
      assert.throws(() => device.sharedSecret, /its key is not here/);
    }
    stolen.close();
  }, { start: false });
});

/** The files that a process has mapped into its memory. */
function mappedFiles(pid: number): string[] {
  const { stdout } = new Deno.Command("cat", { args: [`/proc/${pid}/maps`] }).outputSync();
  const paths = new TextDecoder().decode(stdout).split("\n").map((line) =>
    line.split(/\s+/, 6)[5] ?? ""
  );
  const files = [...new Set(paths)].filter((path) => path.startsWith("/"));
  assert.ok(files.some((path) => path.endsWith("gateway.db-shm")), "the store's own is among them");
  return files;
}

Deno.test("the gateway refuses to start without the key, with another, or one that others may read", async () => {
  await withLiveSite(async (site) => {
    const { directory } = site.layout;
    await site.register("sensor_001");
    await secrets(site, "seal");
    const file = `${directory}/secrets.key`;
    const key = await Deno.readTextFile(file);
    const run = async (pattern: RegExp) => {
      const { code, stderr } = await shell(["run", "--dir", directory]);
      assert.equal(code, 1);
      assert.match(stderr, /^error: /);
      assert.match(stderr, pattern);
      assert.doesNotMatch(stderr, /ready/);
    };
    await Deno.remove(file);
    await run(/sealed under [0-9a-f]{12}, and there is no secrets\.key/);
    for (const args of [["device", "add", "x"], ["sign", "sensor_001", "1"]]) {
      const { code, stderr } = await shell([...args, "--dir", directory]);
      assert.equal(code, 1);
      assert.match(stderr, /Cannot open the secrets/);
    }
    await Deno.writeTextFile(file, `${"B".repeat(42)}A\n`, { mode: 0o600 });
    await run(/sealed under [0-9a-f]{12}, and secrets\.key has [0-9a-f]{12}/);
    await Deno.writeTextFile(file, "no key\n");
    await run(/line 1 is no key/);
    await Deno.writeTextFile(file, key);
    await Deno.chmod(file, 0o644);
    await run(/others may read it/);
    await Deno.rename(file, `${directory}/credentials`);
    await Deno.mkdir(`${directory}/systemd`);
    await Deno.rename(`${directory}/credentials`, `${directory}/systemd/secrets.key`);
    const gateway = await GatewayProcess.start(directory, {
      environment: { CREDENTIALS_DIRECTORY: `${directory}/systemd` },
    });
    assert.equal(await gateway.stop(), 0);
  }, { start: false });
});

Deno.test("a secret that looks sealed is refused; an altered one refuses its device alone, and is named", async () => {
  await withLiveSite(async (site) => {
    const { directory } = site.layout;
    const [first, second] = [await site.register("sensor_001"), await site.register("sensor_002")];
    const file = `${directory}/a.secret`;
    await Deno.writeTextFile(file, "$sealed$1$");
    const add = ["device", "add", "x", "--secret-file", file, "--dir", directory];
    assert.match((await shell(add)).stderr, /it is a sealed secret/);
    await secrets(site, "seal");
    site.withStore((store) =>
      store.prepare(
        "UPDATE devices SET shared_secret = shared_secret || 'AAAA' WHERE device_id = 'sensor_001'",
      ).run()
    );
    await site.startGateway();
    assert.match((await site.logged("device_damaged")).message, /its secret was altered/);
    const [altered, sound] = [await site.connect(first), await site.connect(second)];
    await altered.send("1");
    await sound.response((await sound.send("1")).messageId);
    const rejected = await poll(
      "a rejection",
      () => site.log.find(({ event }) => event === "message_rejected"),
    );
    assert.equal(rejected.code, "invalid_signature");
    assert.equal(rejected.device_id, "sensor_001");
  }, { start: false });
});
