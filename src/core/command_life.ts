/**
 * The life of a command: its states, and what moves it from one to the next. Pure.
 *
 * The rules are:
 * - a state says what is known, and never more: `sent` is that a copy may be with the device;
 * - a copy counts before it is published, and counts no longer only if the broker says that nobody
 *   had it: so a crash in between leaves a state that is true;
 * - an acknowledgement only moves a command forward, and a final one stays;
 * - what is final is sent no more; `unconfirmed` is final but for a late acknowledgement.
 */

/** Every state there is. */
export const COMMAND_STATES = [
  "waiting",
  "sent",
  "received",
  "running",
  "done",
  "failed",
  "refused",
  "expired",
  "cancelled",
  "unconfirmed",
] as const;

export type CommandState = typeof COMMAND_STATES[number];

/** What a device may say of a command. */
export const ACKNOWLEDGED_STATES = ["received", "running", "done", "failed", "refused"] as const;

export type AcknowledgedState = typeof ACKNOWLEDGED_STATES[number];

/** What the broker has said of a command, or that it is only on the disk. */
export const COMMAND_DELIVERIES = ["queued", "no_subscriber", "stored"] as const;

export type CommandDelivery = typeof COMMAND_DELIVERIES[number];

/** The device's last acknowledgement. */
export interface Acknowledgement {
  readonly state: AcknowledgedState;
  /** When it came, Unix seconds. */
  readonly receivedSeconds: number;
  /** As in the message: ten digits. */
  readonly timestamp: string;
  /** The bytes under its signature. */
  readonly payload: Uint8Array;
}

/** A command and all that is known of it, but for its payload. */
export interface Command {
  readonly deviceId: string;
  readonly messageId: string;
  /** The API key that asked for it. */
  readonly keyName: string;
  readonly state: CommandState;
  /** Undefined: the broker has not said anything. */
  readonly delivery: CommandDelivery | undefined;
  /** Unix seconds. */
  readonly createdSeconds: number;
  /** No copy is valid any longer from here on, Unix seconds. */
  readonly expiresSeconds: number;
  /** False: it is sent once, at once or not at all. */
  readonly isKept: boolean;
  /** Copies that were to be published. */
  readonly sends: number;
  /** Copies that may be with the device. */
  readonly copies: number;
  /** When the last copy was to be published, Unix seconds. */
  readonly lastSentSeconds: number | undefined;
  /** Its sender wants no more copies. */
  readonly withdrawn: boolean;
  readonly acknowledgement: Acknowledgement | undefined;
}

/** What became of one copy at the broker. */
export type CopyOutcome =
  /** The broker has it, and somebody is subscribed. */
  | "queued"
  /** The broker had it, and nobody was subscribed. */
  | "no_subscriber"
  /** The broker did not take it, or it never left. */
  | "unsent"
  /** It left, and the broker has not said anything. */
  | "unknown";

/** Higher is later; equal is as late. */
const PROGRESS: { readonly [S in CommandState]: number } = {
  waiting: 0,
  sent: 1,
  received: 2,
  running: 3,
  unconfirmed: 4,
  done: 5,
  failed: 5,
  refused: 5,
  expired: 5,
  cancelled: 5,
};

/** True if no more copies are sent and its time has no meaning any longer. */
export function isFinal({ state }: Pick<Command, "state">): boolean {
  return PROGRESS[state] >= PROGRESS.unconfirmed;
}

/** True if a copy may be published at all. */
export function maySend(command: Command, nowSeconds: number): boolean {
  return !isFinal(command) && !command.withdrawn && nowSeconds < command.expiresSeconds;
}

/** A copy is about to be published. */
export function copyIntended(command: Command, nowSeconds: number): Command {
  return {
    ...command,
    state: command.state === "waiting" ? "sent" : command.state,
    sends: command.sends + 1,
    copies: command.copies + 1,
    lastSentSeconds: nowSeconds,
  };
}

/** The broker has said what became of a copy. */
export function copyConcluded(command: Command, outcome: CopyOutcome): Command {
  switch (outcome) {
    case "unknown":
      return command;
    case "queued":
      return { ...command, delivery: "queued" };
    case "unsent":
    case "no_subscriber": {
      const copies = Math.max(0, command.copies - 1);
      const delivery = outcome === "no_subscriber" ? outcome : command.delivery;
      const concluded = { ...command, copies };
      if (copies > 0) return concluded;
      if (command.state !== "sent") return concluded;
      return { ...concluded, delivery, state: command.withdrawn ? "cancelled" : "waiting" };
    }
    default:
      return outcome satisfies never;
  }
}

/** The device has acknowledged; the same command if that is no news. */
export function acknowledged(command: Command, acknowledgement: Acknowledgement): Command {
  const { state } = acknowledgement;
  if (command.state === "expired" || command.state === "cancelled") return command;
  const isLater = PROGRESS[state] > PROGRESS[command.state];
  return isLater ? { ...command, state, acknowledgement } : command;
}

/** Its sender has asked to end it; the same command if it is final. */
export function cancelled(command: Command): Command {
  if (isFinal(command)) return command;
  return command.state === "waiting"
    ? { ...command, state: "cancelled" }
    : { ...command, withdrawn: true };
}

/** Its time is over. */
export function timedOut(command: Command): Command {
  if (isFinal(command)) return command;
  return { ...command, state: command.state === "waiting" ? "expired" : "unconfirmed" };
}

/**
 * The timestamp of a copy that is published now, Unix seconds, so that it is valid until the command
 * expires and never longer than the tolerance: the device refuses what is older than that.
 */
export function copyTimestamp(
  { expiresSeconds }: Pick<Command, "expiresSeconds">,
  clock: { readonly nowSeconds: number; readonly toleranceSeconds: number },
): number {
  const { nowSeconds, toleranceSeconds } = clock;
  const validSeconds = Math.min(toleranceSeconds, Math.max(0, expiresSeconds - nowSeconds));
  return nowSeconds - (toleranceSeconds - validSeconds);
}

/** Pauses between two tries of a device that is not there, milliseconds. */
export const RETRY_PAUSE = { firstMs: 5_000, longestMs: 60_000 } as const;

/** Tries a second of all devices that are not there: where they are many, the pauses are longer. */
const RETRIES_PER_SECOND = 32;

/**
 * When a device that was not there is tried again, milliseconds: `failures` tries in a row found
 * nobody, and `devices` have a command that waits.
 */
export function retryPauseMs(
  { failures, devices }: { readonly failures: number; readonly devices: number },
): number {
  const longestMs = Math.max(RETRY_PAUSE.longestMs, 1000 * devices / RETRIES_PER_SECOND);
  return Math.min(longestMs, RETRY_PAUSE.firstMs * 2 ** Math.max(0, failures - 1));
}
