import assert from "node:assert/strict";
import { AuditLog } from "../../../src/store/sqlite/audit_log.ts";
import type { Committed } from "../../../src/core/ports.ts";
import { reject, type RejectionCode } from "../../../src/core/rejection.ts";
import { RejectionAudit } from "../../../src/store/sqlite/rejection_audit.ts";
import { Database } from "../../../src/store/sqlite/database.ts";

/** A rejection as the tests write it. */
interface RejectedMessage {
  readonly identity: string;
  readonly code: RejectionCode;
}

function committed({ identity, code }: RejectedMessage): Committed {
  return { kind: "rejected", identity, messageId: undefined, rejection: reject(code) };
}

interface Desk {
  readonly store: Database;
  /** One commit. */
  enter(rejected: readonly RejectedMessage[], at: number, options?: { tidy: boolean }): void;
  entries(): string[];
  /** As a new run of the gateway finds it. */
  reopen(): void;
}

function withDesk(work: (desk: Desk) => void): void {
  const store = new Database(":memory:", { create: true });
  const open = () => new RejectionAudit(store, { maxCount: 100_000, maxAgeMs: 1e15 });
  let audit = open();
  work({
    store,
    enter(rejected, at, options = { tidy: false }) {
      const wallMs = at * 1000;
      const batch = rejected.map(committed);
      const tidy = options.tidy ? { ageMs: wallMs } : undefined;
      audit.apply(store.transaction(() => audit.write(batch, { tidy, wallMs })));
    },
    entries: () =>
      [...new AuditLog(store).since(0)].map(({ at, event, subject, detail, count }) => {
        assert.equal(event, "message_rejected");
        return `${at} ${subject} ${detail} ${count}`;
      }),
    reopen() {
      audit = open();
    },
  });
  store.close();
}

function many(count: number, identity = "a"): RejectedMessage[] {
  return Array.from({ length: count }, () => ({ identity, code: "replayed" as const }));
}

const TIDY = { tidy: true };

Deno.test("the first rejection is an entry at once, those after it one with a count", () => {
  withDesk(({ enter, entries }) => {
    enter([...many(3), { identity: "a", code: "malformed" }, ...many(1, "b")], 100);
    assert.deepEqual(entries(), ["100 a replayed 1", "100 a malformed 1", "100 b replayed 1"]);
    enter(many(1_000), 130);
    enter([], 159, TIDY);
    assert.equal(entries().length, 3, "the minute is not over");
    enter(many(1), 160, TIDY);
    assert.deepEqual(entries().slice(3), ["160 a replayed 1003"]);
    enter(many(5), 279, TIDY);
    assert.equal(entries().length, 4, "the next period is twice as long");
    enter([], 280, TIDY);
    assert.deepEqual(entries().slice(4), ["280 a replayed 5"]);
    enter([], 520, TIDY);
    enter(many(1), 521);
    assert.deepEqual(entries().slice(5), ["521 a replayed 1"], "after a quiet one it begins again");
  });
});

Deno.test("a flood of a day is a hundred entries, and all of it is counted", () => {
  withDesk(({ enter, entries }) => {
    for (let at = 0; at < 86_400; at += 10) enter(many(50), at, TIDY);
    enter([], 200_000, TIDY);
    assert.ok(entries().length < 100, `${entries().length}`);
    const sum = entries().reduce((sum, entry) => sum + Number(entry.split(" ").at(-1)), 0);
    assert.equal(sum, 8_640 * 50);
  });
});

Deno.test("counts that were tidied away survive a kill", () => {
  withDesk(({ enter, entries, reopen }) => {
    enter(many(10), 100);
    enter([], 101, TIDY);
    reopen();
    enter(many(1), 102);
    enter([], 160, TIDY);
    assert.deepEqual(entries(), ["100 a replayed 1", "160 a replayed 10"]);
  });
});

Deno.test("a commit that fails counts nothing, and nothing twice", () => {
  withDesk(({ enter, entries, store }) => {
    store.prepare("PRAGMA query_only = ON").run();
    assert.throws(() => enter(many(2), 100));
    store.prepare("PRAGMA query_only = OFF").run();
    enter(many(2), 101);
    enter([], 200, TIDY);
    assert.deepEqual(entries(), ["101 a replayed 1", "200 a replayed 1"]);
  });
});

Deno.test("a clock that steps back ends the period", () => {
  withDesk(({ enter, entries }) => {
    enter(many(2), 1_000);
    enter([], 10, TIDY);
    assert.deepEqual(entries().sort(), ["10 a replayed 1", "1000 a replayed 1"]);
  });
});

Deno.test("beyond ten thousand devices the rest count together, and names are cut", () => {
  withDesk(({ enter, entries }) => {
    enter(Array.from({ length: 10_500 }, (_, i) => many(1, `d${i}`)[0]!), 1);
    assert.equal(entries().length, 10_001);
    assert.equal(entries().at(-1), "1 * replayed 1");
    enter([], 100, TIDY);
    assert.equal(entries().at(-1), "100 * replayed 499");
  });
  withDesk(({ enter, entries }) => {
    enter(many(2, "x".repeat(60_000)), 1);
    assert.deepEqual(entries(), [`1 ${"x".repeat(80)} replayed 1`]);
  });
});
