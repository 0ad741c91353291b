/** What a connection can do to the broker besides publishing readings, and that it harms nobody. */

import assert from "node:assert/strict";
import type { DeviceClient } from "../../src/client/device_client.ts";
import { poll } from "../../src/time/poll.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";
import { assertFate, latin1, NOTHING, ODD, OWN_TOPIC, VICTIM, withBench } from "./odd_bench.ts";
import {
  joined,
  PACKET,
  packet,
  prefixed,
  PROPERTY,
  property,
  publishPacket,
  RawDevice,
  type RawPublish,
  uint16,
} from "../support/raw_device.ts";

/** Topics that are not the odd device's to speak on. */
const FOREIGN_TOPICS = [
  `device/${VICTIM}/data`,
  `device/${VICTIM}/response`,
  `device/${VICTIM}/command`,
  `device/${ODD}/response`,
  `device/${ODD}/command`,
  "gateway/caught_up",
  "$SYS/broker/publish/messages/dropped",
  "$SYS/broker/version",
  `$share/g/${OWN_TOPIC}`,
  `${OWN_TOPIC}/`,
  `/${OWN_TOPIC}`,
  `${OWN_TOPIC}/more`,
  `device/${ODD}/DATA`,
  `device/${ODD.toUpperCase()}/data`,
  `device//data`,
  `device/${ODD}`,
  `device/./${ODD}/data`,
  `device/../device/${VICTIM}/data`,
  "device/gateway/data",
  "anything",
];

Deno.test("what a device says on a topic that is not its own is never delivered", async () => {
  await withBench(async (bench) => {
    const { site, victim } = bench;
    await poll("catching up to end", async () => await site.metric("catching_up") === 0);
    for (const version of [5, 4] as const) {
      await assertFate(bench, NOTHING, async () => {
        for (const topic of FOREIGN_TOPICS) {
          const device = await bench.connect({ version });
          device.publish({ topic, message: await bench.sign("1") });
          const { body } = await device.packet(PACKET.puback);
          if (version === 5) assert.equal(body[2], 0x87, topic);
          await device.die();
        }
      });
    }
    assert.equal(victim.responses.length, 2, "the answers to its own honest readings");
  });
});

/** Filters that would hear what is not the odd device's. */
const FOREIGN_FILTERS = [
  "#",
  "+/#",
  "device/#",
  "device/+/data",
  "device/+/response",
  "device/+/command",
  `device/${VICTIM}/data`,
  `device/${VICTIM}/response`,
  `device/${VICTIM}/command`,
  "gateway/caught_up",
  "$SYS/#",
  "$share/g/#",
  "$share/g/device/+/data",
  `$share/g/device/${VICTIM}/data`,
  "$share/g/device/+/response",
  "$share/g/device/+/command",
  "$share/g/gateway/caught_up",
  "$share/g/$SYS/#",
];

Deno.test("a device that subscribes to everything hears nothing, and swallows nothing", async () => {
  await withBench(async ({ site, victim, connect }) => {
    const ear = await connect();
    for (const filter of FOREIGN_FILTERS) await ear.subscribe(filter);
    const live = await readings(victim, 200);
    for (const { messageId } of live) await victim.response(messageId);
    await site.api(`/command/${VICTIM}`, { method: "POST", body: '{"action":"reboot"}' });
    assert.equal((await victim.command()).payload, '{"action":"reboot"}');
    await site.stopGateway();
    const waiting = await readings(victim, 50); // a shared subscription would take these first
    await site.startGateway();
    for (const { messageId } of waiting) await victim.response(messageId);
    await site.logged("caught_up", () => countEvents(site, "caught_up") === 2);
    await ear.ping();
    assert.equal(ear.ended, false);
    assert.deepEqual(ear.packets.filter(({ type }) => type === PACKET.publish), []);
    assert.equal(site.backend.received.length, 250);
    assert.equal(await site.metric("broker_dropped_total"), 0);
  });
});

async function readings(device: DeviceClient, count: number) {
  return await Promise.all(Array.from({ length: count }, (_, i) => device.send(String(i))));
}

function countEvents(site: LiveSite, event: string): number {
  return site.log.filter((record) => record.event === event).length;
}

Deno.test("a client id takes over nobody's session", async () => {
  await withBench(async (bench) => {
    const { site, victim } = bench;
    for (
      const clientId of [VICTIM, site.config.broker.clientId, "gateway", "", "#", "x".repeat(300)]
    ) {
      for (const version of [5, 4] as const) {
        await assertFate(bench, NOTHING, async () => {
          const device = await bench.connect({ clientId, version, cleanStart: true });
          await device.ping();
          assert.equal(victim.connected, true);
          await device.die();
        });
      }
    }
  });
});

Deno.test("a client id takes nobody's waiting commands", async () => {
  await withLiveSite(async (site) => {
    const [victim, odd] = [await site.register(VICTIM), await site.register(ODD)];
    const { port } = site.config.devices;
    const expiry = property(PROPERTY.sessionExpiry, Uint8Array.of(0, 0, 1, 0));
    const session = { port, cleanStart: false, properties: expiry };
    const away = await RawDevice.connect(victim, session);
    await away.subscribe(`device/${VICTIM}/command`);
    await away.die();
    const command = { method: "POST", body: '{"action":"unlock"}' };
    assert.equal((await site.api(`/command/${VICTIM}`, command)).status, 202);
    for (const cleanStart of [false, true]) {
      const thief = await RawDevice.connect(odd, { port, clientId: VICTIM, cleanStart });
      await thief.subscribe(`device/${VICTIM}/command`);
      await thief.ping();
      assert.deepEqual(thief.packets.filter(({ type }) => type === PACKET.publish), []);
      await thief.die();
    }
    const back = await RawDevice.connect(victim, session);
    const { body } = await back.packet(PACKET.publish);
    assert.match(new TextDecoder("latin1").decode(body), /"payload":\{"action":"unlock"\}/);
    await back.die();
  });
});

