import type { InboundMessage } from "../../src/core/ports.ts";
import { dataTopic } from "../../src/core/topic.ts";
import { DEVICE_ID } from "./judge.ts";

/** A text as it comes from the broker with QoS 1, on the data topic of the device of the tests. */
export function inbound(text: string, acknowledge: () => void = () => {}): InboundMessage {
  return {
    topic: dataTopic(DEVICE_ID),
    bytes: new TextEncoder().encode(text),
    retained: false,
    needsAck: true,
    redelivered: false,
    acknowledge,
  };
}
