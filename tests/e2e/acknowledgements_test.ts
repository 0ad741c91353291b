/** What devices say of their commands, through a real broker. */

import assert from "node:assert/strict";
import type { DeviceClient } from "../../src/client/device_client.ts";
import { Registry } from "../../src/store/sqlite/registry.ts";
import { ackTopic, commandTopic, dataTopic } from "../../src/core/topic.ts";
import { poll } from "../../src/time/poll.ts";
import { ask, commandOf, reaches } from "../support/command_states.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";
import { PACKET, RawDevice } from "../support/raw_device.ts";

const DEVICE_ID = "sensor_001";
const RECEIVED = { state: "received" } as const;
const DONE = { state: "done" } as const;
/** What a device's clock says that was never set. */
const NO_CLOCK_SECONDS = 1_000_000_000;
const PAYLOAD_MAX_BYTES = 16_384;

/** A device with a command that it has received, and not said anything of. */
interface Commanded {
  readonly site: LiveSite;
  readonly device: DeviceClient;
  readonly messageId: string;
}

async function withCommand(work: (commanded: Commanded) => Promise<void>): Promise<void> {
  await withLiveSite(async (site) => {
    const device = await site.device(DEVICE_ID);
    const messageId = await ask(site, DEVICE_ID);
    assert.equal((await device.command()).messageId, messageId);
    await work({ site, device, messageId });
  });
}

/** Signs a payload as an acknowledgement, and publishes it to the device's own topic. */
async function publishWord(
  { device, messageId }: Pick<Commanded, "device" | "messageId">,
  payload: string,
): Promise<void> {
  const signed = await device.sign(payload, { kind: "acknowledgement", messageId });
  await device.publish(signed.message, { topic: ackTopic(device.deviceId) });
}

/** The states that the log has told of a command, in their order. */
function told({ log }: LiveSite, messageId: string): unknown[] {
  const changes = log.filter(({ event, message_id }) =>
    event === "command_state_changed" && message_id === messageId
  );
  return changes.map(({ state }) => state);
}

/** Waits for a rejection, which must leave the command as it was: sent. */
async function isRejected({ site, messageId }: Commanded, code: string): Promise<void> {
  await site.logged("message_rejected", (record) => record["code"] === code);
  const { state, acknowledgement } = commandOf(site, messageId);
  assert.deepEqual([state, acknowledgement], ["sent", undefined]);
}

Deno.test("a plain device and a plain request: sent, and unconfirmed when its time is over", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device(DEVICE_ID);
    const messageId = await ask(site, DEVICE_ID);
    assert.ok((await device.command()).valid);
    const command = await reaches(site, messageId, "unconfirmed");
    assert.deepEqual([command.delivery, command.sends], ["queued", 1]);
    assert.equal(device.commandsWaiting, 0);
    assert.deepEqual(told(site, messageId), ["sent", "unconfirmed"]);
  }, { settings: { CHECKS_TOLERANCE: "2s" } });
});

for (const protocolVersion of [4, 5] as const) {
  Deno.test(`a device without a session, MQTT ${protocolVersion}: each of its words is a state`, async () => {
    await withLiveSite(async (site) => {
      const device = await site.device(DEVICE_ID, { protocolVersion });
      const messageId = await ask(site, DEVICE_ID);
      await device.command();
      for (const state of ["received", "running", "done"] as const) {
        await device.acknowledge(messageId, { state });
        await reaches(site, messageId, state);
      }
      assert.deepEqual(told(site, messageId), ["sent", "received", "running", "done"]);
    });
  });
}

Deno.test("what a device says of a command is kept byte for byte", async () => {
  await withCommand(async ({ site, device, messageId }) => {
    const payload = '{"state":"failed","result":22.50,"reason":"the door \\u00e9 is stuck"}';
    await publishWord({ device, messageId }, ` ${payload} `);
    const { acknowledgement } = await reaches(site, messageId, "failed");
    assert.equal(new TextDecoder().decode(acknowledgement!.payload), payload);
  });
});

