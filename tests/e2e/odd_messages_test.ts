/** What a device can say to the broker besides an honest reading, and what becomes of it. */

import assert from "node:assert/strict";
import { poll } from "../../src/time/poll.ts";
import {
  ACCEPTED,
  assertFate,
  type Fate,
  latin1,
  MALFORMED,
  NOTHING,
  ODD,
  OWN_TOPIC,
  VICTIM,
  withBench,
} from "./odd_bench.ts";
import {
  joined,
  PACKET,
  prefixed,
  PROPERTY,
  property,
  type RawConnect,
  type RawPublish,
  uint16,
} from "../support/raw_device.ts";

/** A valid message that is published in an unusual way, and what the broker and gateway make of it. */
interface Way {
  readonly how: string;
  readonly publish: Omit<Partial<RawPublish>, "message">;
  readonly connect?: Partial<RawConnect>;
  /** In place of the valid message. */
  readonly message?: (valid: string) => string | Uint8Array;
  readonly fate: Fate;
  /** The broker ends the connection. */
  readonly ends?: boolean;
}

const V4 = { version: 4 } as const;

function userProperties(count: number): Uint8Array {
  return joined(
    Array.from(
      { length: count },
      (_, i) => property(PROPERTY.userProperty, prefixed(`k${i}`), prefixed("message_id")),
    ),
  );
}

const RESPONSE_TOPIC = property(PROPERTY.responseTopic, prefixed(`device/${VICTIM}/command`));
const CORRELATION = property(PROPERTY.correlationData, prefixed("not the message id"));
const BYTES_255 = Uint8Array.of(0, 0, 0, 255);
const FORMAT_UTF8 = property(PROPERTY.payloadFormat, Uint8Array.of(1));
const FORMAT_BYTES = property(PROPERTY.payloadFormat, Uint8Array.of(0));

const WAYS: readonly Way[] = [
  { how: "at QoS 0", publish: { qos: 0 }, fate: ACCEPTED },
  { how: "at QoS 1", publish: {}, fate: ACCEPTED },
  { how: "at QoS 2, which the broker refuses", publish: { qos: 2 }, fate: NOTHING, ends: true },
  { how: "at QoS 0 by MQTT 3.1.1", publish: { qos: 0 }, connect: V4, fate: ACCEPTED },
  { how: "at QoS 1 by MQTT 3.1.1", publish: {}, connect: V4, fate: ACCEPTED },
  { how: "at QoS 2 by 3.1.1", publish: { qos: 2 }, connect: V4, fate: NOTHING, ends: true },
  { how: "with DUP set", publish: { dup: true }, fate: ACCEPTED },
  { how: "retained", publish: { retain: true }, fate: NOTHING, ends: true },
  {
    how: "retained by 3.1.1",
    publish: { retain: true },
    connect: V4,
    fate: NOTHING,
    ends: true,
  },
  {
    how: "with a topic alias",
    publish: { properties: property(PROPERTY.topicAlias, uint16(1)) },
    fate: NOTHING,
    ends: true,
  },
  {
    how: "with topic alias 0",
    publish: { properties: property(PROPERTY.topicAlias, uint16(0)) },
    fate: NOTHING,
    ends: true,
  },
  {
    how: "with a Response Topic, Correlation Data and 100 user properties",
    publish: { properties: joined([RESPONSE_TOPIC, CORRELATION, userProperties(100)]) },
    fate: ACCEPTED,
  },
  { how: "with payload format UTF-8", publish: { properties: FORMAT_UTF8 }, fate: ACCEPTED },
  { how: "with payload format bytes", publish: { properties: FORMAT_BYTES }, fate: ACCEPTED },
  {
    how: "with a message expiry",
    publish: { properties: property(PROPERTY.messageExpiry, BYTES_255) },
    fate: ACCEPTED,
  },
  {
    how: "with a message expiry of no time",
    publish: { properties: property(PROPERTY.messageExpiry, new Uint8Array(4)) },
    fate: ACCEPTED,
  },
  {
    how: "with 2,500 user properties",
    publish: { properties: userProperties(2_500) },
    fate: ACCEPTED,
  },
  {
    how: "with user properties named as JavaScript's own",
    publish: {
      properties: joined(
        ["__proto__", "constructor", "hasOwnProperty", "__proto__"].map((name) =>
          property(PROPERTY.userProperty, prefixed(name), prefixed(name))
        ),
      ),
    },
    fate: ACCEPTED,
  },
  {
    how: "with a subscription identifier, which the broker should refuse",
    publish: { properties: property(PROPERTY.subscriptionIdentifier, Uint8Array.of(1)) },
    fate: ACCEPTED,
  },
  {
    how: "with a wildcard as Response Topic, which the broker should refuse",
    publish: { properties: property(PROPERTY.responseTopic, prefixed("#")) },
    fate: ACCEPTED,
  },
  { how: "of no bytes", publish: {}, message: () => "", fate: MALFORMED },
  { how: "of no bytes at QoS 0", publish: { qos: 0 }, message: () => "", fate: MALFORMED },
  {
    how: "of no bytes by 3.1.1",
    publish: {},
    connect: V4,
    message: () => "",
    fate: MALFORMED,
  },
  {
    how: "in invalid UTF-8",
    publish: {},
    message: (valid) => latin1(valid.replace("odd way", "\xff\xfe")),
    fate: MALFORMED,
  },
  {
    how: "in invalid UTF-8 that claims to be UTF-8",
    publish: { properties: FORMAT_UTF8 },
    message: (valid) => latin1(valid.replace("odd way", "\xc0\x80")),
    fate: MALFORMED,
  },
  {
    how: "behind a byte order mark",
    publish: {},
    message: (valid) => `\ufeff${valid}`,
    fate: MALFORMED,
  },
  {
    how: "in UTF-16",
    publish: {},
    message: (valid) => latin1([...valid].join("\0")),
    fate: MALFORMED,
  },
  { how: "twice in one", publish: {}, message: (valid) => valid + valid, fate: MALFORMED },
];

