import assert from "node:assert/strict";
import { join } from "node:path";
import { freePorts } from "../../support/free_ports.ts";
import {
  chooseBrokerUser,
  isBrokerPath,
  renderBrokerFiles,
} from "../../../src/site/mosquitto/configuration.ts";
import { createSite } from "../../../src/site/operations/site_creation.ts";
import { createDeviceBundle } from "../../../src/site/operations/device_bundle.ts";
import { deviceFolder, type SiteLayout, siteLayout } from "../../../src/site/layout.ts";

const PASSWD = "root:x:0:0:root:/root:/bin/sh\nbob:x:1000:1000::/home/bob:/bin/sh\n";
const MOSQUITTO = "mosquitto:x:102:105::/var/lib/mosquitto:/usr/sbin/nologin\n";
const OPEN_FOLDER = { path: "/", mode: 0o40755, uid: 0, gid: 0 };
const CLOSED_FOLDER = { path: "/root", mode: 0o40700, uid: 0, gid: 0 };

Deno.test("renderBrokerFiles() fills in every placeholder with the ports, user and paths it was given", () => {
  const files = renderBrokerFiles({
    layout: siteLayout("/srv/my site"),
    mqttPort: 1883,
    gatewayPort: 1884,
    user: { name: "bob", reason: "The owner of this site." },
  });
  for (const text of Object.values(files)) {
    assert.doesNotMatch(text, /\{\{|\}\}|undefined/);
  }
  const lines = files.brokerConfiguration.split("\n");
  assert.ok(lines.includes("user bob"));
  assert.ok(lines.includes("listener 1883"));
  assert.ok(lines.includes("listener 1884 127.0.0.1"));
  assert.ok(lines.includes("keyfile /srv/my site/certs/broker.key"));
  assert.ok(lines.includes("crlfile /srv/my site/certs/device-ca.crl"));
});

Deno.test("renderBrokerFiles() has nothing listener-scoped above the first listener", () => {
  const { brokerConfiguration } = renderBrokerFiles({
    layout: siteLayout("/srv/site"),
    mqttPort: 8883,
    gatewayPort: 8884,
    user: { name: "bob", reason: "" },
  });
  const global = brokerConfiguration.slice(0, brokerConfiguration.indexOf("\nlistener "));
  assert.doesNotMatch(
    global,
    /^((?!pid_)\w*file|require_\w+|use_\w+|tls_\w+|allow_\w+|max_qos|ciphers) /m,
  );
});

Deno.test("renderBrokerFiles() limits no keepalive: from 2.0.21 on, a limit refuses who has none", () => {
  const { brokerConfiguration } = renderBrokerFiles({
    layout: siteLayout("/srv/site"),
    mqttPort: 8883,
    gatewayPort: 8884,
    user: { name: "bob", reason: "" },
  });
  assert.doesNotMatch(brokerConfiguration, /^max_keepalive/m);
});

Deno.test("renderBrokerFiles() grants exact topics only", () => {
  const { aclDevices, aclGateway } = renderBrokerFiles({
    layout: siteLayout("/srv/site"),
    mqttPort: 8883,
    gatewayPort: 8884,
    user: { name: "bob", reason: "" },
  });
  assert.deepEqual(rulesOf(aclDevices), [
    "pattern write device/%u/data",
    "pattern write device/%u/ack",
    "pattern read device/%u/response",
    "pattern read device/%u/command",
    "pattern read device/%u/receipt",
  ]);
  assert.deepEqual(rulesOf(aclGateway), [
    "pattern read device/+/data",
    "pattern read device/+/ack",
    "pattern write device/+/response",
    "pattern write device/+/command",
    "pattern write device/+/receipt",
    "pattern read $SYS/broker/publish/messages/dropped",
    "pattern readwrite gateway/caught_up",
  ]);
});

Deno.test("isBrokerPath() refuses what would start another line, and takes odd names", () => {
  for (const path of ["/a\nuser root", "/a\rb", "/a\tb", "/a\u0000b", "/a\u0085b", "/a\uffffb"]) {
    assert.equal(isBrokerPath(path), false, path);
  }
  for (const path of ["/", "/a  b", "/a # b", "/é\"'\\", "/$HOME/%u/~", "/🦟"]) {
    assert.equal(isBrokerPath(path), true, path);
  }
});

Deno.test("chooseBrokerUser() takes the owner of the site", () => {
  const user = chooseBrokerUser({
    ownerUid: 1000,
    passwd: PASSWD + MOSQUITTO,
    folders: [CLOSED_FOLDER],
  });
  assert.deepEqual(user, { name: "bob", reason: "The owner of this site." });
});

Deno.test("chooseBrokerUser() lets root hand over to mosquitto where mosquitto can enter", () => {
  const passwd = PASSWD + MOSQUITTO;
  const user = chooseBrokerUser({ ownerUid: 0, passwd, folders: [OPEN_FOLDER] });
  assert.deepEqual([user.name, user.recipient?.uid, user.recipient?.gid], ["mosquitto", 102, 105]);
  assert.equal(user.staysRootBecause, undefined);
  for (const mode of [0o40710, 0o40750]) {
    const ours = { ...CLOSED_FOLDER, gid: 105, mode };
    assert.equal(chooseBrokerUser({ ownerUid: 0, passwd, folders: [ours] }).name, "mosquitto");
  }
});

