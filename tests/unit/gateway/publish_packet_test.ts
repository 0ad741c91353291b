/** MQTT.js's own codec is the judge: what it makes is read, and what is made here it reads. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { generate, type IPublishPacket, type Packet, parser } from "mqtt-packet";
import { PacketSplitter } from "../../../src/gateway/broker/packet_splitter.ts";
import {
  decodePuback,
  decodePublish,
  encodePuback,
  encodePublish,
  isPublishable,
  MalformedPacketError,
} from "../../../src/gateway/broker/publish_packet.ts";

const MQTT_5 = { protocolVersion: 5 };

function parsed(bytes: Uint8Array): Packet {
  const packets: Packet[] = [];
  const one = parser(MQTT_5);
  one.on("packet", (packet) => packets.push(packet));
  assert.equal(one.parse(Buffer.from(bytes)), 0, "nothing is left");
  assert.equal(packets.length, 1);
  return packets[0]!;
}

const text = fc.string({ unit: "grapheme", maxLength: 40 }).filter((one) => !one.includes("\0"));
const topic = text.filter((one) => one !== "" && !/[+#]/.test(one));
const body = fc.uint8Array({ maxLength: 300 });
const packetId = fc.integer({ min: 1, max: 65_535 });
const userProperties = fc.dictionary(text.filter((one) => one !== "__proto__"), text, {
  minKeys: 1, // the other codec makes nothing whole of none
  maxKeys: 5,
});

Deno.test("what is published is what another codec reads", () => {
  fc.assert(
    fc.property(
      fc.record({
        packetId,
        topic,
        body,
        properties: fc.record({
          messageExpiryInterval: fc.integer({ min: 0, max: 0xffff_ffff }),
          correlationData: body,
          userProperties,
        }, { requiredKeys: [] }),
      }),
      (message) => {
        const read = parsed(encodePublish(message)) as IPublishPacket;
        const { messageExpiryInterval, correlationData, userProperties = {} } = message.properties;
        assert.deepEqual(
          [read.topic, read.messageId, read.qos, read.dup, read.retain],
          [message.topic, message.packetId, 1, false, false],
        );
        assert.deepEqual(new Uint8Array(read.payload as Buffer), message.body);
        const found = read.properties ?? {};
        assert.equal(found.messageExpiryInterval, messageExpiryInterval);
        assert.deepEqual(
          found.correlationData && new Uint8Array(found.correlationData),
          correlationData,
        );
        assert.deepEqual({ ...found.userProperties }, { ...userProperties });
      },
    ),
  );
});

for (const length of [0, 1, 100, 127, 128, 16_383, 16_384, 70_000, 2_097_152, 2_200_000]) {
  Deno.test(`a packet with a body of ${length} bytes is whole`, () => {
    const body = new Uint8Array(length).fill(7);
    const read = parsed(encodePublish({ packetId: 9, topic: "t", body, properties: {} }));
    assert.equal((read as IPublishPacket).payload.length, length);
    const again = decodePublish(generate({ ...read, cmd: "publish" } as IPublishPacket, MQTT_5));
    assert.deepEqual(again.body, body);
  });
}

Deno.test("what another codec makes is read, whatever properties it has", () => {
  const properties = fc.record({
    payloadFormatIndicator: fc.boolean(),
    messageExpiryInterval: fc.integer({ min: 0, max: 0xffff_ffff }),
    responseTopic: topic,
    correlationData: body.map((one) => Buffer.from(one)),
    userProperties,
    contentType: text,
  }, { requiredKeys: [] });
  const flags = fc.record({
    retain: fc.boolean(),
    dup: fc.boolean(),
    qos: fc.constantFrom(0 as const, 1 as const),
  });
  fc.assert(
    fc.property(topic, packetId, body, flags, properties, (topic, messageId, body, flags, more) => {
      const dup = flags.qos > 0 && flags.dup;
      const packet = { ...flags, dup, topic, messageId, properties: more };
      const bytes = generate(
        { ...packet, cmd: "publish", payload: Buffer.from(body) } as IPublishPacket,
        MQTT_5,
      );
      assert.deepEqual(decodePublish(bytes), {
        ...{ topic, body, qos: flags.qos, isRetained: flags.retain, isDuplicate: dup },
        packetId: flags.qos > 0 ? messageId : 0,
      });
    }),
  );
});

Deno.test("acknowledgements are what another codec makes and reads", () => {
  fc.assert(
    fc.property(packetId, fc.constantFrom(0, 0x10, 0x80, 0x97), (messageId, reasonCode) => {
      const read = parsed(encodePuback(messageId));
      assert.deepEqual([read.cmd, read.messageId], ["puback", messageId]);
      const made = generate({ cmd: "puback", messageId, reasonCode } as Packet, MQTT_5);
      assert.deepEqual(decodePuback(made), { packetId: messageId, reasonCode });
    }),
  );
});

Deno.test("a packet that is not as MQTT has it is refused, and never crashes anything", () => {
  const good = generate({
    ...{ cmd: "publish", topic: "iot/sensor/data", messageId: 7, qos: 1, dup: false },
    ...{ retain: false, payload: Buffer.from("{}"), properties: { contentType: "x" } },
  } as IPublishPacket, MQTT_5);
  const refused = (bytes: Uint8Array) => {
    try {
      return void decodePublish(bytes);
    } catch (error) {
      assert.ok(error instanceof MalformedPacketError, `${error}`);
      return error.message;
    }
  };
  const changed = (at: number, value: number) => {
    const bytes = Uint8Array.from(good);
    bytes[at] = value;
    return bytes;
  };
  assert.match(refused(changed(0, 0x34))!, /QoS 2/);
  assert.match(refused(changed(0, 0x36))!, /QoS 3/);
  assert.match(refused(changed(2, 0xff))!, /before its topic/);
  assert.match(refused(changed(4, 0xff))!, /not UTF-8/);
  const idAt = 4 + "iot/sensor/data".length;
  assert.match(refused(changed(idAt + 1, 0))!, /number 0/);
  assert.match(refused(changed(idAt + 2, 0x7f))!, /before its properties/);
  assert.match(refused(Uint8Array.of(0x30, 3, 0, 0, 0))!, /no topic/);
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 60 }), (bytes) => void refused(bytes)),
  );
  fc.assert(
    fc.property(
      fc.nat(good.length),
      (length) => void (length > 0 && refused(good.slice(0, length))),
    ),
  );
});

Deno.test("a text that has no place in a packet is refused before anything is sent", () => {
  const publish = (topic: string) =>
    encodePublish({ packetId: 1, topic, body: new Uint8Array(), properties: {} });
  assert.throws(() => publish("a\0b"), RangeError);
  assert.throws(() => publish("a".repeat(65_536)), RangeError);
  assert.throws(() => publish("ü".repeat(32_768)), RangeError);
});

Deno.test("a topic over which a broker ends the connection is none to publish to", () => {
  for (const topic of ["", "#", "a/+/b", "a/#", "a\0b", "a\u0001b", "a\u007fb", "a\ud800"]) {
    assert.equal(isPublishable(topic), false, JSON.stringify(topic));
  }
  for (const topic of ["device/a/response", "gateway/caught_up", "device/ü/\u{1f600}"]) {
    assert.equal(isPublishable(topic), true, topic);
  }
});

Deno.test("packets come out whole, wherever their bytes are cut", () => {
  const packet = fc.record({ packetId, topic, body, properties: fc.constant({}) });
  fc.assert(
    fc.property(
      fc.array(packet, { minLength: 1, maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 30 }),
      (messages, cuts) => {
        const packets = messages.flatMap((message) => [encodePublish(message), encodePuback(3)]);
        const all = Buffer.concat([...packets, Uint8Array.of(0xd0, 0)]);
        const splitter = new PacketSplitter();
        const whole: Uint8Array[] = [];
        let at = 0;
        for (let i = 0; at < all.length; i++) {
          const chunk = all.subarray(at, at += cuts[i % cuts.length]!);
          splitter.push(chunk, (one) => void whole.push(Uint8Array.from(one)));
        }
        assert.deepEqual(whole, [...packets, Uint8Array.of(0xd0, 0)].map((one) => one));
      },
    ),
  );
});

Deno.test("a length without an end is refused", () => {
  const splitter = new PacketSplitter();
  splitter.push(Uint8Array.of(0x30, 0xff, 0xff), () => assert.fail("no packet"));
  assert.throws(
    () => splitter.push(Uint8Array.of(0xff, 0xff, 1), () => assert.fail("no packet")),
    MalformedPacketError,
  );
});

Deno.test("a packet that comes byte by byte costs its size, not its square", () => {
  const splitter = new PacketSplitter();
  const body = new Uint8Array(1_000_000);
  const packet = encodePublish({ packetId: 1, topic: "t", body, properties: {} });
  let length = 0;
  const beganMs = performance.now();
  for (let at = 0; at < packet.length; at += 10) {
    splitter.push(packet.subarray(at, at + 10), (one) => length = one.length);
  }
  assert.equal(length, packet.length);
  assert.ok(performance.now() - beganMs < 2_000);
});
