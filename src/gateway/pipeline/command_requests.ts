/**
 * Requests for commands: asked once, accepted once, answered honestly.
 *
 * The rules are:
 * - a command is on the disk before anything is sent, with the request's key if it has one;
 * - the same key brings the same answer, also after a crash;
 * - without a TTL a command is sent once, at once or not at all: if certainly nothing was sent,
 *   nothing is kept; with one it waits for its device.
 */

import type { Command, CommandDelivery, CopyOutcome } from "../../core/command_life.ts";
import { isFinal } from "../../core/command_life.ts";
import { joined } from "../../core/bytes.ts";
import type {
  CommandChange,
  CommandName,
  CommandReader,
  IntendedCopy,
  KeptRequest,
  RequestKey,
} from "../../core/command_store.ts";
import type { Broker, DeviceKeys } from "../../core/ports.ts";
import { secondsOf } from "../../core/time.ts";
import type { Clock } from "../../time/clock.ts";
import type { CommandSender, CommandWriter } from "./command_sender.ts";

/** A command that somebody asks for. */
export interface CommandRequest {
  /** Name of the API key. */
  readonly keyName: string;
  readonly deviceId: string;
  /** Compact JSON text. */
  readonly payload: Uint8Array;
  /** Undefined: it is sent once, at once or not at all. */
  readonly ttlSeconds: number | undefined;
  readonly idempotencyKey: string | undefined;
}

/** What became of a request; `replayed`: the same one was answered before. */
export type CommandResult =
  | {
    readonly kind: "accepted";
    readonly messageId: string;
    /** Unix seconds. */
    readonly timestamp: number;
    readonly delivery: CommandDelivery;
    readonly replayed: boolean;
  }
  | { readonly kind: "unknown_device" }
  /** The store cannot be written: nothing was sent. */
  | { readonly kind: "unstored" }
  /** Nothing was sent, and nothing is kept. */
  | { readonly kind: "unsent" }
  /** A copy has left, and nobody knows whether the broker has it. */
  | { readonly kind: "unacknowledged"; readonly messageId: string; readonly replayed: boolean }
  | { readonly kind: "too_many_waiting" }
  /** The same key is being answered right now. */
  | { readonly kind: "key_under_way" }
  /** The key was used for another device, body or TTL. */
  | { readonly kind: "key_reused" };

/** What became of the wish to end a command. */
type CancelResult =
  | { readonly kind: "cancelled"; readonly command: Command }
  /** No more copies are sent; one may still be with the device. `isNews`: it was not so before. */
  | { readonly kind: "withdrawn"; readonly command: Command; readonly isNews: boolean }
  | { readonly kind: "already_final"; readonly command: Command }
  | { readonly kind: "unknown" }
  | { readonly kind: "unstored" };

/** What requests work with. */
interface RequestParts {
  readonly clock: Clock;
  readonly keys: DeviceKeys;
  readonly broker: Pick<Broker, "isConnected">;
  readonly committer: CommandWriter;
  readonly commands: CommandReader;
  readonly sender: CommandSender;
}

/** A request on its way. */
interface Accepted {
  readonly command: Command;
  readonly payload: Uint8Array;
  readonly request: RequestKey | undefined;
}

/** The requests. */
export class CommandRequests {
  readonly #parts: RequestParts;
  readonly #toleranceSeconds: number;
  /** Keys of requests that are being answered. */
  readonly #underWay = new Set<string>();

  constructor(parts: RequestParts, { toleranceSeconds }: { readonly toleranceSeconds: number }) {
    this.#parts = parts;
    this.#toleranceSeconds = toleranceSeconds;
  }

  /** Accepts a command and sends it if the device is there. */
  async send(request: CommandRequest): Promise<CommandResult> {
    const { idempotencyKey, keyName } = request;
    if (idempotencyKey === undefined) return await this.#accept(request, undefined);
    const name = `${keyName} ${idempotencyKey}`;
    if (this.#underWay.has(name)) return { kind: "key_under_way" };
    this.#underWay.add(name);
    try {
      const key = { keyName, key: idempotencyKey, digest: await digestOf(request) };
      const kept = await this.#parts.commands.request(key);
      return kept ? this.#replay(kept, key, request) : await this.#accept(request, key);
    } finally {
      this.#underWay.delete(name);
    }
  }

  /** Ends a command, as far as that can be done. */
  async cancel(name: CommandName): Promise<CancelResult> {
    const { commands, committer } = this.#parts;
    const before = await commands.find(name);
    if (before === undefined) return { kind: "unknown" };
    if (isFinal(before)) return { kind: "already_final", command: before };
    const result = await committer.change({ kind: "cancel", name });
    if (result === undefined) return { kind: "unstored" };
    if (result.kind !== "changed" && result.kind !== "unchanged") return { kind: "unknown" };
    const { command } = result;
    if (command.state === "cancelled") return { kind: "cancelled", command };
    return command.withdrawn && !isFinal(command)
      ? { kind: "withdrawn", command, isNews: !before.withdrawn }
      : { kind: "already_final", command };
  }

  #replay(kept: KeptRequest, key: RequestKey, request: CommandRequest): CommandResult {
    if (!isSame(kept.digest, key.digest)) return { kind: "key_reused" };
    const { messageId, answer } = kept;
    const isKept = request.ttlSeconds !== undefined;
    const delivery = answer?.delivery ?? (isKept ? "stored" : undefined);
    if (delivery === undefined) return { kind: "unacknowledged", messageId, replayed: true };
    const timestamp = answer?.timestampSeconds ?? kept.createdSeconds;
    return { kind: "accepted", messageId, timestamp, delivery, replayed: true };
  }

