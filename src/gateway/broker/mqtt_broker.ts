/**
 * The broker by MQTT 5: one connection after another (`connection.ts`), for as long as it is open.
 */

import type { Emit } from "../../core/event.ts";
import type { Broker, BrokerConsumer, Published, PublishProperties } from "../../core/ports.ts";
import { type BrokerAddress, Connection, UNCONNECTED } from "./connection.ts";
import { type ConnectionEnd, Takeovers } from "./takeovers.ts";

const RECONNECT_FIRST_MS = 100;
const RECONNECT_LONGEST_MS = 5_000;

/** The broker of a site. */
export class MqttBroker implements Broker {
  readonly #address: BrokerAddress;
  readonly #emit: Emit;
  #consumer: BrokerConsumer | undefined;
  #connection: Connection | undefined;
  readonly #takeovers = new Takeovers();
  #failures = 0;
  #lastFault = "";
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Those who wait for a connection. */
  readonly #connects = new Set<() => void>();

  constructor(address: BrokerAddress, emit: Emit) {
    this.#address = address;
    this.#emit = emit;
  }

  /** True while connected and subscribed. */
  get isConnected(): boolean {
    return this.#connection?.isSubscribed ?? false;
  }

  /** What is wrong although messages may flow. */
  get faults(): readonly string[] {
    const isTaken = this.#takeovers.goOn(performance.now());
    return isTaken ? ["the session is taken over again and again: does this site run twice?"] : [];
  }

  /** Starts connecting, and goes on until `close`. */
  open(consumer: BrokerConsumer): void {
    this.#consumer = consumer;
    this.#connect(consumer);
  }

  /** Publishes with QoS 1. */
  publish(topic: string, body: Uint8Array, properties: PublishProperties): Promise<Published> {
    return this.#connection?.publish(topic, body, properties) ?? Promise.resolve(UNCONNECTED);
  }

  /** Resolves at the next connect, at `stop` or at `close`: true if messages flow. */
  async nextConnect(stop: AbortSignal): Promise<boolean> {
    if (stop.aborted) return false;
    const { promise, resolve } = Promise.withResolvers<void>();
    const onAbort = () => resolve();
    this.#connects.add(resolve);
    stop.addEventListener("abort", onAbort);
    await promise;
    this.#connects.delete(resolve);
    stop.removeEventListener("abort", onAbort);
    return this.isConnected;
  }

  /** Disconnects; the session stays with the broker. */
  async close(): Promise<void> {
    this.#consumer = undefined;
    clearTimeout(this.#timer);
    for (const resolve of this.#connects) resolve();
    const connection = this.#connection;
    this.#connection = undefined;
    await connection?.close();
  }

  #connect(consumer: BrokerConsumer): void {
    let wasSubscribed = false;
    let end: ConnectionEnd | undefined;
    this.#connection = new Connection(this.#address, {
      onMessage: (message) => consumer.take(message),
      onSessionPresent: () => consumer.sessionResumed(),
      onDropCount: (total) => consumer.dropCounted(total),
      onSubscribed: () => {
        wasSubscribed = true;
        this.#subscribed(consumer);
      },
      onFault: (reason) => {
        end = "failed";
        this.#fault(reason);
      },
      onTakenOver: () => end = "taken_over",
      onEnded: (wasLeft) => {
        end ??= wasLeft ? "closed" : "failed";
        this.#again(consumer, wasSubscribed ? end : undefined);
      },
    });
  }

  #subscribed(consumer: BrokerConsumer): void {
    this.#failures = 0;
    this.#lastFault = "";
    this.#takeovers.connected(performance.now());
    this.#emit({ kind: "broker_connected" });
    consumer.connected();
    for (const resolve of this.#connects) resolve();
  }

  /** Says once what keeps the connection down. */
  #fault(reason: string): void {
    if (reason === this.#lastFault) return;
    this.#lastFault = reason;
    const { host, port } = this.#address;
    this.#emit({ kind: "broker_unreachable", address: `${host}:${port}`, reason });
  }

  /** A connection has ended, or never came up (`end` is undefined): make the next one after a wait. */
  #again(consumer: BrokerConsumer, end: ConnectionEnd | undefined): void {
    this.#connection = undefined;
    if (end !== undefined) {
      this.#emit({ kind: "broker_disconnected" });
      consumer.disconnected();
    }
    if (this.#consumer === undefined) return;
    const retryMs = Math.min(RECONNECT_LONGEST_MS, RECONNECT_FIRST_MS * 2 ** this.#failures++);
    const { isFirst, pauseMs } = this.#takeovers.ended(end ?? "failed", performance.now());
    if (isFirst) this.#emit({ kind: "session_taken_over", clientId: this.#address.clientId });
    const delayMs = Math.max(retryMs, pauseMs);
    this.#timer = setTimeout(() => this.#connect(consumer), delayMs);
  }
}
