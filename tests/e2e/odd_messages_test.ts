/** What a device can say to the broker besides an honest reading, and that none of it does harm. */

import assert from "node:assert/strict";
import type { SampleDevice } from "../../src/demo/sample_device.ts";
import { until } from "../../src/demo/until.ts";
import type { RejectionCode } from "../../src/core/rejection.ts";
import { type LiveSite, withLiveSite } from "./live_site.ts";
import {
  joined,
  PACKET,
  packet,
  prefixed,
  PROPERTY,
  property,
  publishPacket,
  type RawConnect,
  RawDevice,
  type RawPublish,
  uint16,
} from "./raw_device.ts";

const ODD = "odd";
const VICTIM = "victim";
const OWN_TOPIC = `device/${ODD}/data`;
const BYTES_255 = Uint8Array.of(0, 0, 0, 255);

/** A device that misbehaves, an honest one, and the site between them. */
interface Bench {
  readonly site: LiveSite;
  /** Listens on its topics, and sends an honest reading after every oddity. */
  readonly victim: SampleDevice;
  /** Signs as the odd device. */
  sign(payload: string): Promise<string>;
  /** Connects the odd device; it is closed at the end. */
  connect(options?: Partial<RawConnect>): Promise<RawDevice>;
}

/** What the gateway counts. */
interface Counts {
  readonly accepted: number;
  readonly rejected: number;
  readonly duplicates: number;
}

const NOTHING: Counts = { accepted: 0, rejected: 0, duplicates: 0 };
const ACCEPTED: Counts = { ...NOTHING, accepted: 1 };
const REJECTED: Counts = { ...NOTHING, rejected: 1 };

async function withBench(work: (bench: Bench) => Promise<void>): Promise<void> {
  await withLiveSite(async (site) => {
    const opened: RawDevice[] = [];
    const folder = await site.register(ODD);
    const secret = await Deno.readTextFile(`${folder}/secret`);
    const victim = await site.device(VICTIM);
    try {
      await work({
        site,
        victim,
        sign: async (payload) => (await victim.sign(payload, { deviceId: ODD, secret })).message,
        connect: async (options) => {
          const device = await RawDevice.connect(folder, {
            port: site.config.devices.port,
            ...options,
          });
          opened.push(device);
          return device;
        },
      });
    } finally {
      for (const device of opened) await device.die();
    }
  });
}

async function countsOf(site: LiveSite): Promise<Counts> {
  const text = await (await site.api("/metrics")).text();
  const sum = (name: string) =>
    [...text.matchAll(new RegExp(`^secure_iot_gateway_${name}(?:\\{.*\\})? (\\d+)$`, "gm"))]
      .reduce((total, [, value]) => total + Number(value), 0);
  return {
    accepted: sum("accepted_total"),
    rejected: sum("rejected_total"),
    duplicates: sum("duplicates_total"),
  };
}

/**
 * Does something odd and checks what the gateway made of it: an honest reading, sent behind it,
 * comes through, and by then the broker's order has brought everything before it.
 */
async function assertTaken(
  { site, victim }: Bench,
  expected: Counts & { readonly code?: RejectionCode },
  odd: () => Promise<void>,
): Promise<void> {
  const before = await countsOf(site);
  const received = site.backend.received.length;
  const lines = site.log.length;
  await odd();
  const { messageId } = await victim.send('{"honest":true}');
  assert.equal((await victim.response(messageId)).status, "200");
  const after = await countsOf(site);
  assert.deepEqual({
    accepted: after.accepted - before.accepted - 1,
    rejected: after.rejected - before.rejected,
    duplicates: after.duplicates - before.duplicates,
  }, { accepted: expected.accepted, rejected: expected.rejected, duplicates: expected.duplicates });
  await site.received(received + 1 + expected.accepted);
  assert.equal(site.backend.received.length, received + 1 + expected.accepted);
  const codes = site.log.slice(lines).filter(({ event }) => event === "message_rejected")
    .map((record) => record["code"]);
  assert.deepEqual(codes, expected.code ? [expected.code] : []);
  await assertUnharmed(site);
}

/** The gateway's own connection, its readiness and its log are as they were. */
async function assertUnharmed(site: LiveSite): Promise<void> {
  assert.equal(await site.metric("broker_connects_total"), 1);
  assert.equal((await site.api("/readyz")).status, 200);
  const errors = site.log.filter(({ level, event }) =>
    level === "error" || event === "broker_disconnected"
  );
  assert.deepEqual(errors, []);
}

