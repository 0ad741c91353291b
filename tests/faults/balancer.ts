/** A balancer for devices in front of the brokers of several nodes: it passes TLS through. */

import type { Dice } from "./dice.ts";
import { HOSTNAME, TcpFront } from "../support/tcp_front.ts";

/** One connection through it. */
interface Line {
  readonly near: Deno.TcpConn;
  readonly far: Deno.TcpConn;
  readonly target: number;
}

/** The balancer. */
export class Balancer {
  readonly #targets = new Set<number>();
  readonly #dice: Dice;
  readonly #front: TcpFront;
  readonly #lines = new Set<Line>();

  constructor(dice: Dice) {
    this.#dice = dice;
    this.#front = new TcpFront((near) => this.#lead(near));
  }

  get port(): number {
    return this.#front.port;
  }

  /** New connections may lead to this port. */
  add(target: number): void {
    this.#targets.add(target);
  }

  /** None do any longer, and those that do end. */
  remove(target: number): void {
    this.#targets.delete(target);
    for (const line of this.#lines) if (line.target === target) this.#end(line);
  }

  /** Ends one connection in so many: who was there comes again, perhaps elsewhere. */
  shake(oneIn: number): void {
    for (const line of this.#lines) if (this.#dice.below(oneIn) === 0) this.#end(line);
  }

  async close(): Promise<void> {
    await this.#front.close(() => {
      for (const line of this.#lines) this.#end(line);
    });
  }

  async #lead(near: Deno.TcpConn): Promise<void> {
    const target = this.#targets.size > 0 ? this.#dice.pick([...this.#targets]) : undefined;
    const far = target === undefined
      ? undefined
      : await Deno.connect({ hostname: HOSTNAME, port: target }).catch(() => undefined);
    if (far === undefined) return end(near);
    const line = { near, far, target: target! };
    this.#lines.add(line);
    const done = () => this.#end(line);
    await Promise.all([
      near.readable.pipeTo(far.writable).then(done, done),
      far.readable.pipeTo(near.writable).then(done, done),
    ]);
  }

  #end(line: Line): void {
    this.#lines.delete(line);
    end(line.near);
    end(line.far);
  }
}

function end(connection: Deno.TcpConn): void {
  try {
    connection.close();
  } catch {
    // it was closed
  }
}