Deno.test("chooseBrokerUser() stays root, and says why, where there is no other way", () => {
  const closed = chooseBrokerUser({
    ownerUid: 0,
    passwd: PASSWD + MOSQUITTO,
    folders: [OPEN_FOLDER, CLOSED_FOLDER],
  });
  assert.equal(closed.name, "root");
  assert.match(closed.staysRootBecause ?? "", /the user "mosquitto" may not enter "\/root"$/);
  const absent = chooseBrokerUser({ ownerUid: 0, passwd: PASSWD, folders: [OPEN_FOLDER] });
  assert.equal(absent.name, "root");
  assert.match(absent.staysRootBecause ?? "", /there is no user "mosquitto" on this machine$/);
  const nameless = chooseBrokerUser({ ownerUid: 4711, passwd: PASSWD, folders: [OPEN_FOLDER] });
  assert.equal(nameless.name, "root");
});

Deno.test("mosquitto starts as it is on a new site in a folder nobody else may enter", async () => {
  await withSite({ mode: 0o700 }, async (layout, ports) => {
    await withBroker(["mosquitto"], layout, () => devicesAndGatewayTalk(layout, ports));
  });
});

Deno.test("mosquitto starts as it is on a new site in a folder that is open to all", async () => {
  await withSite({ mode: 0o755 }, async (layout, ports) => {
    await withBroker(["mosquitto"], layout, () => devicesAndGatewayTalk(layout, ports));
    // It could keep its state: what it holds survives a restart.
    assert.ok((await Deno.stat(join(layout.brokerFolder, "mosquitto.db"))).isFile);
  });
});

Deno.test(
  "mosquitto starts as it is as an ordinary user",
  { ignore: !await isRoot() },
  async () => {
    const nobody = 65_534;
    await withSite({ mode: 0o755 }, async (layout, ports) => {
      await new Deno.Command("chown", { args: ["-R", `${nobody}:${nobody}`, layout.directory] })
        .output();
      const command = ["setpriv", `--reuid=${nobody}`, `--regid=${nobody}`, "--clear-groups"];
      await withBroker(
        [...command, "mosquitto"],
        layout,
        () => devicesAndGatewayTalk(layout, ports),
      );
      assert.equal((await Deno.stat(join(layout.brokerFolder, "mosquitto.db"))).uid, nobody);
    });
  },
);

Deno.test("the broker's listeners take only their own authority's clients, over good TLS", async () => {
  await withSite({ mode: 0o755 }, async (layout, ports) => {
    await withBroker(["mosquitto"], layout, async () => {
      const device = deviceFolder(layout, "sensor_001");
      const { mqttPort, gatewayPort } = ports;
      const strangers = [
        publish(layout, { ...device, port: gatewayPort, id: "gateway" }),
        publish(layout, { ...layout.gateway, port: mqttPort, id: "gateway" }),
        publish(layout, { ...layout.broker, port: gatewayPort, id: "broker" }),
      ];
      for (const { success } of await Promise.all(strangers)) assert.equal(success, false);

      assert.equal(await handshake(layout, mqttPort, ["-tls1_3"]), true);
      assert.equal(await handshake(layout, mqttPort, ["-tls1_2"]), true);
      const old = ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0"];
      assert.equal(await handshake(layout, mqttPort, old), false);
      const older = ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"];
      assert.equal(await handshake(layout, mqttPort, older), false);
    });
  });
});

/** A device is heard in both versions of MQTT, only on its own topic, and hears the gateway. */
async function devicesAndGatewayTalk(layout: SiteLayout, { mqttPort, gatewayPort }: Ports) {
  const device = { ...deviceFolder(layout, "sensor_001"), port: mqttPort, id: "sensor_001" };
  const gateway = { ...layout.gateway, port: gatewayPort, id: "any-client-id" };
  const readings = { ...gateway, topic: "device/+/data", count: 2 };
  await subscribe(layout, readings);
  const spoof = { topic: "device/sensor_002/data", message: "spoofed" };
  await publish(layout, { ...device, ...spoof, version: "mqttv5" });
  for (const version of ["mqttv311", "mqttv5"]) {
    const own = { topic: "device/sensor_001/data", message: version };
    const { success, output } = await publish(layout, { ...device, ...own, version });
    assert.ok(success, output);
  }
  assert.deepEqual(await fetchMessages(layout, readings), [
    "device/sensor_001/data mqttv311",
    "device/sensor_001/data mqttv5",
  ]);
  const topic = "device/sensor_001/command";
  const commands = { ...device, topic, count: 1 };
  await subscribe(layout, commands);
  await publish(layout, { ...gateway, topic, message: "reboot" });
  assert.deepEqual(await fetchMessages(layout, commands), [`${topic} reboot`]);
}

interface Ports {
  readonly mqttPort: number;
  readonly gatewayPort: number;
}

