/**
 * What the pipeline needs from outside: a store, a broker, a backend, and the devices' keys.
 *
 * Everything in `gateway/pipeline/` uses only these interfaces, so one page shows what the gateway
 * depends on. Every call to the store is a batch, and is awaited.
 */

import type { AdmissionFacts, AdmissionPolicy, Buckets, Examined } from "./admission.ts";
import type { AuditNote } from "./audit_note.ts";
import type { Command, CopyOutcome } from "./command_life.ts";
import type { ChangedCommand, CommandChange, CommandChangeResult } from "./command_store.ts";
import type { BatchOutcome } from "./delivery_batch.ts";
import type { ExpiredDeadLetters, Outcome, Settlement } from "./delivery.ts";
import type { DeviceStatus } from "./device.ts";
import type { Envelope } from "./envelope.ts";
import type { OutboxEntry, WaitingEntry } from "./outbox_entry.ts";
import type { Held } from "./receipt.ts";
import type { Rejection } from "./rejection.ts";
import type { SecretKey } from "./signature.ts";
import type { SignedKind } from "./signing_input.ts";
import type { Duplicate } from "./verdict.ts";

/** Messages after the verifier. */
export interface ExaminedBatch {
  readonly examined: readonly Examined[];
  /** Under which revision of the registry; undefined: under none, since there are no messages. */
  readonly registryRevision: number | undefined;
}

/** What is written in one transaction. */
export interface Batch extends ExaminedBatch {
  readonly settlements: readonly Settlement[];
  /** To be entered in the audit. */
  readonly notes: readonly AuditNote[];
  readonly commandChanges: readonly CommandChange[];
  readonly buckets: Buckets;
  readonly policy: AdmissionPolicy;
  readonly facts: Omit<AdmissionFacts, "forgottenSeconds">;
  /** Wall clock, Unix milliseconds. */
  readonly wallMs: number;
  /** Unix milliseconds that never step: when the batch's entries were accepted. */
  readonly acceptedMs: number;
  /** When the gateway was last taking messages, Unix seconds; undefined while it catches up. */
  readonly attendedSeconds: number | undefined;
  /** Devices with entries that wait for what another gateway has, or did. */
  readonly held: readonly string[];
  /** Delete expired ids and dead letters; undefined: not in this batch. */
  readonly tidy: Tidying | undefined;
}

/** Deleting what has expired. */
export interface Tidying {
  /** When the oldest message not yet in the batch arrived, wall clock; undefined: there is none. */
  readonly heldSinceMs: number | undefined;
}

/** The outcome for one message: an entry in the outbox, or why there is none. */
export type Committed =
  | { readonly kind: "accepted"; readonly identity: string; readonly entry: OutboxEntry }
  | (Duplicate & { readonly identity: string })
  | {
    readonly kind: "rejected";
    readonly identity: string;
    readonly rejection: Rejection;
    readonly messageId: string | undefined;
  }
  /** A device has said something of a command; `command` is what it is now. */
  | { readonly kind: "acknowledged"; readonly identity: string; readonly command: Command }
  /** It is of no command of this device. */
  | {
    readonly kind: "acknowledgement_unmatched";
    readonly identity: string;
    readonly messageId: string;
  };

/** What one commit did; all of it is on the disk. */
export interface CommitResult {
  /** For each message of the batch, in its order. */
  readonly committed: readonly Committed[];
  /** Entries that another process has put into the outbox. */
  readonly requeued: readonly WaitingEntry[];
  /** Entries that another process has taken out of it. */
  readonly removed: readonly WaitingEntry[];
  /** Entries in the outbox now. */
  readonly pending: number;
  /** The buckets that the batch has changed. */
  readonly spent: Buckets;
  /** True if an accepted message had waited longer than the tolerance. */
  readonly late: boolean;
  /** Dead letters that were dropped because they were too many or too old. */
  readonly expiredDeadLetters: ExpiredDeadLetters;
  /** What came of each of the batch's changes of commands, in its order. */
  readonly commandResults: readonly CommandChangeResult[];
  /** Commands as they are now, each that has changed. */
  readonly changedCommands: readonly ChangedCommand[];
  /** Entries that tell the backend of a command's state, in the order of their numbers. */
  readonly callbacks: readonly OutboxEntry[];
  /** Of this batch's devices, and those held before: the oldest entry that another gateway has. */
  readonly behind: ReadonlyMap<string, number>;
  /** True if there is more to tidy. */
  readonly untidy: boolean;
}

