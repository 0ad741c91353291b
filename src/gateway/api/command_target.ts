/** Whose request for commands it is, and what its answer needs of the gateway. */

import type { CommandReader } from "../../core/command_store.ts";
import type { CommandRefusal, Emit } from "../../core/event.ts";
import type { DeviceKeys } from "../../core/ports.ts";
import type { ApiKey } from "../../store/api_keys.ts";
import type { Clock } from "../../time/clock.ts";
import type { CommandRequests } from "../pipeline/command_requests.ts";
import type { CommandWaits } from "./command_waits.ts";

/** What commands need of the gateway. */
export interface CommandRouteParts {
  readonly clock: Clock;
  readonly keys: Pick<DeviceKeys, "refresh" | "statusOf">;
  readonly requests: Pick<CommandRequests, "send" | "cancel">;
  readonly commands: Pick<CommandReader, "find" | "list">;
  readonly waits: CommandWaits;
  /** Told of each command with a key that was not sent. */
  onRefused(refusal: CommandRefusal): void;
  readonly bodyTimeoutMs: number;
  readonly ttlLongestSeconds: number;
  readonly emit: Emit;
}

/** Whose request it is, and for which device; the id may be any text. */
export interface Target {
  readonly key: ApiKey;
  readonly deviceId: string;
}

/** A request, and when its server wants no answer to be held any longer. */
export interface Asked {
  readonly request: Request;
  readonly stop: AbortSignal;
}
