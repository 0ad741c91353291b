import assert from "node:assert/strict";
import { poll } from "../../../src/time/poll.ts";
import type { Emit } from "../../../src/core/event.ts";
import type { InboundMessage } from "../../../src/core/ports.ts";
import type { BrokerAddress } from "../../../src/gateway/broker/connection.ts";
import type { MqttBroker } from "../../../src/gateway/broker/mqtt_broker.ts";
import { brokerOf, keeping } from "../../support/broker_link.ts";
import { type LiveSite, withLiveSite } from "../../support/live_site.ts";

async function withLink(
  work: (site: LiveSite, link: MqttBroker, arrivals: InboundMessage[]) => Promise<void>,
): Promise<void> {
  await withLiveSite(async (site) => {
    const arrivals: InboundMessage[] = [];
    const link = brokerOf(site);
    link.open(keeping(arrivals));
    try {
      await poll("the link", () => link.isConnected);
      await work(site, link, arrivals);
    } finally {
      await link.close();
    }
  }, { start: false });
}

const textOf = (arrival: InboundMessage) => new TextDecoder().decode(arrival.bytes);

Deno.test("MqttBroker acknowledges nothing by itself: what is not acknowledged comes again", async () => {
  await withLink(async (site, link, arrivals) => {
    const device = await site.device("sensor_001");
    for (const text of ["a", "b", "c"]) await device.publish(text);
    await poll("three arrivals", () => arrivals.length === 3);
    assert.ok(arrivals.every(({ redelivered }) => !redelivered));
    arrivals[0]!.acknowledge();
    await device.publish("d");
    await poll("a fourth arrival", () => arrivals.length === 4);
    await link.close();
    const again: InboundMessage[] = [];
    const resumed: number[] = [];
    const next = brokerOf(site);
    next.open(keeping(again, () => resumed.push(again.length)));
    await poll("the others again", () => again.length === 3);
    assert.deepEqual(again.map(textOf), ["b", "c", "d"]);
    assert.deepEqual(resumed, [0], "told once, before the first of them");
    assert.ok(again.every(({ redelivered }) => redelivered));
    arrivals[1]!.acknowledge(); // of a connection that is gone: nothing happens
    for (const arrival of again) arrival.acknowledge();
    await device.publish("e");
    await poll("a new one", () => again.length === 4);
    again[3]!.acknowledge();
    await next.close();
  });
});

Deno.test("MqttBroker keeps its connection alive while acknowledgements wait", async () => {
  await withLiveSite(async (site) => {
    const arrivals: InboundMessage[] = [];
    const link = brokerOf(site, { keepaliveSeconds: 2 });
    let losses = 0;
    link.open({ ...keeping(arrivals), disconnected: () => losses++ });
    await poll("the link", () => link.isConnected);
    const device = await site.device("sensor_001");
    await device.publish("held");
    await poll("the arrival", () => arrivals.length === 1);
    // Longer than one and a half keepalives, after which either side gives up.
    await new Promise((resolve) => setTimeout(resolve, 3_200));
    assert.equal(losses, 0);
    await link.close();
  }, { start: false });
});

Deno.test("MqttBroker.publish() tells acknowledged, unheard and unsent apart", async () => {
  await withLink(async (site, link) => {
    const none = await link.publish("device/nobody/command", new Uint8Array([1]), {});
    assert.deepEqual(none, { kind: "acknowledged", subscribers: false });
    const device = await site.device("sensor_001");
    const heard = await link.publish(
      "device/sensor_001/command",
      new TextEncoder().encode("{}"),
      {},
    );
    assert.deepEqual(heard, { kind: "acknowledged", subscribers: true });
    await poll("the command", () => device.commandsWaiting === 1);
    const forbidden = await link.publish("device/sensor_001/data", new Uint8Array(), {});
    assert.equal(forbidden.kind, "refused");
    await site.stopBroker();
    await poll("the loss", () => !link.isConnected);
    assert.equal((await link.publish("x", new Uint8Array(), {})).kind, "unsent");
  });
});

Deno.test("a publish that the broker does not acknowledge is not sent later", async () => {
  await withLink(async (site, link) => {
    await site.register("sensor_001");
    site.broker!.kill("SIGSTOP");
    const published = link.publish("device/sensor_001/command", new Uint8Array([1]), {});
    site.broker!.kill("SIGKILL");
    assert.equal((await published).kind, "unacknowledged");
    await site.broker!.exited;
    await site.startBroker();
    const device = await site.connect(`${site.layout.devicesFolder}/sensor_001`);
    await poll("the link again", () => link.isConnected);
    const marker = await link.publish("device/sensor_001/command", new Uint8Array([2]), {});
    assert.equal(marker.kind, "acknowledged");
    await poll("the marker", () => device.commandsWaiting > 0);
    assert.equal(device.commandsWaiting, 1);
  });
});

Deno.test("a broker that cannot be reached is said once, with the reason", async () => {
  await withLiveSite(async (site) => {
    await site.stopBroker();
    const gateway = await site.makeGateway();
    const started = gateway.start();
    const record = await site.logged("broker_unreachable");
    assert.match(record.message, /Cannot reach the broker at 127.0.0.1:\d+: .*refused/i);
    await new Promise((resolve) => setTimeout(resolve, 500)); // several more tries
    assert.equal(site.log.filter(({ event }) => event === "broker_unreachable").length, 1);
    await gateway.stop();
    await started;
  }, { start: false });
});