const FORMAT = property(PROPERTY.payloadFormat, Uint8Array.of(1));

/** Packets that break the protocol. */
const BROKEN_PACKETS: readonly [what: string, bytes: Uint8Array][] = [
  [
    "a second CONNECT",
    packet(PACKET.connect, 0, [prefixed("MQTT"), Uint8Array.of(5, 2, 0, 60, 0), prefixed(ODD)]),
  ],
  ["type 0", packet(0, 0, [])],
  ["type 15 with a body", packet(15, 0, [new Uint8Array(100)])],
  ["a length of five bytes", Uint8Array.of(0x32, 0xff, 0xff, 0xff, 0xff, 0xff, 1)],
  ["a length of 256 MB", Uint8Array.of(0x32, 0xff, 0xff, 0xff, 0x7f)],
  ["a PUBLISH at QoS 3", brokenPublish({ qos: 3 })],
  ["a PUBLISH with packet id 0", brokenPublish({ packetId: 0 })],
  ["a PUBLISH without a topic", brokenPublish({ topic: "" })],
  ["a topic in invalid UTF-8", brokenPublish({ topic: latin1("device/\xff\xfe/data") })],
  ["a topic with NUL", brokenPublish({ topic: `device/${ODD}\0/data` })],
  ["a topic with a wildcard", brokenPublish({ topic: "device/+/data" })],
  ["a topic that is longer than its packet", packet(PACKET.publish, 2, [uint16(60_000)])],
  [
    "properties longer than their packet",
    packet(PACKET.publish, 2, [prefixed(OWN_TOPIC), uint16(1), Uint8Array.of(0x7f, 1)]),
  ],
  ["an unknown property", brokenPublish({ properties: property(0x7f, Uint8Array.of(0)) })],
  ["a doubled property", brokenPublish({ properties: joined([FORMAT, FORMAT]) })],
  [
    "SUBSCRIBE with wrong flags",
    packet(PACKET.subscribe, 0, [uint16(1), Uint8Array.of(0), prefixed("#"), Uint8Array.of(0)]),
  ],
  ["SUBSCRIBE without a filter", packet(PACKET.subscribe, 2, [uint16(1), Uint8Array.of(0)])],
  ["a CONNACK from a client", packet(PACKET.connack, 0, [Uint8Array.of(0, 0, 0)])],
];

function brokenPublish(over: Partial<RawPublish>): Uint8Array {
  return publishPacket({ topic: OWN_TOPIC, message: "1", ...over }, 5);
}

Deno.test("packets that break the protocol end their own connection, and nothing else", async () => {
  await withBench(async (bench) => {
    for (const [what, bytes] of BROKEN_PACKETS) {
      await assertFate(bench, NOTHING, async () => {
        const device = await bench.connect();
        device.write(bytes);
        await device.ping();
        assert.equal(device.ended, true, what);
      });
    }
  });
});

/** What a port scanner, a browser or a broken client says instead of a TLS handshake. */
const GARBAGE: readonly Uint8Array[] = [
  new Uint8Array(),
  new Uint8Array(70_000),
  crypto.getRandomValues(new Uint8Array(5_000)),
  new TextEncoder().encode("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
  packet(PACKET.connect, 0, [prefixed("MQTT"), Uint8Array.of(5, 2, 0, 60, 0), prefixed(ODD)]),
  Uint8Array.of(0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3), // the head of a ClientHello
  Uint8Array.of(0x16, 3, 1, 0xff, 0xff, 1, 0xff, 0xff, 0xff),
];

Deno.test("garbage and broken handshakes on both ports harm nobody", async () => {
  await withBench(async (bench) => {
    const { devices, broker } = bench.site.config;
    for (const port of [devices.port, broker.port]) {
      await assertFate(bench, NOTHING, async () => {
        const connections = await Promise.all(GARBAGE.map((bytes) => sayPlainly(port, bytes)));
        for (const connection of connections) connection.close();
      });
      const sockets = await Promise.all(GARBAGE.map((bytes) => sayPlainly(port, bytes)));
      await assertFate(bench, NOTHING, async () => {}); // while they are still open
      for (const socket of sockets) socket.close();
    }
    await assertFate(bench, NOTHING, async () => {
      const device = await bench.connect({ port: broker.port });
      assert.equal(device.ended, true, "a device's certificate does not open the gateway's port");
      assert.deepEqual(device.packets, []);
    });
  });
});

async function sayPlainly(port: number, bytes: Uint8Array): Promise<Deno.Conn> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(bytes).catch(() => 0); // it may have been shown the door already
  return connection;
}

Deno.test("a device may have any keepalive or none, in each version of MQTT", async () => {
  await withBench(async ({ connect, site, sign }) => {
    for (const version of [4, 5] as const) {
      for (const keepaliveSeconds of [0, 1, 301, 1_200, 65_535]) { // 0: umqtt; 1,200: modems
        const device = await connect({ version, keepaliveSeconds });
        assert.equal(device.connackCode, 0, `${version}: ${keepaliveSeconds}`);
        device.publish({ topic: OWN_TOPIC, message: await sign("1"), qos: 1, packetId: 1 });
        await device.packet(PACKET.puback);
        await device.die();
      }
    }
    await site.received(10);
  });
});