Deno.test("a valid message, published in every way that MQTT has", async (t) => {
  await withBench(async (bench) => {
    for (const { how, publish, connect, message, fate, ends } of WAYS) {
      const outcome = fate.accepted ? "accepted" : fate.code ?? "kept away by the broker";
      await t.step(`${how}: ${outcome}`, async () => {
        const valid = await bench.sign('{"v":"odd way"}');
        await assertFate(bench, fate, async () => {
          const device = await bench.connect(connect);
          device.publish({
            topic: OWN_TOPIC,
            message: message?.(valid) ?? valid,
            ...publish,
          });
          await device.ping();
          assert.equal(device.ended, ends ?? false);
          await device.die();
        });
      });
    }
  });
});

Deno.test("a replay with DUP set by the device is a replay, not the broker's second delivery", async () => {
  await withBench(async (bench) => {
    const message = await bench.sign("1");
    await assertFate(bench, ACCEPTED, async () => {
      const device = await bench.connect();
      device.publish({ topic: OWN_TOPIC, message });
      await device.ping();
      await device.die();
    });
    const replayed = { ...MALFORMED, code: "replayed" } as const;
    for (const qos of [0, 1]) {
      await assertFate(bench, replayed, async () => {
        const device = await bench.connect();
        device.publish({ topic: OWN_TOPIC, message, dup: true, qos });
        await device.ping();
        await device.die();
      });
    }
  });
});

Deno.test("an answer carries nothing of the message's own properties", async () => {
  await withBench(async ({ connect, sign }) => {
    const device = await connect();
    await device.subscribe(`device/${ODD}/response`);
    const message = await sign("1");
    const properties = joined([RESPONSE_TOPIC, CORRELATION, userProperties(100)]);
    device.publish({ topic: OWN_TOPIC, message, properties });
    const { body } = await device.packet(PACKET.publish);
    const answer = new TextDecoder("latin1").decode(body);
    assert.ok(answer.includes(`message_id\0$${JSON.parse(message).message_id}`), "its own pairing");
    assert.doesNotMatch(answer, /k\d|not the message id|victim/);
  });
});

Deno.test("a message of 65,536 bytes is taken, one byte more is refused, 70 kB never arrive", async () => {
  await withBench(async (bench) => {
    const frame = (await bench.sign('""')).length;
    const sizes = [
      [65_536, ACCEPTED, false],
      [65_537, MALFORMED, false],
      [70_000, NOTHING, true],
      [1_000_000, NOTHING, true],
    ] as const;
    for (const version of [5, 4] as const) {
      for (const [size, fate, ends] of sizes) {
        const message = await bench.sign(`"${"x".repeat(size - frame)}"`);
        assert.equal(message.length, size);
        await assertFate(bench, fate, async () => {
          const device = await bench.connect({ version });
          device.publish({ topic: OWN_TOPIC, message });
          await device.ping();
          assert.equal(device.ended, ends, `${size} bytes by version ${version}`);
          await device.die();
        });
      }
    }
  });
});

/** A will, and what becomes of it once its device has died. */
interface Will {
  readonly what: string;
  readonly will: Omit<Partial<RawPublish>, "message">;
  readonly message?: (valid: string) => string;
  readonly fate: Fate;
  /** The CONNACK's reason code. */
  readonly connack?: number;
}

const WILLS: readonly Will[] = [
  { what: "on its own data topic is judged like any message", will: {}, fate: ACCEPTED },
  { what: "at QoS 0 is judged too", will: { qos: 0 }, fate: ACCEPTED },
  {
    what: "that was tampered with is refused",
    will: {},
    message: (valid) => valid.replace("last words", "other words"),
    fate: { ...MALFORMED, code: "invalid_signature" },
  },
  { what: "of no bytes is refused", will: {}, message: () => "", fate: MALFORMED },
  {
    what: "on another's data topic is dropped",
    will: { topic: `device/${VICTIM}/data` },
    fate: NOTHING,
  },
  {
    what: "on another's command topic is dropped",
    will: { topic: `device/${VICTIM}/command` },
    fate: NOTHING,
  },
  {
    what: "on its own command topic is dropped",
    will: { topic: `device/${ODD}/command` },
    fate: NOTHING,
  },
  {
    what: "on the marker topic is dropped",
    will: { topic: "gateway/caught_up" },
    fate: NOTHING,
  },
  {
    what: "that is retained is refused by the broker",
    will: { retain: true },
    fate: NOTHING,
    connack: 0x9a,
  },
  {
    what: "at QoS 2 is refused by the broker",
    will: { qos: 2 },
    fate: NOTHING,
    connack: 0x9b,
  },
];

Deno.test("the will of a device that dies", async (t) => {
  await withBench(async (bench) => {
    for (const { what, will, message, fate, connack = 0 } of WILLS) {
      await t.step(what, async () => {
        const valid = await bench.sign('{"v":"last words"}');
        await assertFate(bench, fate, async () => {
          const testament = { topic: OWN_TOPIC, message: message?.(valid) ?? valid, ...will };
          const device = await bench.connect({ will: testament });
          assert.equal(device.connackCode, connack);
          const ended = new RegExp(`Client ${ODD} (closed its connection|disconnected)`, "g");
          const endings = () => [...bench.site.broker!.log().matchAll(ended)].length;
          const before = endings();
          await device.die();
          if (connack === 0) await poll("the broker to notice", () => endings() > before);
        });
      });
    }
  });
});
