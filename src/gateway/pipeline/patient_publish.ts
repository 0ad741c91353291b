/** Publishing what must not be lost. */

import type { Broker, Published, PublishProperties } from "../../core/ports.ts";

/** What is published. */
interface Publication {
  readonly topic: string;
  readonly body: Uint8Array;
  readonly properties: PublishProperties;
}

/** Tries until the broker has taken or refused it; undefined if `stop` came first. */
export async function publishUntilTaken(
  broker: Pick<Broker, "publish" | "nextConnect">,
  { topic, body, properties }: Publication,
  stop: AbortSignal,
): Promise<Published | undefined> {
  let published = await broker.publish(topic, body, properties);
  while (published.kind === "unsent" || published.kind === "unacknowledged") {
    if (!await broker.nextConnect(stop)) return undefined;
    published = await broker.publish(topic, body, properties);
  }
  return published;
}
