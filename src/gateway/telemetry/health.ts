/** Whether the gateway is ready, and if not, why. */

import type { Broker } from "../../core/ports.ts";

/** What it looks at. */
interface HealthParts {
  readonly broker: Pick<Broker, "isConnected">;
  readonly intake: { readonly isPaused: boolean };
  readonly committer: { readonly fault: string | undefined };
  /** Undefined: this gateway is alone. */
  readonly cluster: { readonly fault: string | undefined } | undefined;
}

/** Every reason why messages are not taken now; empty if they are. */
export function unreadiness({ broker, intake, committer, cluster }: HealthParts): string[] {
  const reasons: string[] = [];
  if (!broker.isConnected) reasons.push("the broker is not connected");
  if (intake.isPaused) reasons.push("the outbox is full");
  const { fault } = committer;
  if (fault !== undefined) reasons.push(`the store cannot be written: ${fault}`);
  if (cluster?.fault !== undefined) reasons.push(cluster.fault);
  return reasons;
}