/** A gateway among those that share a store. */
export interface SeenNode {
  readonly node: string;
  /** Until its lease is over, milliseconds; negative: it is over. */
  readonly leftMs: number;
  /** True if it has left entries or commands. */
  readonly hasWork: boolean;
}

/** What one gateway asks another to publish at its broker. */
export interface Mail {
  /** Who is asked. */
  readonly node: string;
  readonly deviceId: string;
  readonly topic: string;
  readonly body: Uint8Array;
  readonly properties: PublishProperties;
  /** False: who asks waits for no word of it. */
  readonly isAwaited: boolean;
}

/** Mail that came for this node. */
export interface TakenMail {
  readonly number: number;
  /** Undefined: it is not as a gateway writes it. */
  readonly mail: Mail | undefined;
}

/** Hears what other gateways do; hints only, some of which may be missed. */
export interface NodeListener {
  /** The hints begin, or begin again: what was missed is to be looked up. */
  listening(): void;
  /** The device was heard at a node. */
  moved(deviceId: string, node: string): void;
  /** There is mail for this node. */
  mailCame(): void;
  /** It is known what has become of mail. */
  mailConcluded(number: number): void;
  /** A command was changed elsewhere. */
  commandChanged(messageId: string): void;
}

/** The store as the gateways see it that share it. */
export interface NodeStore {
  /** Listens until the result is closed. */
  listen(listener: NodeListener): { close(): Promise<void> };
  /** Where devices were heard last, of those that were not heard here. */
  devicesElsewhere(): Promise<ReadonlyMap<string, string>>;
  /** Hands mail over; resolves to its number. */
  post(mail: Mail): Promise<number>;
  /** Takes what came for this node, the oldest first; each is taken once. */
  takeMail(): Promise<readonly TakenMail[]>;
  /** Says what has become of mail that was taken. */
  concludeMail(number: number, outcome: CopyOutcome): Promise<void>;
  /** Asks no more for mail: resolves to what is known of it; `unsent` if it was not taken yet. */
  endMail(number: number): Promise<CopyOutcome>;
  /** Says that this one is at work; rejects if another works under its name. Times are milliseconds. */
  renewLease(lease: { readonly leaseMs: number; readonly wallMs: number }): Promise<{
    /** By how much this machine's clock is ahead of the store's. */
    readonly aheadMs: number;
    /** The others. */
    readonly nodes: readonly SeenNode[];
  }>;
  /**
   * Takes over what a node has left whose lease is over; undefined if it is not over. Its entries are
   * handed on by the commits that follow, as those that are requeued.
   */
  adopt(node: string): Promise<
    {
      readonly entries: number;
      /** Devices for which it had commands. */
      readonly commandDevices: readonly string[];
    } | undefined
  >;
}

/** What the store knows when a gateway starts on it. */
export interface StoreMarks {
  /** When an earlier gateway was last taking messages, Unix seconds; undefined on a first start. */
  readonly attendedSeconds: number | undefined;
  /** The newest timestamp that is remembered, Unix seconds; 0 if there is none. */
  readonly newestSeconds: number;
  /**
   * The steady clock of an earlier run, if entries wait that were accepted by it: by how much it was
   * ahead of the wall clock, and how far it had come, milliseconds.
   */
  readonly steady: { readonly offsetMs: number; readonly floorMs: number };
}

/** How much the store holds. */
export interface StoreCounts {
  readonly deadLetters: number;
  readonly replayIds: number;
  readonly commandsWaiting: number;
  /** By how much the lists that this gateway's broker uses are behind the newest in the store. */
  readonly listsBehind: number;
  /** `acceptedMs` of the entry that was put into the outbox first; infinite if it is empty. */
  readonly oldestAcceptedMs: number;
}

/** The messages in the store. Each call is one batch, and its changes are on the disk at its end. */
export interface MessageStore {
  /** Undefined: this gateway is alone. */
  readonly nodes: NodeStore | undefined;
  marks(): Promise<StoreMarks>;
  /** Every entry in the outbox at start, in order; read it once, before anything is committed. */
  backlog(): AsyncIterable<WaitingEntry>;
  /** One transaction: all of it is on the disk when this resolves; nothing is if it rejects. */
  commit(batch: Batch): Promise<CommitResult>;
  /** Those of the entries (at most `READ_MAX`) that exist, in ascending order. */
  read(sequences: readonly number[]): Promise<readonly OutboxEntry[]>;
  /** Where a reading is that was accepted before. */
  held(deviceId: string, messageId: string): Promise<Held>;
  /** Stores the broker's own count of dropped messages; resolves to how many are new. */
  countBrokerDrops(total: number): Promise<number>;
  counts(): Promise<StoreCounts>;
  /** True if this error means that the registry has changed since the messages were examined. */
  isStale(error: Error): boolean;
  /** What cannot be known now stays unknown: from now on, a commit rejects rather than waits for it. */
  stopWaiting(): void;
  /** True if this error means that the open database is lost and must be opened again. */
  isLost(error: Error): boolean;
  /** True if this error means that the database is intact but must be opened again. */
  needsReopen(error: Error): boolean;
  /** True if the database at this path can be opened and is intact. */
  canReopen(): Promise<boolean>;
}

