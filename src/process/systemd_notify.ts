/**
 * Notifications to systemd: ready, reloading, stopping, alive (sd_notify(3)).
 *
 * The rules are:
 * - this process sends it itself, from a socket without a name in the file system: systemd-notify
 *   would be a subprocess, which the gateway may not start and NotifyAccess=main does not hear;
 * - the watchdog is fed only when the gateway has just answered, never by a timer alone;
 * - a reload is told only after READY=1, which would otherwise be said too early at its end;
 * - RELOADING=1 comes without MONOTONIC_USEC: the runtime's clocks start with the process, and the
 *   system's is in /proc, which the program may not read; only Type=notify-reload needs it;
 * - a notification that does not arrive is logged and stops nothing.
 */

import type { Emit } from "../core/event.ts";

/** Feeds in one watchdog period: one may be late, and one may be lost. */
const FEEDS_IN_PERIOD = 3;

/** Notifies systemd; does nothing if systemd did not start the program. */
export class ServiceNotifier implements Disposable {
  readonly #emit: Emit;
  readonly #address: Deno.UnixAddr | undefined;
  readonly #socket: Deno.DatagramConn | undefined;
  readonly #feedEveryMs: number | undefined;
  #feeding: ReturnType<typeof setInterval> | undefined;
  #state: "starting" | "ready" | "stopping" = "starting";

  constructor(environment: (name: string) => string | undefined, { emit }: { emit: Emit }) {
    this.#emit = emit;
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
    this.#state = "ready";
    await this.#send("READY=1\nSTATUS=Taking messages");
  }

  /** A reload begins. */
  async reloading(): Promise<void> {
    if (this.#state === "ready") await this.#send("RELOADING=1\nSTATUS=Reloading the site");
  }

  /** It has ended, well or not: the gateway runs. */
  async reloaded(): Promise<void> {
    if (this.#state === "ready") await this.#send("READY=1\nSTATUS=Taking messages");
  }

  /** No more messages are taken. */
  async stopping(): Promise<void> {
    this.#state = "stopping";
    await this.#send("STOPPING=1\nSTATUS=Letting what is under way end");
  }

  /** Feeds the watchdog for as long as `alive`, asked each time, answers true. */
  feedWhile(alive: () => Promise<boolean>): void {
    if (this.#feedEveryMs === undefined) return;
    let asking = false;
    this.#feeding = setInterval(async () => {
      if (asking) return; // no answer yet to the last one
      asking = true;
      if (await alive().catch(() => false)) await this.#send("WATCHDOG=1");
      asking = false;
    }, this.#feedEveryMs);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#feeding);
    this.#socket?.close();
  }

  async #send(text: string): Promise<void> {
    if (!this.#socket || !this.#address) return;
    try {
      await this.#socket.send(new TextEncoder().encode(text), this.#address);
    } catch (error) {
      const { message: reason } = error as Error;
      this.#emit({ kind: "systemd_notify_failed", reason });
    }
  }
}
