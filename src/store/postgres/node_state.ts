/** What a node's gateway keeps in memory of the store; it changes when a commit is on the disk. */

import { AGE_CLOCK_MARK, AgeClock } from "../age_clock.ts";
import { STEADY_OFFSET_MARK } from "../clock_marks.ts";
import { RejectionPeriods, type SavedPeriod } from "../rejection_periods.ts";
import type { BatchWrites } from "./batch_writes.ts";
import type { Connection } from "./connection.ts";
import { readMark } from "./marks.ts";

/** The state; only one batch writes at a time, into `writes`. */
export class NodeState {
  readonly node: string;
  /** Which of the gateways that have worked as this node: only the newest changes anything. */
  readonly epoch: number;
  readonly periods: RejectionPeriods;
  readonly ageClock: AgeClock;
  /** Timestamps up to and including this one may belong to forgotten ids, Unix seconds. */
  forgottenSeconds: number;
  /** What is marked on the disk. */
  attendedSeconds = 0;
  steadyOffsetMs: number;
  /** Of the clock by which what is old is deleted: set until it is on the disk. */
  ageMarkMs: number | undefined;
  writes: BatchWrites | undefined;

  private constructor(node: string, read: {
    readonly epoch: number;
    readonly forgottenSeconds: number;
    readonly steadyOffsetMs: number;
    readonly ageMarkMs: number;
    readonly lastEntryMs: number;
    readonly periods: readonly SavedPeriod[];
  }) {
    this.node = node;
    this.epoch = read.epoch;
    this.forgottenSeconds = read.forgottenSeconds;
    this.steadyOffsetMs = read.steadyOffsetMs;
    this.ageClock = new AgeClock({
      markedMs: read.ageMarkMs,
      lastEntryMs: () => read.lastEntryMs,
      mark: (ms) => this.ageMarkMs = ms,
    });
    this.periods = new RejectionPeriods({
      note: (note) => this.writes!.notes.push(note),
      save: (period) => this.writes!.periods.push(period),
      end: (period) => this.writes!.ended.push(period),
    }, read.periods);
  }

  /** Takes a node over from whatever gateway worked as it before. */
  static async begin(connection: Connection, node: string): Promise<NodeState> {
    return await connection.transaction(async (query) => {
      const [begun] = await query("SELECT begin_epoch($1) AS epoch", [node]);
      const [audit] = await query("SELECT max(at) AS at FROM audit");
      const periods = await query("SELECT * FROM audit_rejections WHERE node = $1", [node]);
      return new NodeState(node, {
        epoch: begun!["epoch"] as number,
        forgottenSeconds: await readMark(query, "forgotten_seconds"),
        steadyOffsetMs: await readMark(query, STEADY_OFFSET_MARK, node),
        ageMarkMs: await readMark(query, AGE_CLOCK_MARK, node),
        lastEntryMs: ((audit!["at"] ?? 0) as number) * 1000,
        periods: periods as unknown as SavedPeriod[],
      });
    });
  }
}
