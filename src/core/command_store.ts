/** What the pipeline needs of the store for commands: changes, which are parts of a batch, and reads. */

import type { Command, CommandDelivery, CommandState, CopyOutcome } from "./command_life.ts";

/** Which command. */
export interface CommandName {
  readonly deviceId: string;
  readonly messageId: string;
}

/** A copy that is about to be published, Unix seconds. */
export interface IntendedCopy {
  /** The signed timestamp. */
  readonly timestampSeconds: number;
  readonly nowSeconds: number;
}

/** What tells the same request again from another one. */
export interface RequestKey {
  /** The API key's name, the scope of `key`. */
  readonly keyName: string;
  /** The Idempotency-Key. */
  readonly key: string;
  /** SHA-256 over device, body and TTL. */
  readonly digest: Uint8Array;
}

/** What a request was answered. */
export interface RequestAnswer {
  /** Unix seconds. */
  readonly timestampSeconds: number;
  /** Undefined: the broker had not said anything. */
  readonly delivery: CommandDelivery | undefined;
}

/** A request that was made with a key. */
export interface KeptRequest extends CommandName {
  readonly digest: Uint8Array;
  /** Unix seconds. */
  readonly createdSeconds: number;
  /** Undefined: it was not answered. */
  readonly answer: RequestAnswer | undefined;
}

/** A change of a command; each is decided on in the transaction that writes it. */
export type CommandChange =
  /** A new one; `copy` if its first copy is about to be published. */
  | {
    readonly kind: "accept";
    readonly command: Command;
    /** Compact JSON text. */
    readonly payload: Uint8Array;
    readonly copy: IntendedCopy | undefined;
    readonly request: RequestKey | undefined;
    readonly answer: RequestAnswer | undefined;
  }
  /** A copy is about to be published; its id is then in the replay guard as well. */
  | { readonly kind: "send"; readonly name: CommandName; readonly copy: IntendedCopy }
  /**
   * The broker has said what became of a copy; `answer`: what the request is answered. Without room
   * among what waits, nothing is kept of a command whose first copy found nobody.
   */
  | {
    readonly kind: "conclude";
    readonly name: CommandName;
    readonly outcome: CopyOutcome;
    readonly answer: RequestAnswer | undefined;
  }
  /** Nothing was sent, and nothing ever will be: as if it had not been asked for. */
  | { readonly kind: "forget"; readonly name: CommandName }
  | { readonly kind: "cancel"; readonly name: CommandName };

/** What came of a change. */
export type CommandChangeResult =
  /** The command is what the change has made of it. */
  | { readonly kind: "changed"; readonly command: Command }
  /** It does not apply any longer: the command stays what it is. */
  | { readonly kind: "unchanged"; readonly command: Command }
  | { readonly kind: "unknown" }
  /** Nothing is kept of it; also of one whose first copy found nobody. */
  | { readonly kind: "too_many_waiting" }
  /** A request with this key was accepted before. */
  | { readonly kind: "key_used" };

/** A command that a commit has changed. */
export interface ChangedCommand {
  readonly command: Command;
  /** True if its state is news: a try that finds nobody is none. */
  readonly isNews: boolean;
}

/** A command with what is sent. */
export interface StoredCommand {
  readonly command: Command;
  /** Compact JSON text. */
  readonly payload: Uint8Array;
}

/** Which commands. */
export interface CommandSelection {
  /** Undefined: in any state. */
  readonly state: CommandState | undefined;
  /** Only those after the command with this message_id; undefined: from the first. */
  readonly after: string | undefined;
  readonly limit: number;
}

/** Commands as they are on the disk. */
export interface CommandReader {
  find(name: CommandName): Promise<Command | undefined>;
  /** The command of a message_id, in any case; undefined if there is none. */
  findByMessage(messageId: string): Promise<Command | undefined>;
  /** Commands of a device, or of all, in the order of acceptance. */
  list(deviceId: string | undefined, selection: CommandSelection): Promise<readonly Command[]>;
  /** The request that was made with a key, if it is kept. */
  request(key: Pick<RequestKey, "keyName" | "key">): Promise<KeptRequest | undefined>;
  /** The first that waits for the device, in the order of acceptance. */
  nextWaiting(deviceId: string, nowSeconds: number): Promise<StoredCommand | undefined>;
  /**
   * Those that may have to be sent again: kept, sent, and not acknowledged; the one whose last copy
   * is the oldest first.
   */
  unacknowledged(deviceId: string, nowSeconds: number): Promise<readonly StoredCommand[]>;
  /** True if the device has ever acknowledged a command. */
  hasAcknowledged(deviceId: string): Promise<boolean>;
  /** Those of which it is not known what became of their copy: an earlier run ended in between. */
  unconcluded(): Promise<readonly CommandName[]>;
  /** The devices for which a kept command waits, or was sent and has not ended. */
  devices(): Promise<readonly string[]>;
}
