/** A line between devices and their broker that delays, and that is cut in the middle of packets. */

import { setTimeout as pause } from "node:timers/promises";
import { freePorts } from "../support/free_ports.ts";
import type { Dice } from "./dice.ts";
import { HOSTNAME, TcpFront } from "../support/tcp_front.ts";

/** One chunk in so many is the last of its connection, and comes only in part. */
const CUT_ONE_IN = 50;
/** One chunk in so many comes late. */
const DELAY_ONE_IN = 10;
const DELAY_MAX_MS = 120;
const CHUNK_BYTES = 65_536;

/** A port of this machine whose connections lead to another one, as long as chance lets them. */
export class LossyLine {
  /** Connections that it has cut. */
  cuts = 0;
  /** Chunks that it has held back. */
  delays = 0;
  /** False: nothing is cut or held back. */
  isLossy = false;
  readonly #target: number;
  readonly #dice: Dice;
  readonly #front: TcpFront;
  readonly #open = new Set<Deno.TcpConn>();

  private constructor(port: number, target: number, dice: Dice) {
    this.#target = target;
    this.#dice = dice;
    this.#front = new TcpFront((near) => this.#lead(near), port);
  }

  get port(): number {
    return this.#front.port;
  }

  /** Makes a line to a port. */
  static open(target: number, dice: Dice): LossyLine {
    return new LossyLine(freePorts(1)[0]!, target, dice);
  }

  async close(): Promise<void> {
    await this.#front.close(() => {
      for (const connection of this.#open) this.#end(connection);
    });
  }

  async #lead(near: Deno.TcpConn): Promise<void> {
    this.#open.add(near);
    try {
      const far = await Deno.connect({ hostname: HOSTNAME, port: this.#target });
      this.#open.add(far);
      const end = () => [near, far].forEach((one) => this.#end(one));
      await Promise.all([this.#pipe(near, far).finally(end), this.#pipe(far, near).finally(end)]);
    } catch {
      // the broker is gone
    } finally {
      this.#end(near);
    }
  }

  /** Leads one direction until an end, or until chance cuts it. */
  async #pipe(from: Deno.TcpConn, to: Deno.TcpConn): Promise<void> {
    const chunk = new Uint8Array(CHUNK_BYTES);
    try {
      for (let n = await from.read(chunk); n !== null; n = await from.read(chunk)) {
        const isLast = this.isLossy && this.#dice.below(CUT_ONE_IN) === 0;
        if (this.isLossy && this.#dice.below(DELAY_ONE_IN) === 0) {
          this.delays++;
          await pause(this.#dice.below(DELAY_MAX_MS));
        }
        const end = isLast ? this.#dice.below(n) : n;
        for (let at = 0; at < end;) at += await to.write(chunk.subarray(at, end));
        if (isLast) {
          this.cuts++;
          return;
        }
      }
    } catch {
      // one of both is gone
    }
  }

  #end(connection: Deno.TcpConn): void {
    if (!this.#open.delete(connection)) return;
    connection.close();
  }
}
