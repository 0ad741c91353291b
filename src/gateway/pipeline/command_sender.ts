/**
 * Commands: from the backend's JSON to a signed message that the broker has acknowledged.
 *
 * A command is signed in the same form as a reading. Its id is therefore in the replay guard before
 * it is published: a captured command that comes back as a reading is replayed.
 */

import { type SignedCommand, writeCommand } from "../../core/command.ts";
import type { Broker, DeviceKeys, SentId } from "../../core/ports.ts";
import { sign } from "../../core/signature.ts";
import { signingInput } from "../../core/signing_input.ts";
import { secondsOf } from "../../core/time.ts";
import { commandTopic } from "../../core/topic.ts";
import type { Clock } from "../../time/clock.ts";

/** What became of a command. */
export type CommandResult =
  | {
    readonly kind: "sent";
    readonly messageId: string;
    /** Unix seconds. */
    readonly timestamp: number;
    /** False if the broker says that nobody is subscribed to the device's command topic. */
    readonly subscribers: boolean;
  }
  | { readonly kind: "unknown_device" }
  /** Its id could not be stored: nothing was sent. */
  | { readonly kind: "unstored" }
  | { readonly kind: "unsent"; readonly messageId: string; readonly reason: string };

/** Remembers ids on the disk; resolves to false if it cannot. */
interface IdMemory {
  remember(id: SentId): Promise<boolean>;
}

/** What a command needs on its way. */
interface CommandParts {
  readonly clock: Clock;
  readonly keys: DeviceKeys;
  readonly broker: Pick<Broker, "publish">;
  readonly committer: IdMemory;
  /** After which the device would refuse the command, and the broker drops it. */
  readonly toleranceSeconds: number;
}

/** Signs and sends commands. */
export class CommandSender {
  readonly #parts: CommandParts;

  constructor(parts: CommandParts) {
    this.#parts = parts;
  }

  /** Signs `payload` (compact JSON) for a device and publishes it. */
  async send(deviceId: string, payload: Uint8Array): Promise<CommandResult> {
    const { clock, keys, broker, committer, toleranceSeconds } = this.#parts;
    const nowSeconds = secondsOf(clock.wallMs());
    await keys.refresh();
    if (keys.statusOf(deviceId, nowSeconds) !== "active") return { kind: "unknown_device" };
    const key = await keys.key(deviceId, nowSeconds);
    if (key === undefined) return { kind: "unknown_device" };
    const messageId = crypto.randomUUID();
    const fields = { deviceId, timestamp: String(nowSeconds), messageId };
    const signature = await sign(key, signingInput(fields, payload));
    if (!await committer.remember({ deviceId, messageId, timestampSeconds: nowSeconds })) {
      return { kind: "unstored" };
    }
    const command: SignedCommand = { ...fields, payload, signature };
    const published = await broker.publish(commandTopic(deviceId), writeCommand(command), {
      messageExpiryInterval: toleranceSeconds,
    });
    if (published.kind !== "acknowledged") {
      return { kind: "unsent", messageId, reason: published.reason };
    }
    return { kind: "sent", messageId, timestamp: nowSeconds, subscribers: published.subscribers };
  }
}
