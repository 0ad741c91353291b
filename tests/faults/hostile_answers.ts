/**
 * A backend answers with what no server would: each answer ends as it must, and costs the gateway no
 * more memory than an honest one.
 */

import type { OutboxEntry } from "../../src/core/outbox_entry.ts";
import { HttpBackend } from "../../src/gateway/backend/http_backend.ts";
import { SYSTEM_CLOCK } from "../../src/time/clock.ts";
import { PLAIN_BACKEND } from "../support/plain_backend.ts";
import { type RawAnswer, RawBackend } from "../support/raw_backend.ts";
import { sumOf } from "./checker.ts";
import type { Findings, Scenario, ScenarioOptions } from "./scenario.ts";

const MIB = 1024 * 1024;
const BODY_BYTES = 10_000;
const AT_ONCE = 4;
const GROWTH_MAX_BYTES = 32 * MIB;
/** How often the memory is looked at while the answers come. */
const LOOK_EVERY_MS = 10;
/** More than the client reads at a time. */
const MUCH = "x".repeat(16_384);

const ENTRY: OutboxEntry = {
  sequence: 1,
  deviceId: "sensor_001",
  messageId: crypto.randomUUID(),
  timestamp: "1",
  payload: new Uint8Array([0x31]),
  acceptedMs: 0,
};

/** What becomes of an answer: it arrives whole, only its status counts, or it is none. */
type Outcome = "whole" | "status" | "none";

/** One kind of answer. */
interface HostileAnswer {
  readonly what: string;
  readonly outcome: Outcome;
  readonly answer: RawAnswer;
}

const OK = "HTTP/1.1 200 OK\r\n";
const CHUNKED = `${OK}Transfer-Encoding: chunked\r\n\r\n`;

/** An answer that begins with `start` and goes on with `more`, for ever or so many times. */
function goingOn(start: string, more: string, times = Infinity, end = ""): RawAnswer {
  const repeated = times === Infinity && more.length < 1_000 ? more.repeat(1_000) : more;
  const portion = new TextEncoder().encode(repeated);
  return async (it) => {
    await it.write(start);
    await it.repeat(portion, times);
    await it.write(end);
  };
}

/** A byte now and then. */
function dripping(start: string, more: string): RawAnswer {
  return async (it) => {
    await it.write(start);
    while (!it.stop.aborted) {
      await it.write(more);
      await it.pause(20);
    }
  };
}

/** Every kind. */
const HOSTILE_ANSWERS: readonly HostileAnswer[] = [
  {
    what: "chunks of one byte",
    outcome: "whole",
    answer: goingOn(CHUNKED, "1\r\nx\r\n", BODY_BYTES, "0\r\n\r\n"),
  },
  {
    what: "chunks of one byte, all at once",
    outcome: "whole",
    answer: (it) => it.write(`${CHUNKED}${"1\r\nx\r\n".repeat(BODY_BYTES)}0\r\n\r\n`),
  },
  {
    what: "a byte at a time",
    outcome: "whole",
    answer: goingOn(`${OK}Content-Length: ${BODY_BYTES}\r\n\r\n`, "x", BODY_BYTES),
  },
  { what: "a status line without an end", outcome: "none", answer: goingOn("HTTP/1.1 200 ", MUCH) },
  { what: "a field without an end", outcome: "none", answer: goingOn(`${OK}X: `, MUCH) },
  { what: "fields without an end", outcome: "none", answer: goingOn(OK, "X: x\r\n") },
  { what: "fields, one now and then", outcome: "none", answer: dripping(OK, "X: x\r\n") },
  {
    what: "interim answers without an end",
    outcome: "none",
    answer: goingOn("", "HTTP/1.1 103 X\r\nLink: x\r\n\r\n"),
  },
  {
    what: "chunk extensions of 10 kB",
    outcome: "status",
    answer: goingOn(CHUNKED, `1;x=${"x".repeat(10_000)}\r\nx\r\n`, BODY_BYTES, "0\r\n\r\n"),
  },
  {
    what: "a chunk extension without an end",
    outcome: "status",
    answer: goingOn(`${CHUNKED}1;x=`, MUCH),
  },
  {
    what: "trailers without an end",
    outcome: "status",
    answer: goingOn(`${CHUNKED}1\r\nx\r\n0\r\n`, "X: x\r\n"),
  },
  {
    what: "a trailer without an end",
    outcome: "status",
    answer: goingOn(`${CHUNKED}1\r\nx\r\n0\r\nX: `, MUCH),
  },
  { what: "chunks without an end", outcome: "status", answer: goingOn(CHUNKED, "1\r\nx\r\n") },
  {
    what: "a chunk of 2^60 bytes",
    outcome: "status",
    answer: goingOn(`${CHUNKED}1000000000000000\r\n`, MUCH),
  },
  {
    what: "a length of 2^53",
    outcome: "status",
    answer: goingOn(`${OK}Content-Length: 9007199254740992\r\n\r\n`, MUCH),
  },
  { what: "a body without length or end", outcome: "status", answer: goingOn(`${OK}\r\n`, MUCH) },
  { what: "a body, a byte now and then", outcome: "status", answer: dripping(`${OK}\r\n`, "x") },
  {
    what: "more answers than requests",
    outcome: "whole",
    answer: goingOn(
      `${OK}Content-Length: ${BODY_BYTES}\r\n\r\n${"x".repeat(BODY_BYTES)}`,
      `${OK}Content-Length: 1\r\n\r\nx`,
    ),
  },
];