Deno.test("a broker whose certificate is of another authority is not spoken to", async () => {
  await withLiveSite(async (site) => {
    const ca = await Deno.readTextFile(site.layout.deviceCa.certificate);
    assert.match(await refusalBy(site, { ca }), /certificate|issuer|authority/i);
  }, { start: false });
});

Deno.test("a broker whose certificate is for another name is not spoken to", async () => {
  await withLiveSite(async (site) => {
    using elsewhere = Deno.listen({ hostname: "127.0.0.2", port: 0 });
    const { host: hostname, port } = site.config.broker;
    const brought = elsewhere.accept().then(async (near) => {
      const far = await Deno.connect({ hostname, port });
      await Promise.allSettled([
        near.readable.pipeTo(far.writable),
        far.readable.pipeTo(near.writable),
      ]);
    });
    const address = { host: "127.0.0.2", port: elsewhere.addr.port };
    assert.match(await refusalBy(site, address), /altnames|valid for|name/i);
    await brought;
  }, { start: false });
});

/** What a link says that does not come up. */
async function refusalBy(site: LiveSite, over: Partial<BrokerAddress>): Promise<string> {
  const said: string[] = [];
  const emit: Emit = (event) => {
    if (event.kind === "broker_unreachable") said.push(event.reason);
  };
  const link = brokerOf(site, { ...over, emit });
  link.open(keeping([]));
  await poll("the reason", () => said.length > 0);
  assert.ok(!link.isConnected);
  await link.close();
  return said[0]!;
}

/** Answers a client correctly until `count` publishes are there: acknowledges all and hangs up. */
async function hangUpAfter(count: number, connection: Deno.Conn): Promise<void> {
  const acknowledgements: number[] = [];
  let bytes = new Uint8Array();
  const chunk = new Uint8Array(65_536);
  while (acknowledgements.length < 4 * count) {
    const size = await connection.read(chunk);
    if (size === null) return;
    bytes = new Uint8Array([...bytes, ...chunk.subarray(0, size)]);
    // No packet here is longer than one byte can say, but the first.
    for (let end = 2 + bytes[1]!; bytes.length > 1 && bytes.length >= end; end = 2 + bytes[1]!) {
      const packet = bytes.subarray(0, end);
      bytes = bytes.slice(end);
      const [kind, id] = [packet[0]! >> 4, packet.subarray(4 + packet[3]!, 6 + packet[3]!)];
      if (kind === 1) await connection.write(new Uint8Array([0x20, 3, 0, 0, 0]));
      if (kind === 8) {
        await connection.write(new Uint8Array([0x90, 7, packet[2]!, packet[3]!, 0, 1, 1, 1, 0]));
      }
      if (kind === 3) acknowledgements.push(0x40, 2, ...id);
    }
  }
  await connection.write(new Uint8Array(acknowledgements));
  connection.close();
}

Deno.test("acknowledgements that come with the end of their connection are no crash", async () => {
  await withLiveSite(async (site) => {
    await site.stopBroker();
    const { certificate, key } = site.layout.broker;
    const listener = Deno.listenTls({
      hostname: "127.0.0.1",
      port: site.config.broker.port,
      cert: Deno.readTextFileSync(certificate),
      key: Deno.readTextFileSync(key),
    });
    const link = brokerOf(site);
    link.open(keeping([]));
    for (let round = 0; round < 5; round++) {
      const hungUp = hangUpAfter(100, await listener.accept());
      await poll("the link", () => link.isConnected);
      const one = new Uint8Array([1]);
      const published = Array.from({ length: 100 }, () => link.publish("x", one, {}));
      assert.equal((await Promise.all(published)).length, 100);
      await hungUp;
      await poll("its loss", () => !link.isConnected);
    }
    await link.close();
    listener.close();
  }, { start: false });
});

Deno.test("two gateways with one client id leave each other alone, and say so once", async () => {
  await withLiveSite(async (site) => {
    const said: string[][] = [[], []];
    const links = said.map((kinds) =>
      brokerOf(site, { emit: ({ kind }) => void kinds.push(kind) })
    );
    const [first, second] = links as [MqttBroker, MqttBroker];
    first.open(keeping([]));
    await poll("the first", () => first.isConnected);
    assert.deepEqual(first.faults, []);
    second.open(keeping([]));
    const count = (kind: string) => said.flat().filter((one) => one === kind).length;
    await poll("a takeover each", () => first.faults.length + second.faults.length === 2);
    assert.match(first.faults[0]!, /^the session is taken over again and again/);
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    await Promise.all(links.map((link) => link.close()));
    assert.deepEqual(said.map((kinds) => kinds.filter((kind) => kind === "session_taken_over")), [
      ["session_taken_over"],
      ["session_taken_over"],
    ]);
    assert.equal(count("broker_unreachable"), 0);
    assert.ok(count("broker_connected") <= 12, `${count("broker_connected")} connects`);
  }, { start: false });
});

Deno.test("a broker that dies again and again is not taken for another gateway", async () => {
  await withLiveSite(async (site) => {
    const said: string[] = [];
    const link = brokerOf(site, { emit: ({ kind }) => void said.push(kind) });
    link.open(keeping([]));
    for (let death = 0; death < 6; death++) {
      await poll("the link", () => link.isConnected, { timeoutMs: 3_000 });
      site.broker!.kill("SIGKILL");
      await site.stopBroker();
      await site.startBroker(); // at once, so that no connect fails in between
      await poll("its loss", () => !link.isConnected);
    }
    await poll("the link", () => link.isConnected, { timeoutMs: 3_000 });
    await link.close();
    assert.ok(!said.includes("session_taken_over"));
  }, { start: false });
});
