/**
 * The store: everything that a site keeps, behind interfaces that name no engine.
 *
 * What reads or writes is asynchronous, so that an engine on another machine can do it too. Which
 * engines there are, only open_store.ts knows.
 */

import type { MessageStore, StoreMarks } from "../core/ports.ts";
import type { ApiKeyStore } from "./api_keys.ts";
import type { AuditAuthor, AuditLimits, AuditStore } from "./audit.ts";
import type { CommandStore } from "./commands.ts";
import type { DeadLetterLimits, DeadLetterStore } from "./dead_letters.ts";
import type { KnownNodes } from "./known_nodes.ts";
import type { OutboxStore } from "./outbox.ts";
import type { RegistryStore } from "./registry.ts";
import type { Sealing } from "./sealing.ts";
import type { ServerFacts } from "./server_facts.ts";
import type { SharedLists } from "./shared_lists.ts";
import type { TemporaryDevices } from "./temporary_devices.ts";

/** How it is opened. */
export interface StoreOptions {
  /** Who makes the changes, for the audit log. */
  readonly author: AuditAuthor;
  /** Make the store if there is none; otherwise a missing one is an error. */
  readonly create?: boolean;
  /** How long to wait for another process's write, milliseconds; 5,000 if it is not given. */
  readonly busyTimeoutMs?: number;
  /**
   * Whether what is deleted is overwritten even if that costs a write: ON if it is not given, as it
   * must be for a program that changes secrets.
   */
  readonly secureDelete?: "ON" | "FAST";
}

/** How much is kept of what is done with. */
export interface MessageLimits {
  readonly deadLetters: DeadLetterLimits;
  readonly audit: AuditLimits;
  readonly commands: CommandLimits;
  /** How long message ids are remembered at least. */
  readonly checks: { readonly rememberSeconds: number };
}

/** How much is kept of commands. */
export interface CommandLimits {
  /** Commands that may wait, of all devices and of one. */
  readonly maxWaiting: number;
  readonly maxWaitingPerDevice: number;
  /** How long a command is kept after its time, and a request's key, milliseconds. */
  readonly keepMs: number;
  readonly keepKeysMs: number;
  /** Path of the backend that is told of each state; undefined: none is. */
  readonly callbackPath: string | undefined;
}

/** An open store; close it when you are done. */
export interface Store {
  /** The messages on their way, for the one gateway that works on them. */
  messages(limits: MessageLimits): MessageStore;
  /** The gateways that share the store; undefined: only one can use it. */
  readonly nodes: KnownNodes | undefined;
  /** The lists of their brokers; undefined: only one can use the store. */
  readonly lists: SharedLists | undefined;
  readonly registry: RegistryStore;
  readonly replayIds: ReplayIds;
  readonly outbox: OutboxStore;
  readonly deadLetters: DeadLetterStore;
  readonly commands: CommandStore;
  readonly apiKeys: ApiKeyStore;
  readonly audit: AuditStore;
  readonly sealing: Sealing;
  readonly temporaryDevices: TemporaryDevices;
  /** What the server says of itself; undefined: the store is a file. */
  facts(): Promise<ServerFacts | undefined>;
  /** What the store knows of earlier gateways. */
  marks(): Promise<StoreMarks>;
  close(): Promise<void>;
}

/** The ids of messages that were accepted, for those who only look. */
export interface ReplayIds {
  /** Up to which timestamp ids are forgotten, Unix seconds; 0 if none is. */
  forgottenSeconds(): Promise<number>;
  /** True if the device has used this id before. */
  has(deviceId: string, messageId: string): Promise<boolean>;
  /** What is known of an id that the device has used; undefined if it has not. */
  find(deviceId: string, messageId: string): Promise<RememberedId | undefined>;
}

/** What is known of the message behind an id that is remembered, Unix seconds. */
export interface RememberedId {
  /** It came between these times of the wall clock. */
  readonly sinceSeconds: number;
  readonly untilSeconds: number;
  /** Its timestamp is this or an earlier one. */
  readonly newestSeconds: number;
}

/** A store as it is, without opening it: that would bring an older schema up. */
export interface StoreInspection {
  /** What is damaged; undefined if nothing is. */
  readonly damage: string | undefined;
  /** True if it was made by another program. */
  readonly isForeign: boolean;
  readonly schema: number;
  /** The schema that this program writes. */
  readonly newestSchema: number;
}
