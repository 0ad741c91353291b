import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { connect } from "node:tls";
import { keyPairFault } from "../../src/config/credentials.ts";
import { programCommand } from "../../src/demo/sandbox/gateway_process.ts";
import { siteLayout } from "../../src/site/layout.ts";
import { poll } from "../../src/time/poll.ts";
import { reload, rewrite, withLiveProcess } from "../support/live_process.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";
import { quietPorts, shell } from "../support/shell.ts";
import { withFolder } from "../support/with_folder.ts";

const READING = '{"temperature":22.5}';
/** Between two messages of a device, so that the backend keeps up on a busy machine. */
const PACE_MS = 20;
const KILLS = 6;
/** By then the command has renewed. */
const LATEST_KILL_MS = 1_500;

function run(site: LiveSite, ...args: string[]) {
  return shell(["certificate", ...args, "--dir", site.layout.directory]);
}

function serialOf(path: string): string {
  return new X509Certificate(Deno.readTextFileSync(path)).serialNumber.toLowerCase();
}

/** The serial number that the broker shows to devices, or the API to its clients. */
function shownSerial({ layout }: LiveSite, port: number): Promise<string> {
  const ca = Deno.readTextFileSync(layout.gatewayCa.certificate);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, ca, servername: "localhost" }, () => {
      resolve(socket.getPeerCertificate().serialNumber.toLowerCase());
      socket.destroy();
    });
    socket.on("error", reject);
  });
}

Deno.test("certificate renew: each is in use afterwards, no message is lost and no request fails", async () => {
  await withLiveProcess(async (site) => {
    const { layout, config } = site;
    const device = await site.device("sensor_001");
    const stop = new AbortController();
    const sending = meanwhile(stop.signal, () => device.send(READING));
    const asking = meanwhile(
      stop.signal,
      async () => (await site.api("/command/sensor_001", { method: "POST", body: "1" })).status,
    );
    for (const target of ["broker", "gateway", "api"]) {
      const path = target === "gateway" ? layout.gateway.certificate : layout.broker.certificate;
      const before = serialOf(path);
      const { code, stdout, stderr } = await run(site, "renew", target);
      assert.equal(code, 0, stderr + stdout);
      assert.match(stdout, /the previous certificate and key are removed/);
      assert.notEqual(serialOf(path), before);
      for (const port of [config.devices.port, config.api.port]) {
        assert.equal(await shownSerial(site, port), serialOf(layout.broker.certificate), target);
      }
    }
    const serial = serialOf(layout.gateway.certificate);
    assert.equal(await site.metric(`broker_certificate_info{serial="${serial}"}`), 1);
    stop.abort();
    assert.ok(device.connected, "the connection was not touched");
    assert.deepEqual((await asking).filter((status) => status !== 202), []);
    const sent = await sending;
    const reached = () => new Set(site.backend.received.map(({ messageId }) => messageId));
    await poll("every message", () => sent.every(({ messageId }) => reached().has(messageId)));
    const fresh = await site.device("sensor_002");
    await fresh.response((await fresh.send(READING)).messageId);
    const { stdout } = await shell(["audit", "export", "--dir", layout.directory]);
    assert.equal(stdout.match(/"certificate_renewed"/g)?.length, 3);
    assert.equal((await shell(["audit", "verify", "--dir", layout.directory])).code, 0);
  });
});

Deno.test("certificate renew: names are added, removed and replaced, and the list shows them", async () => {
  await withLiveSite(async (site) => {
    const added = await run(site, "renew", "broker", "--add-host", "b.example", "--json");
    assert.equal(added.code, 0, added.stderr);
    assert.deepEqual(JSON.parse(added.stdout).steps[0].names, [
      "localhost",
      "127.0.0.1",
      "b.example",
    ]);
    const renewed = await run(
      ...[site, "renew", "broker", "--host", "c.example", "--valid-days", "20"] as const,
    );
    assert.equal(renewed.code, 0, renewed.stderr);
    const [first, ...others] = JSON.parse((await run(site, "list", "--json")).stdout);
    assert.deepEqual(first.names, ["localhost", "127.0.0.1", "c.example"]);
    assert.deepEqual([first.days_left, first.uses], [19, ["broker", "api"]]);
    const ends = [first, ...others].map(({ until }: { until: string }) => until);
    assert.deepEqual(ends, ends.toSorted());
    assert.equal((await run(site, "renew", "broker", "--remove-host", "c.example")).code, 0);

    const serial = serialOf(site.layout.broker.certificate);
    const refused = [
      [["broker", "--remove-host", "localhost"], 1, /must name "localhost"/],
      [["broker", "--remove-host", "c.example"], 2, /does not name "c\.example"/],
      [["broker", "--add-host", "not a name"], 2, /"not a name" is not a DNS name/],
      [["gateway", "--host", "b.example"], 2, /has no names of hosts/],
      [["devices"], 2, /Allowed choices are broker, gateway, api/],
    ] as const;
    for (const [args, code, said] of refused) {
      const result = await run(site, "renew", ...args);
      assert.equal(result.code, code, result.stderr);
      assert.match(result.stderr, said);
    }
    assert.equal(serialOf(site.layout.broker.certificate), serial);
  }, { start: false });
});

