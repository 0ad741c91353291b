/**
 * The messages between the supervisor and a gateway's worker: plain values.
 *
 * The rules are:
 * - every call has an id and gets exactly one reply, unless the worker ends before;
 * - `failed` and `died` are the last events of a worker.
 */

import type { Config } from "../config/config.ts";
import type { Credentials } from "../config/credentials.ts";
import type { ClientConnection } from "./client_addresses.ts";
import type { LogStyle } from "../log/log.ts";

/** What a gateway runs with. */
export interface GatewaySpec {
  readonly config: Config;
  readonly credentials: Credentials;
  /** How its log lines look: the worker cannot know what stderr is. Undefined: JSON. */
  readonly logStyle?: LogStyle;
}

/** What is asked of a worker and replied to. */
export type WorkerCall =
  /** Get ready for this spec and listen; what runs goes on. */
  | { readonly kind: "prepare"; readonly spec: GatewaySpec }
  /** Run what was prepared instead of what runs; replied to once messages flow. */
  | { readonly kind: "run"; readonly graceMs: number }
  /** End each client connection with its next response. */
  | { readonly kind: "drain" }
  /** Stop; replied to when everything has ended. */
  | { readonly kind: "stop"; readonly graceMs: number }
  | { readonly kind: "ping" }
  /** Whose a connection is; its first byte comes after the reply. */
  | {
    readonly kind: "connected";
    readonly number: number;
    readonly connection: ClientConnection;
  };

/** The connection of that number has ended. */
interface ConnectionNotice {
  readonly kind: "disconnected";
  readonly number: number;
}

/** A message to the worker. */
export type WorkerRequest = (WorkerCall & { readonly id: number }) | ConnectionNotice;

/** The reply to a call; `error` is for the operator. */
interface WorkerReply {
  readonly kind: "reply";
  readonly id: number;
  readonly error?: string;
}

/** What a worker tells without being asked. */
type WorkerEvent =
  | { readonly kind: "loaded" }
  /** It listens at this local port from now on. */
  | { readonly kind: "listening"; readonly port: number }
  /** It has ended, because of the site or because of the program. */
  | { readonly kind: "failed" | "died"; readonly message: string };

/** A message from the worker. */
export type WorkerMessage = WorkerReply | WorkerEvent;

/** The worker's end of the channel. */
export interface WorkerPort {
  onmessage: ((event: MessageEvent<WorkerRequest>) => void) | null;
  postMessage(message: WorkerMessage): void;
}

/** The supervisor's end of the channel: a `Worker`, or what takes its place in a test. */
export interface SupervisorPort {
  onmessage: ((event: MessageEvent<WorkerMessage>) => void) | null;
  onerror: ((event: ErrorEvent) => void) | null;
  postMessage(request: WorkerRequest): void;
  terminate(): void;
}
