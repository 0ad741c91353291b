/**
 * The messages of one node: verdicts and their traces, and what the forwarder has settled, in one
 * statement for each batch.
 *
 * The rules are:
 * - a batch is decided on as if no id was known; where the server knows one, it says which, has
 *   changed nothing, and the batch is decided on again: what is new costs one round trip;
 * - a batch whose answer is lost is never guessed: it is asked what it has come to, and waited for;
 * - what is kept in memory is what is on the disk: it changes after the commit.
 */

import { setTimeout as pause } from "node:timers/promises";
import { oldestRemembered } from "../../core/freshness.ts";
import type { OutboxEntry, WaitingEntry } from "../../core/outbox_entry.ts";
import type {
  Batch,
  CommitResult,
  MessageStore,
  NodeStore,
  StoreCounts,
  StoreMarks,
} from "../../core/ports.ts";
import type { Held } from "../../core/receipt.ts";
import { secondsOf } from "../../core/time.ts";
import { STEADY_OFFSET_MARK } from "../clock_marks.ts";
import { expiredOf } from "../dead_letters.ts";
import type { MessageLimits } from "../store.ts";
import type { PostgresPlace } from "../store_place.ts";
import { entryOf } from "../stored_entry.ts";
import { StaleRegistryError, StoreLostError, StoreReopenError } from "../store_error.ts";
import { BatchPlan, type TidyResult } from "./batch_plan.ts";
import { CommandBatch } from "./command_batch.ts";
import { type Connection, ConnectionLostError, type Query, sqlState } from "./connection.ts";
import { ID_TAKEN, NO_SLOT, SLOT_SECONDS } from "./functions.ts";
import { readMark, writeMark } from "./marks.ts";
import { NodeState } from "./node_state.ts";
import { PostgresNodes } from "./nodes.ts";
import { inPages, PAGE_MAX } from "./pages.ts";
import { newestSeconds } from "./replay_ids.ts";
import { FENCED } from "./sql_parts.ts";
import type { SeenRevision } from "./registry.ts";

/** Ids are kept in slots of ten minutes; those of the next are made before they are needed. */
const SLOTS_AROUND = [-1, 0, 1] as const;

/** How often a batch is decided on again before that is called a fault. */
const DECIDED_MAX = 20;

const RETRY_FIRST_MS = 100;
const RETRY_LONGEST_MS = 2_000;

/** Errors after which a batch is sent again: an id that is taken, a deadlock. */
const AGAIN: ReadonlySet<string | undefined> = new Set([ID_TAKEN, "40P01", "40001"]);

const INTAKE = `SELECT intake($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,
  $17, $18, $19, $20) AS answer`;

/** What `intake` answers. */
type IntakeAnswer =
  | {
    readonly kind: "done";
    /** Of the batch's entries, in their order. */
    readonly numbers: readonly number[];
    /** By other programs: number, device, whether it is a callback, whether it was added. */
    readonly changes: readonly (readonly [number, string, boolean, boolean])[];
    /** By device: the oldest entry that another node has. */
    readonly behind: Readonly<Record<string, number>>;
  }
  | { readonly kind: "known"; readonly known: readonly number[] }
  | { readonly kind: "forgotten"; readonly forgotten: number }
  | { readonly kind: "stale" }
  | { readonly kind: "not_done" };

/** The store, and connections to it. */
interface MessageParts {
  /** For batches alone. */
  readonly intake: Connection;
  /** For all else. */
  readonly rest: Connection;
  readonly place: PostgresPlace;
  readonly seen: SeenRevision;
}

/** A node's messages. */
export class PostgresMessages implements MessageStore {
  readonly #parts: MessageParts;
  readonly #limits: MessageLimits;
  readonly #query: Query;
  readonly #stopped = new AbortController();
  #state: Promise<NodeState> | undefined;
  #batch = 0;
  #pending = 0;
  #slot = 0;

  constructor(parts: MessageParts, limits: MessageLimits) {
    this.#parts = parts;
    this.#limits = limits;
    this.#query = (text, values) => parts.rest.query(text, values);
  }