/** All of them, one kind after the other. */
export const HOSTILE_ANSWER_COST: Scenario = {
  name: "a backend answers with what costs memory",
  alone: true,
  run,
};

async function run({ long, say }: ScenarioOptions): Promise<Findings> {
  const violations: string[] = [];
  let [most, dearest] = [0, ""];
  for (const { what, ...answer } of HOSTILE_ANSWERS) {
    say?.(what);
    const { growth, wrong } = await costOf(answer, long ? 10_000 : 1_000);
    if (growth > most) [most, dearest] = [growth, what];
    violations.push(...wrong.map((outcome) => `${what}: ${outcome}`));
    if (growth > GROWTH_MAX_BYTES) violations.push(`${what}: ${inMib(growth)}`);
  }
  const note = `${HOSTILE_ANSWERS.length} kinds; the dearest took ${inMib(most)}: ${dearest}`;
  return { ...sumOf([]), violations, note };
}

/** Takes four at once, and says how much memory that took and what has not ended as it must. */
async function costOf(
  { answer, outcome }: Pick<HostileAnswer, "answer" | "outcome">,
  timeoutMs: number,
): Promise<{ growth: number; wrong: string[] }> {
  const raw = RawBackend.start({ answer });
  const address = { ...PLAIN_BACKEND, url: raw.url, concurrency: AT_ONCE, toleranceSeconds: 300 };
  const patience = outcome === "whole" ? 60_000 : timeoutMs;
  const backend = new HttpBackend({ ...address, timeoutMs: patience }, SYSTEM_CLOCK);
  try {
    await outcomeOf(backend); // warms up
    const before = Deno.memoryUsage().rss;
    let most = before;
    const look = setInterval(() => most = Math.max(most, Deno.memoryUsage().rss), LOOK_EVERY_MS);
    const outcomes = await Promise.all(Array.from({ length: AT_ONCE }, () => outcomeOf(backend)));
    clearInterval(look);
    most = Math.max(most, Deno.memoryUsage().rss);
    return { growth: most - before, wrong: outcomes.filter((one) => one !== outcome) };
  } finally {
    backend.close();
    await raw.stop();
  }
}

async function outcomeOf(backend: HttpBackend): Promise<Outcome> {
  const outcome = await backend.deliver(ENTRY, new AbortController().signal);
  if (outcome.kind !== "answer") return "none";
  return outcome.body?.length === BODY_BYTES ? "whole" : "status";
}

function inMib(bytes: number): string {
  return `${Math.round(bytes / MIB)} MiB`;
}