Deno.test("a device may acknowledge before its PUBACK", async () => {
  await withLiveSite(async (site) => {
    const folder = await site.register(DEVICE_ID);
    const signer = await site.connect(folder, { subscribe: false });
    await signer.close();
    const device = await RawDevice.connect(folder, { port: site.config.devices.port });
    await device.subscribe(commandTopic(DEVICE_ID));
    const messageId = await ask(site, DEVICE_ID);
    await device.packet(PACKET.publish);
    const kind = "acknowledgement";
    const { message } = await signer.sign('{"state":"done"}', { kind, messageId });
    device.publish({ topic: ackTopic(DEVICE_ID), message });
    await reaches(site, messageId, "done");
    await device.die();
  });
});

Deno.test("the same word twice is one state, and no rejection", async () => {
  await withCommand(async ({ site, device, messageId }) => {
    const { message } = await device.acknowledge(messageId, DONE);
    await device.publish(message, { topic: ackTopic(DEVICE_ID) });
    await device.acknowledge(messageId, DONE);
    await device.send('{"after":1}');
    await site.received(1);
    await reaches(site, messageId, "done");
    assert.deepEqual(told(site, messageId), ["sent", "done"]);
    assert.equal(site.log.some(({ event }) => event === "message_rejected"), false);
  });
});

Deno.test("words out of order: only the later one counts", async () => {
  await withCommand(async ({ site, device, messageId }) => {
    for (const state of ["running", "received", "refused", "done", "running"] as const) {
      await device.acknowledge(messageId, { state });
    }
    await device.send('{"after":1}');
    await site.received(1);
    assert.equal(commandOf(site, messageId).state, "refused");
    assert.deepEqual(told(site, messageId), ["sent", "running", "refused"]);
  });
});

Deno.test("a word that comes after the command's time still counts, if it is a final one", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device(DEVICE_ID);
    const messageId = await ask(site, DEVICE_ID);
    await device.command();
    await reaches(site, messageId, "unconfirmed");
    await device.acknowledge(messageId, RECEIVED);
    await device.acknowledge(messageId, DONE);
    await reaches(site, messageId, "done");
    assert.deepEqual(told(site, messageId), ["sent", "unconfirmed", "done"]);
  }, { settings: { CHECKS_TOLERANCE: "2s" } });
});

Deno.test("a word that came while the gateway was away counts when it is back", async () => {
  await withCommand(async ({ site, device, messageId }) => {
    await site.stopGateway();
    await device.acknowledge(messageId, DONE);
    assert.equal(commandOf(site, messageId).state, "sent");
    await site.startGateway();
    await reaches(site, messageId, "done");
  });
});

Deno.test("a device speaks of its own commands only", async () => {
  await withCommand(async ({ site, messageId }) => {
    const other = await site.device("sensor_002");
    await other.acknowledge(messageId, DONE);
    const { device_id: deviceId } = await site.logged("acknowledgement_unmatched");
    assert.equal(deviceId, "sensor_002");
    assert.equal(commandOf(site, messageId).state, "sent");
  });
});

Deno.test("a device speaks on its own topic only, and in its own name", async () => {
  await withCommand(async (commanded) => {
    const { site, messageId } = commanded;
    const other = await site.device("sensor_002");
    const secret = await Deno.readTextFile(`${site.layout.devicesFolder}/${DEVICE_ID}/secret`);
    const forged = { kind: "acknowledgement", messageId, deviceId: DEVICE_ID, secret } as const;
    const { message } = await other.sign('{"state":"done"}', forged);
    const { reasonCode } = await other.publish(message, { topic: ackTopic(DEVICE_ID) });
    assert.equal(reasonCode, 0x87, "not authorized");
    await other.publish(message, { topic: ackTopic("sensor_002") });
    await isRejected(commanded, "identity_mismatch");
  });
});

