/** A real store under a committer, for tests of the pipeline without a broker and a backend. */

import type { AdmissionPolicy } from "../../src/core/admission.ts";
import type { GatewayEvent } from "../../src/core/event.ts";
import { Outage } from "../../src/core/outage.ts";
import type { Batch, MessageStore } from "../../src/core/ports.ts";
import { CatchUp } from "../../src/gateway/pipeline/catch_up.ts";
import { Committer } from "../../src/gateway/pipeline/committer.ts";
import { openStore } from "../../src/store/open_store.ts";
import type { CommandLimits, Store } from "../../src/store/store.ts";
import { DEVICE_ID, NOW, SECRET } from "./judge.ts";
import { withFolder } from "./with_folder.ts";

/** Limits that nothing here reaches. */
const KEPT = { maxCount: 10_000, maxAgeMs: 1e12 };

/** The same of commands. */
export const COMMANDS_KEPT: CommandLimits = {
  ...{ maxWaiting: 10_000, maxWaitingPerDevice: 100, keepMs: 1e12, keepKeysMs: 1e12 },
  callbackPath: undefined,
};

/** The same of messages. */
export const MESSAGES_KEPT = {
  ...{ deadLetters: KEPT, audit: KEPT, commands: COMMANDS_KEPT, checks: { rememberSeconds: 0 } },
};

/** What stands on the store, and what it did. */
export interface PipelineStore {
  readonly store: Store;
  readonly committer: Committer;
  readonly catchUp: CatchUp;
  readonly events: GatewayEvent[];
  /** Every batch that a commit was tried with. */
  readonly batches: Batch[];
  /** Each next commit fails with the first of these, until none is left. */
  readonly faults: Error[];
  /** Markers that were sent. */
  readonly markers: Uint8Array[];
  readonly clock: { wallMs(): number; monotonicMs(): number };
  emit(event: GatewayEvent): void;
  failpoint(): void;
}

/** What differs from what most tests want. */
interface PipelineOptions {
  readonly policy?: Partial<AdmissionPolicy>;
  readonly limits?: Partial<CommandLimits>;
}

/** Runs `work` on an empty store with one registered device, at the moment `NOW`. */
export async function withPipelineStore(
  work: (pipeline: PipelineStore) => Promise<void>,
  options: PipelineOptions = {},
): Promise<void> {
  await withFolder(async (folder) => {
    const place = { database: `${folder}/gateway.db` };
    const store = await openStore(place, { author: "gateway", create: true });
    await store.registry.addAll([{ deviceId: DEVICE_ID, sharedSecret: SECRET, createdAt: 1 }]);
    try {
      await work(pipelineOn(store, options));
    } finally {
      await store.close();
    }
  });
}

function pipelineOn(store: Store, { policy, limits }: PipelineOptions): PipelineStore {
  const events: GatewayEvent[] = [];
  const batches: Batch[] = [];
  const faults: Error[] = [];
  const markers: Uint8Array[] = [];
  const clock = { wallMs: () => NOW * 1000, monotonicMs: () => 0 };
  const emit = (event: GatewayEvent) => void events.push(event);
  const failpoint = () => {};
  const broker = {
    publish: (_topic: string, body: Uint8Array) => {
      markers.push(body);
      return Promise.resolve({ kind: "acknowledged", subscribers: true } as const);
    },
  };
  const catchUp = new CatchUp({ outage: new Outage("run", undefined), broker, emit });
  const committer = new Committer({
    ...{ catchUp, clock, emit, failpoint, steadyMs: clock.wallMs },
    store: failing(
      store.messages({ ...MESSAGES_KEPT, commands: { ...COMMANDS_KEPT, ...limits } }),
      batches,
      faults,
    ),
    policy: { toleranceSeconds: 300, graceSeconds: 0, rate: undefined, ...policy },
  });
  const parts = { store, committer, catchUp, events, batches, faults, markers };
  return { ...parts, clock, emit, failpoint };
}

/** The messages themselves, but for the faults. */
function failing(messages: MessageStore, batches: Batch[], faults: Error[]): MessageStore {
  return {
    nodes: messages.nodes,
    marks: () => messages.marks(),
    backlog: () => messages.backlog(),
    commit: (batch) => {
      batches.push(batch);
      const fault = faults.shift();
      return fault ? Promise.reject(fault) : messages.commit(batch);
    },
    read: (sequences) => messages.read(sequences),
    held: (deviceId, messageId) => messages.held(deviceId, messageId),
    countBrokerDrops: (total) => messages.countBrokerDrops(total),
    counts: () => messages.counts(),
    isStale: (error) => messages.isStale(error),
    stopWaiting: () => messages.stopWaiting(),
    isLost: (error) => messages.isLost(error),
    needsReopen: (error) => messages.needsReopen(error),
    canReopen: () => messages.canReopen(),
  };
}