  get nodes(): NodeStore {
    return new PostgresNodes(this.#parts.place, this.#parts.rest, () => this.#begin());
  }

  async marks(): Promise<StoreMarks> {
    return await storeMarks(this.#query, this.#parts.place.node);
  }

  async *backlog(): AsyncIterable<WaitingEntry> {
    await this.#begin(); // from here on, no other gateway works as this node
    const others = await this.#oldestOfOthers();
    const rows = inPages((after) =>
      this.#query(
        `SELECT sequence, device_id, command_state IS NOT NULL AS is_callback FROM outbox
         WHERE node = $1 AND sequence > $2 ORDER BY sequence LIMIT ${PAGE_MAX}`,
        [this.#parts.place.node, after?.["sequence"] ?? 0],
      )
    );
    for await (const row of rows) {
      this.#pending++;
      const sequence = row["sequence"] as number;
      const deviceId = row["device_id"] as string;
      yield {
        ...{ sequence, deviceId },
        ...(row["is_callback"] === true && { isCallback: true }),
        ...((others.get(deviceId) ?? Infinity) < sequence && { isBehind: true }),
      };
    }
  }

  async commit(batch: Batch): Promise<CommitResult> {
    const state = await this.#begin();
    const steadyMs = batch.acceptedMs;
    const ageMs = batch.tidy && state.ageClock.move({ wallMs: batch.wallMs, steadyMs });
    const tidied = ageMs === undefined ? undefined : await this.#tidy(batch, ageMs);
    let known: readonly number[] = [];
    for (let decided = 0; decided < DECIDED_MAX; decided++) {
      const plan = new BatchPlan(batch, state, { limits: this.#limits, known, ageMs });
      const answer = await this.#send(plan, { ...batch, isOverdue: tidied?.overdue ?? false });
      if (answer === undefined) continue;
      switch (answer.kind) {
        case "done":
          return this.#done(plan, answer, tidied);
        case "known":
          known = answer.known;
          continue;
        case "forgotten":
          state.forgottenSeconds = answer.forgotten;
          continue;
        case "stale":
          this.#parts.seen.revision = undefined;
          throw new StaleRegistryError("The registry has changed");
        case "not_done":
          continue;
        default:
          return answer satisfies never;
      }
    }
    throw new Error("A batch was decided on again and again");
  }

  async read(sequences: readonly number[]): Promise<readonly OutboxEntry[]> {
    const rows = await this.#query(
      "SELECT * FROM outbox WHERE sequence = ANY ($1) AND node = $2 ORDER BY sequence",
      [sequences, this.#parts.place.node],
    );
    return rows.map(entryOf);
  }

  async held(deviceId: string, messageId: string): Promise<Held> {
    const [row] = await this.#query(
      `SELECT EXISTS (SELECT FROM outbox WHERE device_id = $1 AND lower(message_id) = lower($2)
           AND command_state IS NULL) AS pending,
         EXISTS (SELECT FROM dead_letters WHERE device_id = $1
           AND lower(message_id) = lower($2) AND command_state IS NULL) AS dead`,
      [deviceId, messageId],
    );
    if (row!["pending"] === true) return "pending";
    return row!["dead"] === true ? "dead" : "settled";
  }

  /** The broker's counter is of its own life; a lower one than the last is a new broker's. */
  async countBrokerDrops(total: number): Promise<number> {
    const { node } = this.#parts.place;
    const before = await readMark(this.#query, "broker_dropped", node);
    if (total === before) return 0;
    await writeMark(this.#query, "broker_dropped", total, node);
    return total > before ? total - before : total;
  }

  async counts(): Promise<StoreCounts> {
    const [row] = await this.#query(
      `SELECT (SELECT count(*) FROM dead_letters) AS dead,
         (SELECT count(*) FROM commands WHERE state = 'waiting' AND is_kept) AS waiting,
         (SELECT coalesce(sum(greatest(n_live_tup, 0)), 0)::bigint FROM pg_stat_user_tables
           WHERE schemaname = current_schema() AND relname LIKE 'replay\\_guard\\_%') AS ids,
         (SELECT accepted_ms FROM outbox WHERE node = $1 ORDER BY sequence LIMIT 1) AS oldest,
         (SELECT max(number) FROM broker_lists) AS list,
         (SELECT number FROM broker_list_uses WHERE node = $1) AS list_used`,
      [this.#parts.place.node],
    );
    return {
      deadLetters: row!["dead"] as number,
      replayIds: row!["ids"] as number,
      commandsWaiting: row!["waiting"] as number,
      listsBehind: Math.max(
        0,
        ((row!["list"] ?? 0) as number) - ((row!["list_used"] ?? 0) as number),
      ),
      oldestAcceptedMs: (row!["oldest"] ?? Infinity) as number,
    };
  }

  isStale(error: Error): boolean {
    return error instanceof StaleRegistryError;
  }

  isLost(error: Error): boolean {
    return error instanceof StoreLostError;
  }

  needsReopen(error: Error): boolean {
    return error instanceof StoreReopenError;
  }

  /** Not while another gateway is at work as this node: the two would take it from each other forever. */
  async canReopen(): Promise<boolean> {
    const sql = `SELECT 1 FROM leases JOIN nodes USING (node)
      WHERE node = $1 AND epoch <> $2 AND until > clock_timestamp()`;
    return await this.#begin()
      .then(({ epoch }) => this.#query(sql, [this.#parts.place.node, epoch]))
      .then((rows) => rows.length === 0, () => false);
  }

  stopWaiting(): void {
    this.#stopped.abort();
  }

  /** Takes the node over from whatever gateway worked as it before; once. */
  #begin(): Promise<NodeState> {
    if (this.#state) return this.#state;
    const begun = NodeState.begin(this.#parts.intake, this.#parts.place.node);
    begun.catch(() => this.#state = undefined);
    return this.#state = begun;
  }

  /** By device: the number of the oldest entry that another node has. */
  async #oldestOfOthers(): Promise<Map<string, number>> {
    const rows = await this.#query(
      "SELECT device_id, min(sequence) AS oldest FROM outbox WHERE node <> $1 GROUP BY device_id",
      [this.#parts.place.node],
    );
    return new Map(rows.map((row) => [row["device_id"] as string, row["oldest"] as number]));
  }

  /** Forgets ids and deletes what is old; the slots of ids that are about to come are made. */
  async #tidy({ wallMs, tidy, facts, policy }: Batch, ageMs: number): Promise<TidyResult> {
    const nowSeconds = secondsOf(Math.min(wallMs, tidy?.heldSinceMs ?? Infinity));
    const { rememberSeconds } = this.#limits.checks;
    const oldest = oldestRemembered({ nowSeconds, ...facts }, policy);
    const usedBefore = rememberSeconds === 0 ? null : nowSeconds - rememberSeconds;
    const { intake, place: { node } } = this.#parts;
    await this.#openSlots(secondsOf(wallMs));
    const reach = policy.graceSeconds + policy.toleranceSeconds;
    const [row] = await intake.query("SELECT forget_ids($1, $2, $3, $4, $5) AS more", [
      ...[node, Math.floor(oldest), usedBefore],
      ...[Math.floor(nowSeconds - reach), Math.ceil(reach)],
    ]);
    const { deadLetters, audit, commands } = this.#limits;
    const limits = { deadLetters, audit, keepMs: commands.keepMs, keepKeysMs: commands.keepKeysMs };
    const [done] = await intake.query("SELECT tidy($1, $2, $3) AS done", [
      ...[secondsOf(wallMs), Math.floor(ageMs), JSON.stringify(limits)],
    ]);
    const { expired, untidy, overdue } = done!["done"] as TidyResult;
    return { expired, overdue, untidy: untidy || row!["more"] === true };
  }

  async #openSlots(nowSeconds: number): Promise<void> {
    const slot = Math.floor(nowSeconds / SLOT_SECONDS);
    if (slot === this.#slot) return;
    await this.#parts.intake.query("SELECT open_slots($1)", [
      SLOTS_AROUND.map((step) => slot + step),
    ]);
    this.#slot = slot;
  }

  /** Undefined: it is to be decided on again, with what is known now. */
  async #send(
    plan: BatchPlan,
    batch: Batch & { readonly isOverdue: boolean },
  ): Promise<IntakeAnswer | undefined> {
    const number = ++this.#batch;
    try {
      return batch.isOverdue || plan.hasCommands
        ? await this.#inTransaction(plan, number, batch.isOverdue)
        : await this.#ask((text, values) => this.#parts.intake.query(text, values), plan, number);
    } catch (error) {
      const state = sqlState(error);
      if (error instanceof ConnectionLostError) return await this.#conclude(number);
      if (state === FENCED) throw new StoreLostError((error as Error).message);
      if (state === NO_SLOT) return await this.#openSlotsOf(plan);
      if (AGAIN.has(state)) return undefined;
      throw error;
    }
  }

  async #inTransaction(
    plan: BatchPlan,
    number: number,
    isOverdue: boolean,
  ): Promise<IntakeAnswer | undefined> {
    const undo = new Error("not done");
    let answer: IntakeAnswer | undefined;
    const sent = this.#parts.intake.transaction(async (query) => {
      const commands = await CommandBatch.read(query, plan.commandNames(isOverdue), plan);
      await plan.changeCommands(query, commands);
      answer = await this.#ask(query, plan, number);
      if (answer.kind !== "done") throw undo;
      await commands.write(query, this.#parts.place.node);
    });
    await sent.catch((error) => {
      if (error !== undo) throw error;
    });
    return answer;
  }

  async #ask(query: Query, plan: BatchPlan, number: number): Promise<IntakeAnswer> {
    const { node, isReplicated } = this.#parts.place;
    const [row] = await query(INTAKE, plan.parameters({ node, number, isReplicated }));
    return row!["answer"] as IntakeAnswer;
  }