Deno.test("certificate renew: without broker and gateway, both are for the next start", async () => {
  await withLiveSite(async (site) => {
    await site.stopBroker();
    for (const target of ["broker", "gateway"]) {
      const { code, stdout, stderr } = await run(site, "renew", target);
      assert.equal(code, 0, stderr);
      assert.match(stdout, /not running; it takes the certificate when it starts/);
    }
    await site.startBroker();
    await site.startGateway();
    const device = await site.device("sensor_001");
    await device.response((await device.send(READING)).messageId);
  }, { start: false });
});

Deno.test("certificate renew: a broker that does not show the new one has the old one again", async () => {
  await withLiveSite(async (site) => {
    const { broker, brokerConfiguration, directory } = site.layout;
    const before = serialOf(broker.certificate);
    await site.stopBroker();
    let text = await Deno.readTextFile(brokerConfiguration);
    for (const path of [broker.certificate, broker.key]) {
      const copy = path.replace(`${directory}/certs/`, `${directory}/certs/own_`);
      await Deno.copyFile(path, copy);
      const { uid, gid } = await Deno.stat(path);
      await Deno.chown(copy, uid, gid);
      text = text.replaceAll(path, copy);
    }
    await Deno.writeTextFile(brokerConfiguration, text);
    await site.startBroker();
    const { code, stdout, stderr } = await run(site, "renew", "broker");
    assert.equal(code, 1, stdout);
    assert.match(stderr, new RegExp(`does not show the new certificate: serial ${before}`));
    assert.match(stdout, /previous certificate and key are in place again/);
    assert.equal(serialOf(broker.certificate), before);
    assert.equal(keyPairFault(broker), undefined);
    const { stdout: audit } = await shell(["audit", "export", "--dir", directory]);
    assert.match(
      audit,
      new RegExp(`"certificate_put_back","subject":"","detail":"broker ${before}"`),
    );
  }, { start: false });
});

Deno.test("certificate renew: a broker that must not be reloaded takes the new one at its next start", async () => {
  await withLiveSite(async (site) => {
    const folder = await site.register("sensor_001");
    const sleeper = await site.connect(folder, { sessionExpirySeconds: 600 });
    await sleeper.close();
    const closedMs = Date.now();
    const before = serialOf(site.layout.broker.certificate);
    await poll("the sleeping session in the broker's file", async () => {
      const { mtime } = await Deno.stat(site.layout.brokerSessions).catch(() => ({ mtime: null }));
      return mtime !== null && mtime.getTime() > closedMs;
    });
    const { code, stderr } = await run(site, "renew", "broker");
    assert.equal(code, 1);
    assert.match(stderr, /a reload would corrupt Mosquitto's memory/);
    assert.match(stderr, /takes it at its next start/);
    assert.equal(await shownSerial(site, site.config.devices.port), before);
    await site.stopBroker();
    await site.startBroker();
    const serial = serialOf(site.layout.broker.certificate);
    assert.notEqual(serial, before);
    assert.equal(await shownSerial(site, site.config.devices.port), serial);
  }, { start: false });
});

Deno.test("certificate renew: an API with a certificate of its own is renewed alone", async () => {
  await withLiveProcess(async (site, gateway) => {
    const { layout, config } = site;
    const own = {
      certificate: `${layout.directory}/api.crt`,
      key: `${layout.directory}/api.key.pem`,
    };
    await Deno.copyFile(layout.broker.certificate, own.certificate);
    await Deno.copyFile(layout.broker.key, own.key);
    await rewrite(layout, '# certificate = "certs/broker.crt"', 'certificate = "api.crt"');
    await rewrite(layout, '# key = "certs/broker.key"', 'key = "api.key.pem"');
    assert.equal((await reload(gateway)).event, "reloaded");
    const brokers = serialOf(layout.broker.certificate);
    const { code, stdout, stderr } = await run(site, "renew", "api");
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(stdout, /broker: process/);
    assert.notEqual(serialOf(own.certificate), brokers);
    assert.equal(await shownSerial(site, config.api.port), serialOf(own.certificate));
    assert.equal(await shownSerial(site, config.devices.port), brokers);
    assert.equal((await run(site, "renew", "api", "--remove-host", "127.0.0.1")).code, 0);
  });
});

Deno.test("certificate renew: a gateway without a broker reloads, and is not said to be connected", async () => {
  await withLiveProcess(async (site, gateway) => {
    await site.stopBroker();
    const { code, stdout, stderr } = await run(site, "renew", "gateway");
    assert.equal(code, 0, stderr);
    assert.match(stdout, /gateway: process \d+ was told to reload/);
    assert.match(
      stdout,
      /not running, so the gateway may go on with the previous certificate/,
    );
    await site.startBroker();
    assert.equal((await reload(gateway)).event, "reloaded");
    const serial = serialOf(site.layout.gateway.certificate);
    await poll("the new one", async () =>
      await site.metric("broker_connected") === 1 &&
      await site.metric(`broker_certificate_info{serial="${serial}"}`).catch(() => 0) === 1);
  });
});

Deno.test("certificate renew, killed in the middle: key and certificate fit, and again it is renewed", async () => {
  await withLiveProcess(async (site) => {
    const { layout } = site;
    const device = await site.device("sensor_001");
    const { path, args } = programCommand(
      ...["certificate", "renew", "broker", "--dir", layout.directory],
    );
    for (let kill = 1; kill <= KILLS; kill++) {
      const child = new Deno.Command(path, { args: [...args], stdout: "null", stderr: "null" })
        .spawn();
      await new Promise((resolve) => setTimeout(resolve, kill * LATEST_KILL_MS / KILLS));
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended.
      }
      await child.status;
      assert.equal(keyPairFault(layout.broker), undefined, `kill ${kill}`);
      await device.response((await device.send(READING)).messageId);
    }
    const { code, stdout, stderr } = await run(site, "renew", "broker");
    assert.equal(code, 0, stderr + stdout);
    assert.equal(
      await shownSerial(site, site.config.devices.port),
      serialOf(layout.broker.certificate),
    );
  });
});

