/** Commands on a real store, before a broker that answers as a test says. */

import { LaneHolds } from "../../src/gateway/pipeline/lane_holds.ts";
import { Lanes } from "../../src/gateway/pipeline/lanes.ts";
import type { DeviceKeys, Published, PublishProperties } from "../../src/core/ports.ts";
import {
  type CommandRequest,
  CommandRequests,
} from "../../src/gateway/pipeline/command_requests.ts";
import { CommandSender } from "../../src/gateway/pipeline/command_sender.ts";
import { CommandWatch } from "../../src/gateway/pipeline/command_watch.ts";
import { DeviceKeys as StoredKeys } from "../../src/store/device_keys.ts";
import type { CommandLimits } from "../../src/store/store.ts";
import { DEVICE_ID } from "./judge.ts";
import { type PipelineStore, withPipelineStore } from "./pipeline_store.ts";

/** The broker's word. */
export const QUEUED: Published = { kind: "acknowledged", subscribers: true };
export const NOBODY: Published = { kind: "acknowledged", subscribers: false };

/** One publish. */
interface Copy {
  readonly topic: string;
  readonly body: Uint8Array;
  readonly properties: PublishProperties;
  /** The command's id in it. */
  readonly messageId: string;
  readonly timestamp: number;
}

/** The commands, and the world around them. */
export interface CommandPipeline extends PipelineStore {
  readonly requests: CommandRequests;
  readonly sender: CommandSender;
  readonly watch: CommandWatch;
  /** What was published, in order. */
  readonly copies: Copy[];
  /** What the broker says next; `QUEUED` when none is left. */
  readonly words: Published[];
  readonly broker: { isConnected: boolean };
  /** Moved by the test, milliseconds. */
  readonly time: { wallMs: number; monotonicMs: number };
  /** Called at each publish, before the broker's word. */
  onPublish: (copy: Copy) => Promise<void> | void;
}

/** Runs `work` on an empty store with one registered device. */
export async function withCommandPipeline(
  work: (pipeline: CommandPipeline) => Promise<void>,
  limits: Partial<CommandLimits> = {},
): Promise<void> {
  await withPipelineStore(async (store) => {
    const keys = await StoredKeys.load(store.store.registry);
    const pipeline = pipelineOn(store, keys);
    await pipeline.sender.start();
    await work(pipeline);
    await pipeline.sender.stop();
    await store.committer.close();
  }, { limits });
}

function pipelineOn(pipeline: PipelineStore, keys: DeviceKeys): CommandPipeline {
  const { store, committer, emit, failpoint } = pipeline;
  const time = { wallMs: pipeline.clock.wallMs(), monotonicMs: 0 };
  const clock = { wallMs: () => time.wallMs, monotonicMs: () => time.monotonicMs };
  const copies: Copy[] = [];
  const words: Published[] = [];
  const broker = {
    isConnected: true,
    publish: async (topic: string, body: Uint8Array, properties: PublishProperties) => {
      const { message_id: messageId, timestamp } = JSON.parse(new TextDecoder().decode(body));
      const copy = { topic, body, properties, messageId, timestamp };
      copies.push(copy);
      await made.onPublish(copy);
      return words.shift() ?? QUEUED;
    },
  };
  const watch = new CommandWatch(emit);
  const parts = { clock, keys, broker, committer, commands: store.commands, failpoint };
  const options = { toleranceSeconds: 300, resendMs: 300_000 };
  const sender = new CommandSender(parts, options);
  const requests = new CommandRequests({ ...parts, sender }, options);
  committer.start({ pending: 0, entries: NO_ENTRIES, commands: watch });
  const made: CommandPipeline = {
    ...{ ...pipeline, requests, sender, watch, copies, words, broker, time },
    onPublish: () => {},
  };
  return made;
}

const NO_ENTRIES = {
  add: () => {},
  requeue: () => {},
  remove: () => {},
  holds: new LaneHolds(new Lanes(), { monotonicMs: () => 0 }, () => {}),
};

/** A request for the one device; `over` changes it. */
export function request(over: Partial<CommandRequest> = {}): CommandRequest {
  return {
    keyName: "backend",
    deviceId: DEVICE_ID,
    payload: new TextEncoder().encode('{"n":22.50}'),
    ttlSeconds: undefined,
    idempotencyKey: undefined,
    ...over,
  };
}