  /** Makes the partitions that a batch needs; what is too old for one is refused from then on. */
  async #openSlotsOf(plan: BatchPlan): Promise<undefined> {
    const slots = plan.writes.timestamps().map((seconds) => Math.floor(seconds / SLOT_SECONDS));
    await this.#parts.intake.query("SELECT open_slots($1)", [[...new Set(slots)]]);
    const state = await this.#begin();
    state.forgottenSeconds = await readMark(this.#query, "forgotten_seconds");
  }

  /** What a batch has come to whose answer was lost; it is asked until it is known. */
  async #conclude(number: number): Promise<IntakeAnswer> {
    const { intake, place: { node } } = this.#parts;
    const { epoch } = await this.#begin();
    for (let delayMs = RETRY_FIRST_MS;; delayMs = Math.min(2 * delayMs, RETRY_LONGEST_MS)) {
      try {
        const [row] = await intake.query("SELECT conclude_batch($1, $2, $3) AS answer", [
          ...[node, epoch, number],
        ]);
        return row!["answer"] as IntakeAnswer;
      } catch (error) {
        if (sqlState(error) === FENCED) throw new StoreLostError((error as Error).message);
        if (this.#stopped.signal.aborted) throw error;
      }
      await pause(delayMs, undefined, { signal: this.#stopped.signal }).catch(() => {});
    }
  }

  #done(
    plan: BatchPlan,
    { numbers, changes, behind }: IntakeAnswer & { readonly kind: "done" },
    tidied: TidyResult | undefined,
  ): CommitResult {
    const result = plan.apply(numbers);
    const waiting = (isAdded: boolean) =>
      changes.filter((change) => change[3] === isAdded).map((change): WaitingEntry => ({
        ...{ sequence: change[0], deviceId: change[1] },
        ...(isAdded && change[2] && { isCallback: true }),
      }));
    const [requeued, removed] = [waiting(true), waiting(false)];
    this.#pending += numbers.length + requeued.length - plan.writes.settlements.length;
    return {
      ...{ ...result, requeued, removed, pending: this.#pending },
      behind: new Map(Object.entries(behind)),
      expiredDeadLetters: expiredOf(
        (tidied?.expired ?? []).map(([deviceId, messageId]) => ({ deviceId, messageId })),
      ),
      untidy: (tidied?.untidy ?? false) || result.isMoreOverdue,
    };
  }
}

/** What a store knows of a node's earlier gateways. */
export async function storeMarks(query: Query, node: string): Promise<StoreMarks> {
  const [row] = await query(
    `SELECT greatest((SELECT max(accepted_ms) FROM outbox WHERE node = $1),
       (SELECT 1000 * max(accepted_steady) FROM commands WHERE node = $1 AND payload IS NOT NULL),
       0) AS floor`,
    [node],
  );
  const floorMs = row!["floor"] as number;
  const offsetMs = floorMs === 0 ? 0 : await readMark(query, STEADY_OFFSET_MARK, node);
  return {
    attendedSeconds: await readMark(query, "attended_seconds", node) || undefined,
    newestSeconds: await newestSeconds(query),
    steady: { offsetMs, floorMs },
  };
}
