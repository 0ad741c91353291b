/** What a device that was let in tries to do to others: each is harmless. */

import type { DeviceClient } from "../client/device_client.ts";
import { commandTopic, dataTopic, MARKER_TOPIC, responseTopic } from "../core/topic.ts";
import { type Check, type CheckOutcome, failed, messageOf, ok, passUnless } from "./check.ts";
import type { TestDevices } from "./listeners.ts";
import { temporaryId } from "./temporary_device.ts";

/** The attacks of this family. */
export const TOPIC_ATTACKS: readonly Check<TestDevices>[] = [
  { name: "another device's topic", look: speakForOthers },
  { name: "subscription to #", look: (guests) => listen(guests, "#") },
  { name: "subscription to $SYS/#", look: (guests) => listen(guests, "$SYS/#") },
  { name: "retained message", look: retain },
  { name: "another's client id", look: takeOver },
  { name: "70 kB message", look: flood },
];

/** MQTT 5 §3.4.2.1: Not authorized. */
const NOT_AUTHORIZED = 0x87;
const LARGE_BYTES = 70_000;
const TEXT = "a trial of secure-iot-gateway doctor";
/** Of no use to anybody later. */
const PROPERTIES = { messageExpiryInterval: 30 };
const MEND = "Restart the broker with the configuration and the access lists of this site";

async function speakForOthers(guests: TestDevices): Promise<CheckOutcome> {
  const guest = await guests.invite();
  const other = temporaryId();
  const topics = [
    dataTopic(other),
    responseTopic(other),
    commandTopic(other),
    responseTopic(guest.deviceId),
    MARKER_TOPIC,
  ];
  const faults: string[] = [];
  for (const topic of topics) {
    const { reasonCode } = await guest.publish(TEXT, { topic, properties: PROPERTIES });
    if (reasonCode !== NOT_AUTHORIZED) faults.push(`${topic}: taken, reason ${reasonCode}`);
  }
  return passUnless(faults, {
    observed: `refused on ${topics.length} topics, reason 0x87`,
    remedy: MEND,
  });
}

/** Somebody speaks while it listens. */
async function listen(guests: TestDevices, filter: string): Promise<CheckOutcome> {
  const spy = await guests.invite({ subscribe: [filter] });
  const speaker = await guests.invite();
  await speaker.publish(TEXT, { properties: PROPERTIES });
  await roundTrip(spy);
  const heard = spy.responses.length + spy.commandsWaiting;
  return heard === 0
    ? ok("granted, and nothing of another device's message is heard")
    : failed(`${heard} messages of others were heard`, MEND);
}

/** With MQTT 3.1.1, where a client does not know better than to send it. */
async function retain(guests: TestDevices): Promise<CheckOutcome> {
  const guest = await guests.invite({ protocolVersion: 4 });
  const { observed, refused } = await ending(guest.publish(TEXT, { retain: true }));
  if (refused) return ok(observed);
  await guest.publish("", { retain: true }); // takes it back
  return failed("a retained message was taken", MEND);
}

async function takeOver(guests: TestDevices): Promise<CheckOutcome> {
  const victim = await guests.invite();
  const thief = await guests.invite({ clientId: victim.deviceId, subscribe: false });
  await roundTrip(thief);
  try {
    await roundTrip(victim);
    return ok("let in under its own name; the other stays connected");
  } catch {
    return failed("the other was thrown out, and its session taken", MEND);
  }
}

async function flood(guests: TestDevices): Promise<CheckOutcome> {
  const guest = await guests.invite({ protocolVersion: 4 });
  const { observed, refused } = await ending(guest.publish("x".repeat(LARGE_BYTES)));
  return refused ? ok(observed) : failed(`a message of ${LARGE_BYTES} bytes was taken`, MEND);
}

/** Whatever the broker has sent before has come when this is over. */
async function roundTrip(guest: DeviceClient): Promise<void> {
  await guest.publish(TEXT, { topic: responseTopic(guest.deviceId), properties: PROPERTIES });
}

/** Whether the broker rather ends the connection than take a message. */
async function ending(publish: Promise<unknown>): Promise<{ observed: string; refused: boolean }> {
  try {
    await publish;
    return { observed: "", refused: false };
  } catch (error) {
    return { observed: `refused: ${messageOf(error)}`, refused: true };
  }
}
