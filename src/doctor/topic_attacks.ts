/** What a device that was let in tries to do to others: each is harmless. */

import type { SampleDevice } from "../demo/sample_device.ts";
import { commandTopic, dataTopic, MARKER_TOPIC, responseTopic } from "../core/topic.ts";
import { type Check, failed, messageOf, ok, okUnless, type Outcome } from "./check.ts";
import type { Guests } from "./doors.ts";
import { throwAwayId } from "./throw_away.ts";

/** The attacks of this family. */
export const TOPIC_ATTACKS: readonly Check<Guests>[] = [
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

async function speakForOthers(guests: Guests): Promise<Outcome> {
  const guest = await guests.invite();
  const other = throwAwayId();
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
  return okUnless(faults, {
    seen: `refused on ${topics.length} topics, reason 0x87`,
    mend: MEND,
  });
}

/** Somebody speaks while it listens. */
async function listen(guests: Guests, filter: string): Promise<Outcome> {
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
async function retain(guests: Guests): Promise<Outcome> {
  const guest = await guests.invite({ protocolVersion: 4 });
  const { seen, refused } = await ending(guest.publish(TEXT, { retain: true }));
  if (refused) return ok(seen);
  await guest.publish("", { retain: true }); // takes it back
  return failed("a retained message was taken", MEND);
}

async function takeOver(guests: Guests): Promise<Outcome> {
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

async function flood(guests: Guests): Promise<Outcome> {
  const guest = await guests.invite({ protocolVersion: 4 });
  const { seen, refused } = await ending(guest.publish("x".repeat(LARGE_BYTES)));
  return refused ? ok(seen) : failed(`a message of ${LARGE_BYTES} bytes was taken`, MEND);
}

/** Whatever the broker has sent before has come when this is over. */
async function roundTrip(guest: SampleDevice): Promise<void> {
  await guest.publish(TEXT, { topic: responseTopic(guest.deviceId), properties: PROPERTIES });
}

/** Whether the broker rather ends the connection than take a message. */
async function ending(publish: Promise<unknown>): Promise<{ seen: string; refused: boolean }> {
  try {
    await publish;
    return { seen: "", refused: false };
  } catch (error) {
    return { seen: `refused: ${messageOf(error)}`, refused: true };
  }
}
