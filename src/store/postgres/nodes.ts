/** The gateways that share the store: their leases, and taking over what one has left. */

import type { NodeStore } from "../../core/ports.ts";
import { StoreLostError } from "../store_error.ts";
import { type Connection, sqlState } from "./connection.ts";
import { AT_WORK } from "./node_functions.ts";
import { FENCED } from "./sql_parts.ts";

/** The nodes, as one of them sees them. */
export class PostgresNodes implements NodeStore {
  readonly #connection: Connection;
  readonly #node: string;
  readonly #begun: () => Promise<{ readonly epoch: number }>;

  constructor(
    connection: Connection,
    node: string,
    begun: () => Promise<{ readonly epoch: number }>,
  ) {
    this.#connection = connection;
    this.#node = node;
    this.#begun = begun;
  }

  async renewLease({ leaseMs, wallMs }: Parameters<NodeStore["renewLease"]>[0]) {
    const { epoch } = await this.#begun();
    return await this.#ask<Awaited<ReturnType<NodeStore["renewLease"]>>>(
      "SELECT renew_lease($1, $2, $3, $4) AS answer",
      [this.#node, epoch, leaseMs, Math.round(wallMs)],
    );
  }

  async adopt(node: string): ReturnType<NodeStore["adopt"]> {
    const { epoch } = await this.#begun();
    try {
      return await this.#ask("SELECT adopt($1, $2, $3) AS answer", [this.#node, epoch, node]);
    } catch (error) {
      if (sqlState(error) === AT_WORK) return undefined;
      throw error;
    }
  }

  async #ask<T>(text: string, values: readonly unknown[]): Promise<T> {
    try {
      const [row] = await this.#connection.query(text, values);
      return row!["answer"] as T;
    } catch (error) {
      if (sqlState(error) === FENCED) throw new StoreLostError((error as Error).message);
      throw error;
    }
  }
}
