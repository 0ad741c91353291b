/** Brokers that allow little, or that do not keep to MQTT 5. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { generate, type IPublishPacket, type Packet, parser } from "mqtt-packet";
import type { GatewayEvent } from "../../../src/core/event.ts";
import type { InboundMessage } from "../../../src/core/ports.ts";
import { poll } from "../../../src/time/poll.ts";
import { brokerOf, keeping } from "../../support/broker_link.ts";
import { type LiveSite, withLiveSite } from "../../support/live_site.ts";

const MQTT_5 = { protocolVersion: 5 };

/** A broker by script: it takes every client, and lets the test have what is published. */
class ScriptedBroker {
  readonly published: IPublishPacket[] = [];
  readonly acknowledged: number[] = [];
  /** Sent together with the CONNACK. */
  greeting: Uint8Array = new Uint8Array();
  readonly #listener: Deno.TlsListener;
  readonly #connack: Partial<Packet>;
  #connection: Deno.TlsConn | undefined;
  readonly #work: Promise<void>;

  constructor({ layout, config }: LiveSite, connack: Partial<Packet> = {}) {
    this.#connack = connack;
    this.#listener = Deno.listenTls({
      hostname: "127.0.0.1",
      port: config.broker.port,
      cert: Deno.readTextFileSync(layout.broker.certificate),
      key: Deno.readTextFileSync(layout.broker.key),
    });
    this.#work = this.#serve();
  }

  async send(...packets: Uint8Array[]): Promise<void> {
    await this.#connection!.write(Buffer.concat(packets)).catch(() => {});
  }

  async acknowledge(messageId: number, reasonCode = 0): Promise<void> {
    await this.send(bytesOf({ cmd: "puback", messageId, reasonCode }));
  }

  async close(): Promise<void> {
    this.#listener.close();
    await this.#connection?.closeWrite();
    await this.#work;
  }

  async #serve(): Promise<void> {
    try {
      for await (const connection of this.#listener) await this.#talk(connection);
    } catch {
      // closed
    }
  }

  async #talk(connection: Deno.TlsConn): Promise<void> {
    this.#connection = connection;
    const packets = parser(MQTT_5);
    packets.on("packet", (packet) => void this.#answer(packet));
    const chunk = new Uint8Array(65_536);
    try {
      for (let n; (n = await connection.read(chunk)) !== null;) {
        packets.parse(Buffer.from(chunk.slice(0, n)));
      }
    } catch {
      // it has ended
    } finally {
      connection.close();
      this.#connection = undefined;
    }
  }

  async #answer(packet: Packet): Promise<void> {
    switch (packet.cmd) {
      case "connect": {
        const connack = { cmd: "connack", reasonCode: 0, sessionPresent: false, ...this.#connack };
        return await this.send(bytesOf(connack), this.greeting);
      }
      case "subscribe":
        return await this.send(
          bytesOf({ cmd: "suback", messageId: packet.messageId, granted: [1, 1, 1, 0] }),
        );
      case "publish":
        return void this.published.push(packet);
      case "puback":
        return void this.acknowledged.push(packet.messageId!);
    }
  }
}

function bytesOf(packet: unknown): Uint8Array {
  return generate(packet as Packet, MQTT_5);
}

function publishOf(messageId: number, over: Partial<IPublishPacket> = {}): Uint8Array {
  return bytesOf({
    ...{ cmd: "publish", topic: "device/d/data", messageId, qos: 1, dup: false, retain: false },
    ...{ payload: Buffer.from(`message ${messageId}`), ...over },
  });
}

async function withBroker(
  connack: Partial<Packet>,
  work: (run: {
    broker: ScriptedBroker;
    link: ReturnType<typeof brokerOf>;
    order: string[];
    arrivals: InboundMessage[];
    events: GatewayEvent[];
  }) => Promise<void>,
  greeting = new Uint8Array(),
): Promise<void> {
  await withLiveSite(async (site) => {
    await site.stopBroker();
    const broker = new ScriptedBroker(site, connack);
    broker.greeting = greeting;
    const [events, arrivals, order]: [GatewayEvent[], InboundMessage[], string[]] = [[], [], []];
    const link = brokerOf(site, { emit: (event) => events.push(event) });
    const consumer = keeping(arrivals, () => order.push("session"));
    link.open({ ...consumer, take: (message) => (order.push("message"), consumer.take(message)) });
    try {
      await poll("the link", () => link.isConnected);
      await work({ broker, link, order, arrivals, events });
    } finally {
      await link.close();
      await broker.close();
    }
  }, { start: false });
}