Deno.test("a word under a wrong secret is refused", async () => {
  await withCommand(async (commanded) => {
    const { device, messageId } = commanded;
    await device.acknowledge(messageId, DONE, { secret: "another" });
    await isRejected(commanded, "invalid_signature");
  });
});

Deno.test("a device without a clock may speak", async () => {
  await withCommand(async ({ site, device, messageId }) => {
    await device.acknowledge(messageId, DONE, { timestamp: NO_CLOCK_SECONDS });
    const { acknowledgement } = await reaches(site, messageId, "done");
    assert.equal(acknowledgement!.timestamp, String(NO_CLOCK_SECONDS));
    assert.ok(acknowledgement!.receivedSeconds > NO_CLOCK_SECONDS);
  });
});

Deno.test("a retained word is refused, also by a broker that allows it", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device(DEVICE_ID);
    const messageId = await ask(site, DEVICE_ID);
    const kind = "acknowledgement";
    const { message } = await device.sign('{"state":"done"}', { kind, messageId });
    await device.publish(message, { topic: ackTopic(DEVICE_ID), retain: true });
    await isRejected({ site, device, messageId }, "malformed");
  }, { brokerLines: { retain_available: "true" } });
});

Deno.test("a word of 16 KiB is kept, one byte more is refused", async () => {
  await withCommand(async (commanded) => {
    const { site, messageId } = commanded;
    const [head, tail] = ['{"state":"done","result":"', '"}'];
    const payload = (bytes: number) => head + "x".repeat(bytes - head.length - tail.length) + tail;
    await publishWord(commanded, payload(PAYLOAD_MAX_BYTES + 1));
    await isRejected(commanded, "malformed");
    await publishWord(commanded, payload(PAYLOAD_MAX_BYTES));
    const { acknowledgement } = await reaches(site, messageId, "done");
    assert.equal(acknowledgement!.payload.length, PAYLOAD_MAX_BYTES);
  });
});

Deno.test("a word that is none is refused", async () => {
  await withCommand(async (commanded) => {
    const words = ['{"state":"executed"}', '{"state":"expired"}', '"done"', "null", "{}", "[]"];
    for (const word of words) await publishWord(commanded, word);
    const refusals = () => commanded.site.log.filter(({ code }) => code === "malformed").length;
    await poll(`${words.length} refusals`, () => refusals() === words.length);
    await isRejected(commanded, "malformed");
  });
});

Deno.test("an acknowledgement is no reading, and neither a command nor a reading is an acknowledgement", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device(DEVICE_ID);
    // A payload that would do as a word, so that only the signature can tell.
    const body = '{"state":"done"}';
    const response = await site.api(`/command/${DEVICE_ID}`, { method: "POST", body });
    const messageId = (await response.json()).message_id;
    const { raw } = await device.command();
    const reflected = `{"device_id":"${DEVICE_ID}",${raw.slice(1)}`;
    const kind = "acknowledgement";
    const word = await device.sign(body, { kind, messageId: crypto.randomUUID() });
    const reading = await device.sign(body, { messageId });
    await device.publish(reflected, { topic: ackTopic(DEVICE_ID) });
    await device.publish(reading.message, { topic: ackTopic(DEVICE_ID) });
    await device.publish(word.message, { topic: dataTopic(DEVICE_ID) });
    const refusals = () => site.log.filter(({ code }) => code === "invalid_signature").length;
    await poll("three refusals", () => refusals() === 3);
    assert.equal(commandOf(site, messageId).state, "sent");
    assert.deepEqual(site.backend.received, []);
  });
});

Deno.test("the word of a revoked device does not count", async () => {
  await withCommand(async (commanded) => {
    const { site, device, messageId } = commanded;
    const revocation = { revokedAt: 1, reason: "lost" };
    site.withStore((store) => new Registry(store).revoke(DEVICE_ID, revocation));
    await device.acknowledge(messageId, DONE);
    await isRejected(commanded, "device_revoked");
  });
});
