import assert from "node:assert/strict";
import { DeviceClient } from "../../src/client/device_client.ts";
import { poll } from "../../src/time/poll.ts";
import { shell } from "../support/shell.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";

const READING = '{"temperature":22.5}';

function device(site: LiveSite, ...args: string[]) {
  return shell(["device", ...args, "--dir", site.layout.directory]);
}

async function lastUses(site: LiveSite): Promise<Record<string, string | null>> {
  const { stdout } = await device(site, "show", "sensor_001", "--json");
  const secrets: { number: number; last_used_at: string | null }[] = JSON.parse(stdout).secrets;
  return Object.fromEntries(secrets.map((one) => [one.number, one.last_used_at]));
}

Deno.test("a secret is rotated under load without one message refused", async () => {
  await withLiveSite(async (site) => {
    const old = await site.device("sensor_001");
    let stopped = false;
    let sent = 0;
    const load = (async () => {
      for (; !stopped; sent++) await old.send(READING);
    })();
    load.catch(() => {});
    const rotated = await device(site, "rotate", "sensor_001", "--secret", "--overlap", "1h");
    assert.equal(rotated.code, 0, rotated.stderr);
    const before = sent;
    await poll("some more", () => sent > before + 20);
    stopped = true;
    await load;
    await site.received(sent);

    // Until the device signs with the new one, it is spoken to with the old one.
    const command = { method: "POST", body: '{"now":1}' };
    assert.equal((await site.api("/command/sensor_001", command)).status, 202);
    assert.equal((await old.command()).payload, command.body);
    await poll("the use of the old one", async () => (await lastUses(site))["1"] ?? undefined);
    assert.equal((await lastUses(site))["2"], null);
    assert.equal((await device(site, "rotate", "sensor_001", "--finish")).code, 1);

    const folder = `${site.layout.devicesFolder}/sensor_001`;
    const fresh = await site.connect(folder);
    await fresh.response((await fresh.send(READING)).messageId);
    await site.logged("new_secret_used");
    assert.equal((await site.api("/command/sensor_001", command)).status, 202);
    assert.equal((await fresh.command()).payload, command.body);
    assert.ok((await lastUses(site))["2"]);

    const stale = await old.sign(READING);
    const finished = await device(site, "rotate", "sensor_001", "--finish");
    assert.equal(finished.code, 0, finished.stderr);
    await fresh.publish(stale.message);
    const refused = await site.logged("message_rejected");
    assert.equal(refused.message, "Rejected message from sensor_001: Invalid signature");
    assert.equal(await site.metric('rejected_total{code="invalid_signature"}'), 1);
  });
});

Deno.test("a rotation that is run again leaves the device's own secret good", async () => {
  await withLiveSite(async (site) => {
    const old = await site.device("sensor_001");
    for (let i = 0; i < 3; i++) {
      assert.equal((await device(site, "rotate", "sensor_001", "--secret")).code, 0);
    }
    await old.response((await old.send(READING)).messageId);
    const fresh = await site.connect(`${site.layout.devicesFolder}/sensor_001`);
    await fresh.response((await fresh.send(READING)).messageId);
    const { stdout } = await device(site, "show", "sensor_001");
    assert.match(stdout, /^secret 4: newest/m);
    assert.match(stdout, /^secret 1: valid until /m);
  });
});

Deno.test("a certificate is rotated: both are good, until the one before is withdrawn", async () => {
  await withLiveSite(async (site) => {
    const folder = await site.register("sensor_001");
    const before = {
      certificate: await Deno.readTextFile(`${folder}/client.crt`),
      key: await Deno.readTextFile(`${folder}/client.key`),
    };
    const args = ["sensor_001", "--certificate", "--valid-days", "90"];
    const rotated = await device(site, "rotate", ...args);
    assert.equal(rotated.code, 0, rotated.stderr);
    assert.notEqual(await Deno.readTextFile(`${folder}/client.crt`), before.certificate);
    const old = await site.connect(folder, { clientCertificate: before });
    await old.response((await old.send(READING)).messageId);
    await old.close();
    const finished = await device(site, "rotate", "sensor_001", "--finish");
    assert.equal(finished.code, 0, finished.stderr);
    assert.match(finished.stdout, /; revoked 1 certificate$/m);
    const { port } = site.config.devices;
    await assert.rejects(
      DeviceClient.connect(folder, { port, clientCertificate: before }),
      /revoked/i,
    );
    const fresh = await site.connect(folder);
    await fresh.response((await fresh.send(READING)).messageId);
    const { stdout } = await device(site, "show", "sensor_001", "--json");
    const days = (Date.parse(JSON.parse(stdout).certificate_not_after) - Date.now()) / 86_400_000;
    assert.ok(days > 89 && days < 91, `${days} days`);
    assert.deepEqual([...Deno.readDirSync(site.layout.devicesFolder)].map(({ name }) => name), [
      "sensor_001",
    ]);
  });
});

Deno.test("rotate names wrong use", async () => {
  await withLiveSite(async (site) => {
    await site.register("sensor_001");
    const rows: [string[], RegExp, number][] = [
      [["sensor_001"], /No --secret, --certificate or --finish was given/, 2],
      [["sensor_001", "--secret", "--finish"], /at once/, 2],
      [["sensor_001", "--secret", "--overlap", "soon"], /overlap "soon"/, 2],
      [["sensor_001", "--certificate", "--valid-days", "0"], /whole number of days/, 2],
      [["nobody", "--secret"], /There is no device "nobody"/, 1],
    ];
    for (const [args, fault, code] of rows) {
      const result = await device(site, "rotate", ...args);
      assert.equal(result.code, code, args.join(" "));
      assert.match(result.stderr, fault);
    }
  }, { start: false });
});