/** A valid message that is published in an unusual way, and what the broker and gateway make of it. */
interface Way {
  readonly how: string;
  readonly publish: Omit<Partial<RawPublish>, "message">;
  readonly connect?: Partial<RawConnect>;
  /** In place of the valid message. */
  readonly message?: (valid: string) => string | Uint8Array;
  readonly expected: Counts & { readonly code?: RejectionCode };
  /** The broker ends the connection. */
  readonly ends?: boolean;
}

const V4 = { version: 4 } as const;
const MALFORMED = { ...REJECTED, code: "malformed" } as const;

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
const FORMAT_UTF8 = property(PROPERTY.payloadFormat, Uint8Array.of(1));
const FORMAT_BYTES = property(PROPERTY.payloadFormat, Uint8Array.of(0));

const WAYS: readonly Way[] = [
  { how: "at QoS 0", publish: { qos: 0 }, expected: ACCEPTED },
  { how: "at QoS 1", publish: {}, expected: ACCEPTED },
  { how: "at QoS 2, which the broker refuses", publish: { qos: 2 }, expected: NOTHING, ends: true },
  { how: "at QoS 0 by MQTT 3.1.1", publish: { qos: 0 }, connect: V4, expected: ACCEPTED },
  { how: "at QoS 1 by MQTT 3.1.1", publish: {}, connect: V4, expected: ACCEPTED },
  { how: "at QoS 2 by 3.1.1", publish: { qos: 2 }, connect: V4, expected: NOTHING, ends: true },
  { how: "with DUP set", publish: { dup: true }, expected: ACCEPTED },
  { how: "retained", publish: { retain: true }, expected: NOTHING, ends: true },
  {
    how: "retained by 3.1.1",
    publish: { retain: true },
    connect: V4,
    expected: NOTHING,
    ends: true,
  },
  {
    how: "with a topic alias",
    publish: { properties: property(PROPERTY.topicAlias, uint16(1)) },
    expected: NOTHING,
    ends: true,
  },
  {
    how: "with topic alias 0",
    publish: { properties: property(PROPERTY.topicAlias, uint16(0)) },
    expected: NOTHING,
    ends: true,
  },
  {
    how: "with a Response Topic, Correlation Data and 100 user properties",
    publish: { properties: joined([RESPONSE_TOPIC, CORRELATION, userProperties(100)]) },
    expected: ACCEPTED,
  },
  { how: "with payload format UTF-8", publish: { properties: FORMAT_UTF8 }, expected: ACCEPTED },
  { how: "with payload format bytes", publish: { properties: FORMAT_BYTES }, expected: ACCEPTED },
  {
    how: "with a message expiry",
    publish: { properties: property(PROPERTY.messageExpiry, BYTES_255) },
    expected: ACCEPTED,
  },
  { how: "of no bytes", publish: {}, message: () => "", expected: MALFORMED },
  { how: "of no bytes at QoS 0", publish: { qos: 0 }, message: () => "", expected: MALFORMED },
  {
    how: "of no bytes by 3.1.1",
    publish: {},
    connect: V4,
    message: () => "",
    expected: MALFORMED,
  },
  {
    how: "in invalid UTF-8",
    publish: {},
    message: (valid) => latin1(valid.replace("odd way", "\xff\xfe")),
    expected: MALFORMED,
  },
  {
    how: "in invalid UTF-8 that claims to be UTF-8",
    publish: { properties: FORMAT_UTF8 },
    message: (valid) => latin1(valid.replace("odd way", "\xc0\x80")),
    expected: MALFORMED,
  },
  {
    how: "behind a byte order mark",
    publish: {},
    message: (valid) => `\ufeff${valid}`,
    expected: MALFORMED,
  },
  {
    how: "in UTF-16",
    publish: {},
    message: (valid) => latin1([...valid].join("\0")),
    expected: MALFORMED,
  },
  { how: "twice in one", publish: {}, message: (valid) => valid + valid, expected: MALFORMED },
];

function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

Deno.test("a valid message, published in every way that MQTT has", async (t) => {
  await withBench(async (bench) => {
    for (const { how, publish, connect, message, expected, ends } of WAYS) {
      const outcome = expected.accepted ? "accepted" : expected.code ?? "kept away by the broker";
      await t.step(`${how}: ${outcome}`, async () => {
        const valid = await bench.sign('{"v":"odd way"}');
        await assertTaken(bench, expected, async () => {
          const device = await bench.connect(connect);
          await device.publish({
            topic: OWN_TOPIC,
            message: message?.(valid) ?? valid,
            ...publish,
          });
          await device.ping();
          assert.equal(device.ended, ends ?? false);
          await device.die();
        });
        assert.deepEqual(bench.victim.commandsWaiting, 0);
      });
    }
  });
});
