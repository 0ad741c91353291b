/**
 * Receipts: what became of a message, signed, for the device that sent it.
 *
 * The rules are:
 * - only a registered, active device gets one: strangers leave no trace here;
 * - that a message was refused is told if it can be told at once, within limits, and is dropped
 *   otherwise: nothing ever waits for such a receipt, no acknowledgement and no stop;
 * - what the backend did with a reading is told as surely as its answer: the entry stays in the
 *   outbox until the broker has the receipt;
 * - a broker whose access lists do not know the topic is asked once in a while only.
 */

import { type Answer, dispositionOf } from "../../core/delivery.ts";
import { writeCommand } from "../../core/command.ts";
import type { Emit } from "../../core/event.ts";
import type { OutboxEntry } from "../../core/outbox_entry.ts";
import type { Broker, Committed, DeviceKeys, MessageStore, Published } from "../../core/ports.ts";
import {
  isUnverified,
  type ReceiptDrop,
  receiptMessageId,
  type ReceiptMode,
  type ReceiptPayload,
  rejectedPayload,
} from "../../core/receipt.ts";
import { type SecretKey, sign } from "../../core/signature.ts";
import { signingInput } from "../../core/signing_input.ts";
import { secondsOf } from "../../core/time.ts";
import { receiptTopic } from "../../core/topic.ts";
import type { Clock } from "../../time/clock.ts";
import { publishUntilTaken } from "./patient_publish.ts";
import { ReceiptLimits, type ReceiptRates } from "./receipt_limits.ts";

/** MQTT 5 §3.4.2.1: Not authorized. */
const NOT_AUTHORIZED = 0x87;

/** After so long a broker that has refused receipts is asked again. */
const ASK_AGAIN_MS = 60_000;

/** What receipts are made with. */
interface ReceiptsParts {
  readonly broker: Pick<Broker, "publish" | "nextConnect" | "isConnected">;
  readonly keys: Pick<DeviceKeys, "statusOf" | "receiptKey" | "key">;
  readonly store: Pick<MessageStore, "held">;
  readonly clock: Clock;
  readonly emit: Emit;
}

/** The settings. */
interface ReceiptsOptions extends ReceiptRates {
  readonly send: ReceiptMode;
  /** Most receipts of rejections that are on their way. */
  readonly queueMax: number;
  /** After which the broker drops a receipt of a rejection: the time in it is old. */
  readonly toleranceSeconds: number;
  /** Of the backend; every other but 2xx makes a dead letter. */
  readonly retryStatuses: ReadonlySet<number>;
}

/** A message that was refused. */
export type RefusedMessage = Extract<Committed, { kind: "rejected" }>;

/** Brings the backend's answer to the device; see `SettlerParts`. */
interface Responder {
  respond(entry: OutboxEntry, answer: Answer, stop: AbortSignal): Promise<boolean>;
}

/** The receipts of one gateway. */
export class Receipts {
  readonly #parts: ReceiptsParts;
  readonly #options: ReceiptsOptions;
  readonly #limits: ReceiptLimits;
  /** Receipts of rejections that are on their way. */
  readonly #underWay = new Set<Promise<void>>();
  /** When the broker was last asked, monotonic, since it does not know the topic. */
  #askedMs: number | undefined;
  #isClosed = false;

  constructor(parts: ReceiptsParts, options: ReceiptsOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#limits = new ReceiptLimits(options);
  }