/** Most entries that `MessageStore.read` reads at once. */
export const READ_MAX = 40;

/** The registry as a running gateway sees it: in memory, and never older than the store. */
export interface DeviceKeys {
  /**
   * Loads what another process has changed; cheap if nothing changed. What is only used in a batch
   * with its `registryRevision` is checked by the commit, and need not be asked for.
   */
  refresh(use?: { readonly isChecked: boolean }): Promise<void>;
  /** Counts changes of the registry; of what is in memory. */
  readonly revision: number;
  statusOf(deviceId: string, nowSeconds: number): DeviceStatus;
  /** The payload bytes that the signature covers, if it verifies with any secret of the device. */
  signedPayload(
    envelope: Envelope,
    nowSeconds: number,
    kind: SignedKind,
  ): Promise<Uint8Array | undefined>;
  /** The key that signs commands for the device; undefined if there is none. */
  key(deviceId: string, nowSeconds: number): Promise<SecretKey | undefined>;
  /**
   * The key that signs receipts for the device: of the secret that last verified a message of its
   * own, if that is what the receipt is about, or else of the newest; undefined if there is none.
   */
  receiptKey(
    deviceId: string,
    nowSeconds: number,
    about: { readonly isVerified: boolean },
  ): Promise<SecretKey | undefined>;
}

/** A message from the broker that has not been acknowledged yet. */
export interface InboundMessage {
  readonly topic: string;
  readonly bytes: Uint8Array;
  readonly retained: boolean;
  /** QoS 1: the broker keeps it until it is acknowledged, and sends it again after a reconnect. */
  readonly needsAck: boolean;
  /** The broker's DUP flag. */
  readonly redelivered: boolean;
  /** Tells the broker that the message is stored; does nothing if the connection is closed. */
  acknowledge(): void;
}

/** The outcome of a publish. */
export type Published =
  | { readonly kind: "acknowledged"; readonly subscribers: boolean }
  /** `reasonCode`: MQTT 5 §3.4.2.1. */
  | { readonly kind: "refused"; readonly reason: string; readonly reasonCode: number }
  /** It has not left. */
  | { readonly kind: "unsent"; readonly reason: string }
  /** It has left, and nobody knows whether the broker has it. */
  | { readonly kind: "unacknowledged"; readonly reason: string };

/** MQTT 5 properties that go with a publish. */
export interface PublishProperties {
  readonly messageExpiryInterval?: number;
  readonly correlationData?: Uint8Array;
  readonly userProperties?: Readonly<Record<string, string>>;
}

/** Receives what comes from the broker. */
export interface BrokerConsumer {
  take(message: InboundMessage): void;
  /** On a new connection the broker will send again what was not acknowledged. */
  sessionResumed(): void;
  /** Connected and subscribed: messages flow. */
  connected(): void;
  disconnected(): void;
  /** The broker's count of dropped messages since its own start. */
  dropCounted(total: number): void;
}

/** The broker. */
export interface Broker {
  /** Connects, and reconnects until `close`. */
  open(consumer: BrokerConsumer): void;
  readonly isConnected: boolean;
  /** Publishes with QoS 1. */
  publish(topic: string, body: Uint8Array, properties: PublishProperties): Promise<Published>;
  /** Resolves at the next connect, at `stop` or at `close`: true if messages flow. */
  nextConnect(stop: AbortSignal): Promise<boolean>;
  close(): Promise<void>;
}

/** The customer's backend. */
export interface Backend {
  /** Sends an entry's payload, a reading's or a callback's; total. `stop` ends the request early. */
  deliver(entry: OutboxEntry, stop: AbortSignal): Promise<Outcome>;
  /** Sends readings in one request; total. No two may have the same message id. */
  deliverBatch(entries: readonly OutboxEntry[], stop: AbortSignal): Promise<BatchOutcome>;
  close(): void;
}