Deno.test("certificate renew: without the authority's key, and for a certificate from elsewhere, it says where", async () => {
  await withLiveSite(async (site) => {
    const { gatewayCa, broker } = site.layout;
    await Deno.rename(gatewayCa.key, `${gatewayCa.key}.away`);
    const away = await run(site, "renew", "broker");
    assert.equal(away.code, 1);
    assert.match(away.stderr, /there is no ".*gateway-ca\.key"/);
    assert.match(away.stderr, /on the machine where its folder was made/);
    await Deno.rename(`${gatewayCa.key}.away`, gatewayCa.key);
    const { deviceCa } = site.layout;
    await Deno.copyFile(deviceCa.certificate, broker.certificate);
    await Deno.copyFile(deviceCa.key, broker.key);
    const foreign = await run(site, "renew", "broker");
    assert.equal(foreign.code, 1);
    assert.match(foreign.stderr, /was not issued by this site's authority/);
  }, { start: false });
});

Deno.test("certificate renew: a further gateway's folder is renewed where it was made, to be copied", async () => {
  await withFolder(async (folder) => {
    const site = siteLayout(`${folder}/site`);
    // The site's own broker, which listens where the node's will on its machine.
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const ports = [...quietPorts(), "--gateway-port", `${listener.addr.port}`];
    const made = await shell(["init", "--dir", site.directory, ...ports]);
    assert.equal(made.code, 0, made.stderr);
    const node = siteLayout(`${folder}/site/nodes/b`);
    await copyFolder(site.directory, node.directory);
    await Deno.remove(node.gatewayCa.key);
    const before = serialOf(node.broker.certificate);
    const asked = ["certificate", "renew", "broker", "--add-host", "b.example"];
    const { code, stdout, stderr } = await shell([...asked, "--dir", node.directory]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /Now copy .*nodes\/b\/certs\/broker\.crt and .*broker\.key/);
    assert.notEqual(serialOf(node.broker.certificate), before);
    assert.equal(serialOf(site.broker.certificate), before);
    assert.equal(keyPairFault(node.broker), undefined);
  });
});

async function copyFolder(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    if (name === "nodes") continue;
    const [source, target] = [`${from}/${name}`, `${to}/${name}`];
    await (isDirectory ? copyFolder(source, target) : Deno.copyFile(source, target));
  }
}

async function meanwhile<T>(stop: AbortSignal, work: () => Promise<T>): Promise<T[]> {
  const outcomes: T[] = [];
  while (!stop.aborted) {
    outcomes.push(await work());
    await new Promise((resolve) => setTimeout(resolve, PACE_MS));
  }
  return outcomes;
}