Deno.test("no more publishes are under way than the broker allows, and none is too large for it", async () => {
  const properties = { receiveMaximum: 2, maximumPacketSize: 200 };
  await withBroker({ properties }, async ({ broker, link }) => {
    const publish = (text: string) => link.publish("t", new TextEncoder().encode(text), {});
    const large = await publish("x".repeat(200));
    assert.deepEqual([large.kind, "reasonCode" in large && large.reasonCode], ["refused", 0x95]);
    const texts = Array.from({ length: 7 }, (_, i) => `${i}`);
    const results = texts.map(publish);
    for (let i = 0; i < texts.length; i++) {
      await poll("the next", () => broker.published.length >= Math.min(i + 2, texts.length));
      assert.ok(broker.published.length <= i + 2, "two at a time");
      const { messageId, payload } = broker.published[i]!;
      assert.equal(payload.toString(), texts[i]);
      await broker.acknowledge(messageId!, i === 3 ? 0x97 : 0);
      assert.equal((await results[i]!).kind, i === 3 ? "refused" : "acknowledged");
    }
  });
});

Deno.test("what waits for its turn has not left when the connection ends", async () => {
  await withBroker({ properties: { receiveMaximum: 1 } }, async ({ broker, link }) => {
    const results = [1, 2].map((one) => link.publish("t", Uint8Array.of(one), {}));
    await poll("the first", () => broker.published.length === 1);
    await link.close();
    assert.deepEqual((await Promise.all(results)).map(({ kind }) => kind), [
      "unacknowledged",
      "unsent",
    ]);
  });
});

Deno.test("acknowledgements of nothing, and of the same once more, are passed over", async () => {
  await withBroker({}, async ({ broker, link }) => {
    await broker.acknowledge(1);
    await broker.acknowledge(77);
    const first = link.publish("t", Uint8Array.of(1), {});
    await poll("the first", () => broker.published.length === 1);
    const { messageId } = broker.published[0]!;
    await broker.acknowledge(messageId!);
    await broker.acknowledge(messageId!);
    assert.equal((await first).kind, "acknowledged");
    assert.equal(link.isConnected, true);
  });
});

Deno.test("that the session was kept is known before its messages, which come with the CONNACK", async () => {
  const greeting = Buffer.concat([publishOf(5), publishOf(6, { dup: true })]);
  await withBroker({ sessionPresent: true }, async ({ broker, order, arrivals }) => {
    assert.deepEqual(order, ["session", "message", "message"]);
    assert.deepEqual(arrivals.map(({ redelivered }) => redelivered), [false, true]);
    for (const { acknowledge } of arrivals.toReversed()) acknowledge();
    await poll("both", () => broker.acknowledged.length === 2);
    assert.deepEqual(broker.acknowledged, [6, 5]);
  }, greeting);
});

for (
  const [what, bytes] of [
    ["a QoS that does not exist", Uint8Array.of(0x36, 5, 0, 1, 0x61, 0, 1)],
    ["a topic beyond its packet", Uint8Array.of(0x32, 5, 0xff, 1, 0x61, 0, 1)],
    ["a length without an end", Uint8Array.of(0x32, 0xff, 0xff, 0xff, 0xff, 0xff)],
  ] as const
) {
  Deno.test(`a broker that sends ${what} is left, and spoken to again`, async () => {
    await withBroker({}, async ({ broker, link, events, arrivals }) => {
      await broker.send(publishOf(9));
      await poll("the message", () => arrivals.length === 1);
      await broker.send(bytes);
      await poll("the end", () => events.some(({ kind }) => kind === "broker_unreachable"));
      await poll("the next link", () => link.isConnected);
      arrivals[0]!.acknowledge(); // of a connection that has ended
      const published = link.publish("t", Uint8Array.of(1), {});
      await poll("a publish", () => broker.published.length === 1);
      assert.deepEqual(broker.acknowledged, []);
      await broker.acknowledge(broker.published[0]!.messageId!);
      assert.equal((await published).kind, "acknowledged");
    });
  });
}
