/** The gateway's side of a broker, without the rest of a gateway. */

import type { Emit } from "../../src/core/event.ts";
import type { BrokerConsumer, InboundMessage } from "../../src/core/ports.ts";
import type { BrokerAddress } from "../../src/gateway/broker/connection.ts";
import { MqttBroker } from "../../src/gateway/broker/mqtt_broker.ts";
import type { LiveSite } from "./live_site.ts";

/** A broker in place of the site's gateway's, not open yet. */
export function brokerOf(
  site: LiveSite,
  { emit = () => {}, ...over }: Partial<BrokerAddress> & { emit?: Emit } = {},
): MqttBroker {
  const read = (path: string) => Deno.readTextFileSync(path);
  const { broker } = site.config;
  const address = {
    ...broker,
    ca: read(broker.ca),
    certificate: read(broker.certificate),
    key: read(broker.key),
    ...over,
  };
  return new MqttBroker(address, emit);
}

/** Keeps what comes, for the test to acknowledge. */
export function keeping(messages: InboundMessage[], sessionResumed = () => {}): BrokerConsumer {
  return {
    take: (message) => void messages.push(message),
    sessionResumed,
    connected: () => {},
    disconnected: () => {},
    dropCounted: () => {},
  };
}
