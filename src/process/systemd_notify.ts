/**
 * Word to systemd: ready, stopping, alive (sd_notify(3)).
 *
 * The rules are:
 * - this process sends it itself, from a socket without a name in the file system: systemd-notify
 *   would be a subprocess, which the gateway may not start and NotifyAccess=main does not hear;
 * - the watchdog is fed only when the gateway has just answered, never by a timer alone;
 * - a word that does not arrive is logged and stops nothing.
 */

import type { Log } from "../log/log.ts";

/** The environment variables by which systemd says where and how often it listens. */
export const SYSTEMD_VARIABLES = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] as const;

/** Feeds in one watchdog period: one may be late, and one may be lost. */
const FEEDS_IN_PERIOD = 3;

/** The line to systemd; where it did not start us, every word goes nowhere. */
export class ServiceNotifier implements Disposable {
  readonly #log: Log;
  readonly #address: Deno.UnixAddr | undefined;
  readonly #socket: Deno.DatagramConn | undefined;
  readonly #feedEveryMs: number | undefined;
  #feeding: ReturnType<typeof setInterval> | undefined;

  constructor(environment: (name: string) => string | undefined, { log }: { log: Log }) {
    this.#log = log;
    const path = environment("NOTIFY_SOCKET");
    if (!path) return;
    this.#address = { transport: "unixpacket", path: path.replace(/^@/, "\0") };
    const name = `\0secure-iot-gateway-${crypto.randomUUID()}`; // abstract: gone with the process
    this.#socket = Deno.listenDatagram({ transport: "unixpacket", path: name });
    const forUs = (environment("WATCHDOG_PID") ?? `${Deno.pid}`) === `${Deno.pid}`;
    const periodMs = Number(environment("WATCHDOG_USEC")) / 1000;
    if (forUs && periodMs > 0) this.#feedEveryMs = periodMs / FEEDS_IN_PERIOD;
  }

  /** Messages flow. */
  async ready(): Promise<void> {
    await this.#say("READY=1\nSTATUS=Taking messages");
  }

  /** No more messages are taken. */
  async stopping(): Promise<void> {
    await this.#say("STOPPING=1\nSTATUS=Letting what is under way end");
  }

  /** Feeds the watchdog for as long as `alive`, asked each time, answers true. */
  feedWhile(alive: () => Promise<boolean>): void {
    if (this.#feedEveryMs === undefined) return;
    let asking = false;
    this.#feeding = setInterval(async () => {
      if (asking) return; // no answer yet to the last one
      asking = true;
      if (await alive().catch(() => false)) await this.#say("WATCHDOG=1");
      asking = false;
    }, this.#feedEveryMs);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#feeding);
    this.#socket?.close();
  }

  async #say(words: string): Promise<void> {
    if (!this.#socket || !this.#address) return;
    try {
      await this.#socket.send(new TextEncoder().encode(words), this.#address);
    } catch (error) {
      const message = `Cannot tell systemd "${words.split("\n")[0]}": ${(error as Error).message}`;
      this.#log("warning", "service_notice_failed", { message });
    }
  }
}
