/** What is kept for a time, while the wall clock steps. */

import { MESSAGES_KEPT } from "../../support/pipeline_store.ts";
import assert from "node:assert/strict";
import { openStore } from "../../../src/store/open_store.ts";
import { withFolder } from "../../support/with_folder.ts";
import { all } from "./contract/contract.ts";
import { batch, candidate } from "./contract/sample_batch.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const YEAR_MS = 365 * DAY_MS;
const BEGIN_MS = Date.UTC(2026, 0, 1);
const KEPT = { maxCount: 1_000, maxAgeMs: 90 * DAY_MS };

/** The messages here have a timestamp of long ago. */
const ANY_TIME = { toleranceSeconds: 1e10, graceSeconds: 0, rate: undefined };

/** A gateway that runs, by its clocks. */
interface Run {
  /** Lets the time go on, step by step, with the wall clock that far off, and tidies. */
  pass(hours: number, options?: { offMs: number }): Promise<void>;
  /** A message that is dead-lettered now. */
  die(options?: { offMs: number }): Promise<void>;
  /** Stopped for that long, and started with the wall clock that far off. */
  restart(options: { hours: number }): Promise<void>;
  deadLetters(): Promise<number>;
  auditEntries(): Promise<number>;
}

async function withRun(work: (run: Run) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const place = { database: `${folder}/gateway.db`, synchronous: "NORMAL" } as const;
    const open = () => openStore(place, { author: "gateway", create: true });
    let store = await open();
    let messages = store.messages({ ...MESSAGES_KEPT, deadLetters: KEPT, audit: KEPT });
    let trueMs = BEGIN_MS;
    let steadyOffMs = 0;
    const now = (offMs = 0) => ({
      wallMs: trueMs + offMs,
      acceptedMs: trueMs + steadyOffMs,
      policy: ANY_TIME,
    });
    const tidy = { heldSinceMs: undefined };
    await messages.commit(batch({
      ...now(),
      notes: [{ at: BEGIN_MS / 1000, event: "e", subject: "", detail: "", count: 1 }],
    }));
    await work({
      async pass(hours, { offMs } = { offMs: 0 }) {
        const steps = Math.ceil(hours / 6);
        for (let step = 0; step < steps; step++) {
          await messages.commit(batch({ ...now(offMs), tidy }));
          trueMs += hours / steps * HOUR_MS;
        }
        await messages.commit(batch({ ...now(offMs), tidy }));
      },
      async die({ offMs } = { offMs: 0 }) {
        const { committed: [one] } = await messages.commit(
          batch({ ...now(offMs), examined: [candidate("a")] }),
        );
        assert.ok(one?.kind === "accepted");
        const deadLetteredAtMs = now(offMs).wallMs;
        const deadLetter = { status: 400, reason: "no", deadLetteredAtMs };
        const { sequence } = one.entry;
        await messages.commit(batch({ ...now(offMs), settlements: [{ sequence, deadLetter }] }));
      },
      async restart({ hours }) {
        await store.close();
        trueMs += hours * HOUR_MS;
        steadyOffMs = 1_234_567; // each run has its own
        store = await open();
        messages = store.messages({ ...MESSAGES_KEPT, deadLetters: KEPT, audit: KEPT });
      },
      deadLetters: () => store.deadLetters.count(),
      auditEntries: async () => (await all(store.audit.since(0))).length,
    });
    await store.close();
  });
}

Deno.test("a clock far ahead for hours drops nothing early, while the gateway runs or across restarts", async () => {
  await withRun(async (run) => {
    await run.pass(1);
    await run.die();
    const entries = await run.auditEntries();
    for (const offMs of [2 * YEAR_MS, 100 * YEAR_MS]) {
      await run.pass(6, { offMs });
      await run.restart({ hours: 0 });
      await run.pass(6, { offMs });
      await run.restart({ hours: 1 });
      await run.pass(1);
    }
    assert.deepEqual([await run.deadLetters(), await run.auditEntries()], [1, entries]);
  });
});

Deno.test("what is old is dropped in its time, also after stops of days", async () => {
  await withRun(async (run) => {
    await run.pass(1);
    await run.die();
    await run.pass(89 * 24);
    assert.equal(await run.deadLetters(), 1);
    await run.pass(25);
    assert.equal(await run.deadLetters(), 0);
    await run.die();
    for (let week = 0; week < 13; week++) { // on for eight hours a day, but at the weekend
      for (let day = 0; day < 5; day++) {
        await run.restart({ hours: day === 0 ? 64 : 16 });
        await run.pass(8);
      }
    }
    assert.equal(await run.deadLetters(), 0);
    assert.ok(await run.auditEntries() > 0);
  });
});

Deno.test("a clock that is decades behind at start makes no dead letter old", async () => {
  await withRun(async (run) => {
    await run.pass(1);
    await run.restart({ hours: 1 });
    const offMs = -50 * YEAR_MS;
    await run.pass(1, { offMs });
    await run.die({ offMs });
    await run.pass(24);
    assert.equal(await run.deadLetters(), 1);
  });
});