interface Client {
  readonly certificate: string;
  readonly key: string;
  readonly port: number;
  readonly id: string;
  readonly topic?: string;
  readonly message?: string;
  readonly version?: string;
}

function publish(layout: SiteLayout, client: Client) {
  const { topic = "device/x/data", message = "x", version = "mqttv5" } = client;
  const args = ["-V", version, "-q", "1", "-t", topic, "-m", message];
  return run("mosquitto_pub", [...connection(layout, client), ...args]);
}

/** Opens a session in which the broker keeps what comes for `topic` until it is fetched. */
async function subscribe(layout: SiteLayout, client: Client & { topic: string }): Promise<void> {
  const { success, output } = await session(layout, { ...client, args: ["-E"] });
  assert.ok(success, output);
}

async function fetchMessages(
  layout: SiteLayout,
  client: Client & { topic: string; count: number },
): Promise<string[]> {
  const args = ["-C", String(client.count), "-W", "10", "-F", "%t %p"];
  const { output } = await session(layout, { ...client, args });
  return output.trimEnd().split("\n");
}

function session(layout: SiteLayout, client: Client & { topic: string; args: string[] }) {
  const subscription = ["-c", "-q", "1", "-t", client.topic];
  return run("mosquitto_sub", [...connection(layout, client), ...subscription, ...client.args]);
}

function connection(layout: SiteLayout, { certificate, key, port, id }: Client): string[] {
  const tls = ["--cafile", layout.gatewayCa.certificate, "--cert", certificate, "--key", key];
  return ["-h", "127.0.0.1", "-p", String(port), "-i", id, ...tls];
}

async function handshake(layout: SiteLayout, port: number, args: string[]): Promise<boolean> {
  const { certificate, key } = deviceFolder(layout, "sensor_001");
  const { success } = await run("openssl", [
    ...["s_client", "-connect", `127.0.0.1:${port}`, "-CAfile", layout.gatewayCa.certificate],
    ...["-cert", certificate, "-key", key, "-verify_return_error", ...args],
  ]);
  return success;
}

async function run(program: string, args: string[]) {
  const { success, stdout, stderr } = await new Deno.Command(program, { args, stdin: "null" })
    .output();
  return { success, output: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
}

/** A broker that takes connections; ended when `use` is. */
async function withBroker(
  command: string[],
  layout: SiteLayout,
  use: () => Promise<void>,
): Promise<void> {
  const [program = "", ...args] = command;
  const broker = new Deno.Command(program, {
    args: [...args, "-c", layout.brokerConfiguration],
    env: { PATH: `${Deno.env.get("PATH")}:/usr/sbin` },
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const log = new Response(broker.stderr).text();
  const ended = new AbortController();
  const status = broker.status.finally(() => ended.abort());
  try {
    for (const port of await listenerPorts(layout)) await acceptsConnections(port, ended.signal);
    await use();
  } catch (error) {
    if (!ended.signal.aborted) throw error;
    throw new Error(`The broker ended: ${await log}`, { cause: error });
  } finally {
    if (!ended.signal.aborted) broker.kill("SIGTERM");
    await Promise.all([status, log]);
  }
}

async function listenerPorts(layout: SiteLayout): Promise<number[]> {
  const configuration = await Deno.readTextFile(layout.brokerConfiguration);
  return configuration.matchAll(/^listener (\d+)/gm).map(([, port]) => Number(port)).toArray();
}

async function acceptsConnections(port: number, ended: AbortSignal): Promise<void> {
  const deadlineMs = Date.now() + 10_000;
  for (;;) {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      return;
    } catch (error) {
      if (ended.aborted || Date.now() > deadlineMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

async function withSite(
  { mode }: { mode: number },
  use: (layout: SiteLayout, ports: Ports) => Promise<void>,
): Promise<void> {
  const parent = await Deno.makeTempDir();
  try {
    await Deno.chmod(parent, mode);
    const [mqttPort, gatewayPort, apiPort] = freePorts(3) as [number, number, number];
    const site = await createSite({
      directory: join(parent, "my  # site"),
      hosts: [],
      backendUrl: "http://127.0.0.1:8080",
      mqttPort,
      gatewayPort,
      apiPort,
      nowMs: Date.now(),
    });
    assert.ok(site.ok);
    await addSensor(site.layout, mqttPort);
    await use(site.layout, { mqttPort, gatewayPort });
  } finally {
    await Deno.remove(parent, { recursive: true });
  }
}

async function addSensor(layout: SiteLayout, mqttPort: number): Promise<void> {
  const bundle = await createDeviceBundle({
    layout,
    deviceId: "sensor_001",
    secret: "x",
    nowMs: Date.now(),
    brokerHost: "127.0.0.1",
    mqttPort,
  });
  assert.ok(bundle.ok);
}

function rulesOf(text: string): string[] {
  return text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
}

/** Whether files made here belong to root. */
async function isRoot(): Promise<boolean> {
  const path = await Deno.makeTempFile();
  const { uid } = await Deno.stat(path);
  await Deno.remove(path);
  return uid === 0;
}