  /** What is wrong, in words. */
  get faults(): readonly string[] {
    return this.#askedMs === undefined ? [] : [
      "receipts are off, the broker's access lists do not allow their topic: " +
      "type secure-iot-gateway site upgrade",
    ];
  }

  /** A message was refused, and that is on the disk. */
  rejected(message: RefusedMessage): void {
    if (this.#options.send === "off" || this.#isClosed) return;
    const { keys, clock } = this.#parts;
    const { identity, rejection: { code } } = message;
    if (keys.statusOf(identity, secondsOf(clock.wallMs())) !== "active") return;
    const drop = this.#dropOf(identity, code);
    if (drop !== undefined) return this.#drop(drop);
    const sent = this.#tell(message).catch(() => this.#drop("store"))
      .finally(() => this.#underWay.delete(sent));
    this.#underWay.add(sent);
  }

  /** A responder that also sends what became of a reading, if the settings say so. */
  alongside(responder: Responder): Responder {
    if (this.#options.send !== "all") return responder;
    return {
      respond: async (entry, answer, stop) => {
        const both = [responder.respond(entry, answer, stop), this.#settled(entry, answer, stop)];
        return (await Promise.all(both)).every((isDone) => isDone);
      },
    };
  }

  /** Takes nothing more; resolves when nothing is under way, so the broker must be closed. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all(this.#underWay);
  }

  /** Why a receipt is not sent; what is cheapest to know comes first. */
  #dropOf(deviceId: string, code: RefusedMessage["rejection"]["code"]): ReceiptDrop | undefined {
    const { broker, clock } = this.#parts;
    if (!broker.isConnected) return "broker";
    if (this.#underWay.size >= this.#options.queueMax) return "queue";
    if (this.#isOff()) return "refused";
    return this.#limits.take(deviceId, code, clock.monotonicMs()) ? undefined : "limit";
  }

  /** True while the broker refuses receipts; once in a while it is asked again. */
  #isOff(): boolean {
    if (this.#askedMs === undefined) return false;
    const nowMs = this.#parts.clock.monotonicMs();
    if (nowMs - this.#askedMs < ASK_AGAIN_MS) return true;
    this.#askedMs = nowMs;
    return false;
  }

  async #tell({ identity: deviceId, messageId, rejection }: RefusedMessage): Promise<void> {
    const { keys, clock, store, broker } = this.#parts;
    const nowSeconds = secondsOf(clock.wallMs());
    const isVerified = !isUnverified(rejection.code);
    const key = await keys.receiptKey(deviceId, nowSeconds, { isVerified });
    if (key === undefined) return this.#drop("store");
    const held = rejection.code === "replayed" ? await store.held(deviceId, messageId!) : undefined;
    const payload = rejectedPayload(rejection, held);
    const body = await receipt(key, payload, { deviceId, messageId, nowSeconds });
    const published = await broker.publish(receiptTopic(deviceId), body, {
      messageExpiryInterval: this.#options.toleranceSeconds,
    });
    this.#conclude(published, payload);
  }

  /** Tells what became of a reading; false if `stop` came first and its entry must stay. */
  async #settled(entry: OutboxEntry, answer: Answer, stop: AbortSignal): Promise<boolean> {
    const { keys, clock, broker } = this.#parts;
    const { deviceId, messageId } = entry;
    const nowSeconds = secondsOf(clock.wallMs());
    const key = await keys.key(deviceId, nowSeconds);
    if (key === undefined || this.#isOff()) {
      this.#drop(key === undefined ? "store" : "refused");
      return true;
    }
    const payload = await settledPayload(answer, this.#options.retryStatuses);
    const body = await receipt(key, payload, { deviceId, messageId, nowSeconds });
    const message = { topic: receiptTopic(deviceId), body, properties: {} };
    const published = await publishUntilTaken(broker, message, stop);
    if (published === undefined) return false;
    this.#conclude(published, payload);
    return true;
  }

  #conclude(published: Published, { result }: ReceiptPayload): void {
    const { emit, clock } = this.#parts;
    if (published.kind === "acknowledged") {
      if (this.#askedMs !== undefined) emit({ kind: "receipts_allowed" });
      this.#askedMs = undefined;
      return emit({ kind: "receipt_sent", result });
    }
    if (published.kind !== "refused") return this.#drop("broker");
    this.#drop("refused");
    if (published.reasonCode !== NOT_AUTHORIZED) return;
    if (this.#askedMs === undefined) emit({ kind: "receipts_refused" });
    this.#askedMs = clock.monotonicMs();
  }

  #drop(why: ReceiptDrop): void {
    this.#parts.emit({ kind: "receipt_dropped", why });
  }
}

/** The signed message of a receipt. */
async function receipt(
  key: SecretKey,
  said: ReceiptPayload,
  about: {
    readonly deviceId: string;
    readonly messageId: string | undefined;
    readonly nowSeconds: number;
  },
): Promise<Uint8Array> {
  const messageId = receiptMessageId(about.messageId);
  const fields = { deviceId: about.deviceId, timestamp: String(about.nowSeconds), messageId };
  const payload = new TextEncoder().encode(JSON.stringify(said));
  const signature = await sign(key, signingInput(fields, payload, "receipt"));
  return writeCommand({ ...fields, payload, signature });
}

/** What a final answer says of its reading. */
async function settledPayload(
  answer: Answer,
  retryStatuses: ReadonlySet<number>,
): Promise<ReceiptPayload> {
  const { status } = answer;
  if (dispositionOf(answer, retryStatuses) === "rejected") return { result: "dead", status };
  const body = new Uint8Array(answer.body ?? []);
  const sha256 = new Uint8Array(await crypto.subtle.digest("SHA-256", body)).toHex();
  return { result: "delivered", status, sha256 };
}
