/** The parts that a gateway has only where it shares its store with others, put together. */

import type { CommandReader } from "../../core/command_store.ts";
import type { Emit } from "../../core/event.ts";
import type { Broker, NodeStore } from "../../core/ports.ts";
import type { Clock } from "../../time/clock.ts";
import type { CommandSender } from "../pipeline/command_sender.ts";
import type { CommandWatch } from "../pipeline/command_watch.ts";
import type { LaneHolds } from "../pipeline/lane_holds.ts";
import { MailCarrier } from "./mail_carrier.ts";
import { Membership } from "./membership.ts";
import { Presence } from "./presence.ts";
import { RoutedBroker } from "./routed_broker.ts";

/** What it begins with. */
interface ClusterParts {
  readonly nodes: NodeStore;
  readonly broker: Broker;
  readonly clock: Clock;
  readonly emit: Emit;
}

/** What of the gateway it works on, once that is there. */
interface ClusterConsumers {
  readonly holds: LaneHolds;
  readonly sender: CommandSender;
  readonly watch: CommandWatch;
  readonly commands: CommandReader;
}

/** This gateway among the others. */
export class Cluster {
  /** What reaches a device wherever it is. */
  readonly broker: RoutedBroker;
  readonly #parts: ClusterParts;
  readonly #options: {
    readonly leaseMs: number;
    readonly toleranceSeconds: number;
  };
  readonly #presence: Presence;
  #membership: Membership | undefined;
  #carrier: MailCarrier | undefined;
  #listening: { close(): Promise<void> } | undefined;

  constructor(
    parts: ClusterParts,
    options: {
      readonly name: string;
      readonly leaseMs: number;
      readonly toleranceSeconds: number;
    },
  ) {
    this.#parts = parts;
    this.#options = options;
    this.#presence = new Presence(parts.nodes, options.name);
    this.broker = new RoutedBroker({ ...parts, presence: this.#presence });
  }

  /** Why this gateway must not take messages; undefined if it may. */
  get fault(): string | undefined {
    return this.#membership?.fault;
  }

  /** What hears that a device was heard here, before anything is sent that this is about. */
  hearing(sender: Pick<CommandSender, "heard">): Pick<CommandSender, "heard"> {
    return {
      heard: (deviceId) => {
        this.#presence.here(deviceId);
        sender.heard(deviceId);
      },
    };
  }

  /** Devices that were heard last at another gateway. */
  get devicesElsewhere(): number {
    return this.#presence.size;
  }

  /** Other gateways that are not heard of any longer. */
  get silentNodes(): number {
    return this.#presence.silent;
  }

  /** By how much this machine's clock is ahead of the store's. */
  get skewSeconds(): number {
    return this.#membership?.skewSeconds ?? 0;
  }

  /** Takes its place among the others; resolves when it may send. */
  async start({ holds, sender, watch, commands }: ClusterConsumers): Promise<void> {
    const { nodes } = this.#parts;
    const presence = this.#presence;
    const carrier = this.#carrier = new MailCarrier(this.#parts);
    presence.start({
      moved: (deviceId) => sender.heard(deviceId),
      mailCame: () => carrier.wake(),
      commandChanged: async (messageId) => {
        if (!watch.isFollowed(messageId)) return;
        const command = await commands.findByMessage(messageId).catch(() => undefined);
        if (command) watch.changed([{ command, isNews: false }]);
      },
    });
    this.#membership = new Membership(
      { ...this.#parts, holds, commands: sender, presence },
      this.#options,
    );
    this.#listening = nodes.listen(presence);
    await this.#membership.start();
  }

  /** Leaves. */
  async close(): Promise<void> {
    await this.#listening?.close();
    this.#presence.close();
    await this.#carrier?.close();
    await this.#membership?.close();
  }
}