  async #accept(request: CommandRequest, key: RequestKey | undefined): Promise<CommandResult> {
    const { keys, clock, sender } = this.#parts;
    await keys.refresh();
    const nowSeconds = secondsOf(clock.wallMs());
    const isActive = keys.statusOf(request.deviceId, nowSeconds) === "active";
    const hasKey = isActive && await keys.key(request.deviceId, nowSeconds) !== undefined;
    if (!hasKey) return { kind: "unknown_device" };
    return await sender.inTurn(request.deviceId, async () => {
      const accepted = { ...request, request: key, command: this.#commandOf(request) };
      return request.ttlSeconds === undefined
        ? await this.#sendOnce(accepted)
        : await this.#keep(accepted);
    });
  }

  #commandOf({ keyName, deviceId, ttlSeconds }: CommandRequest): Command {
    const createdSeconds = secondsOf(this.#parts.clock.wallMs());
    return {
      ...{ deviceId, messageId: crypto.randomUUID(), keyName, state: "waiting", sends: 0 },
      ...{ delivery: undefined, createdSeconds, isKept: ttlSeconds !== undefined, copies: 0 },
      expiresSeconds: createdSeconds + (ttlSeconds ?? this.#toleranceSeconds),
      ...{ lastSentSeconds: undefined, withdrawn: false, acknowledgement: undefined },
    };
  }

  /** What waits for the device goes first; if that finds nobody, this one would not either. */
  async #sendOnce(accepted: Accepted): Promise<CommandResult> {
    const { broker, sender } = this.#parts;
    if (!broker.isConnected) return { kind: "unsent" };
    const end = await sender.sendWaiting(accepted.command.deviceId);
    return end === "no_subscriber"
      ? await this.#store(accepted, "no_subscriber")
      : await this.#sendFirst(accepted);
  }

  async #keep(accepted: Accepted): Promise<CommandResult> {
    const { broker, sender } = this.#parts;
    const { deviceId } = accepted.command;
    const end = broker.isConnected ? await sender.sendWaiting(deviceId) : "stopped";
    if (end === "clear") return await this.#sendFirst(accepted);
    const result = await this.#store(accepted, end === "stopped" ? "stored" : end);
    sender.add(deviceId);
    return result;
  }

  /** Only to the disk. */
  async #store(accepted: Accepted, delivery: CommandDelivery): Promise<CommandResult> {
    const { createdSeconds: timestampSeconds } = accepted.command;
    const command = { ...accepted.command, delivery };
    return await this.#write({
      ...accepted,
      ...{ kind: "accept", command, copy: undefined, answer: { timestampSeconds, delivery } },
    }, (stored) => this.#accepted(stored, timestampSeconds, delivery));
  }

  /** To the disk, to the broker, and its word to the disk. */
  async #sendFirst(accepted: Accepted): Promise<CommandResult> {
    const { sender } = this.#parts;
    const copy = sender.copyOf(accepted.command);
    return await this.#write(
      { ...accepted, kind: "accept", copy, answer: undefined },
      async (command) => {
        if (command.isKept) sender.add(command.deviceId);
        const outcome = await sender.publish({ ...accepted, command }, copy);
        return await this.#conclude(command, copy, outcome);
      },
    );
  }

  async #write(
    change: CommandChange & { readonly kind: "accept" },
    next: (command: Command) => CommandResult | Promise<CommandResult>,
  ): Promise<CommandResult> {
    const result = await this.#parts.committer.change(change);
    switch (result?.kind) {
      case "changed":
        return await next(result.command);
      case "too_many_waiting":
        return { kind: "too_many_waiting" };
      case "key_used":
        return { kind: "key_under_way" };
      default:
        return { kind: "unstored" };
    }
  }

  async #conclude(
    command: Command,
    { timestampSeconds }: IntendedCopy,
    outcome: CopyOutcome,
  ): Promise<CommandResult> {
    const { committer } = this.#parts;
    const { deviceId, messageId, isKept } = command;
    const name = { deviceId, messageId };
    if (outcome === "unsent" && !isKept) {
      await committer.change({ kind: "forget", name }, { isPatient: true });
      return { kind: "unsent" };
    }
    const delivery = deliveryOf(outcome, isKept);
    const answer = { timestampSeconds, delivery };
    const change: CommandChange = { kind: "conclude", name, outcome, answer };
    const concluded = await committer.change(change, { isPatient: true });
    if (concluded?.kind === "too_many_waiting") return concluded;
    if (delivery === undefined || (concluded === undefined && !isKept)) {
      return { kind: "unacknowledged", messageId, replayed: false };
    }
    return this.#accepted(command, timestampSeconds, delivery);
  }

  #accepted({ messageId }: Command, timestamp: number, delivery: CommandDelivery): CommandResult {
    return { kind: "accepted", messageId, timestamp, delivery, replayed: false };
  }
}

/** What a request is told; undefined: nothing is known, and nothing will be sent again. */
function deliveryOf(outcome: CopyOutcome, isKept: boolean): CommandDelivery | undefined {
  if (outcome === "queued" || outcome === "no_subscriber") return outcome;
  return isKept ? "stored" : undefined;
}

/** SHA-256 over what makes a request another one. */
async function digestOf({ deviceId, ttlSeconds, payload }: CommandRequest): Promise<Uint8Array> {
  const head = new TextEncoder().encode(`${deviceId} ${ttlSeconds ?? "-"} `);
  return new Uint8Array(await crypto.subtle.digest("SHA-256", joined([head, payload])));
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, i) => byte === other[i]);
}
