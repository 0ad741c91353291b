import assert from "node:assert/strict";
import type { DeviceClient } from "../../src/client/device_client.ts";
import { poll } from "../../src/time/poll.ts";
import type { LiveSite } from "../support/live_site.ts";
import type { RawAnswer, RawBackend } from "../support/raw_backend.ts";
import { withRawBackend } from "../support/raw_backend_site.ts";

/** What a backend does to the one message of the device "ill", the first time. */
interface Fault {
  readonly what: string;
  readonly answer: RawAnswer;
  /** "retried": answered with 200 the second time. */
  readonly fate: "delivered" | "retried" | "dead";
  /** The status that the device gets. */
  readonly status?: number;
  /** The body that the device gets. */
  readonly body?: string;
}

const EMPTY = "";

/** The status line stands, and what follows is broken: the entry is done with. */
const BROKEN_BODIES: readonly Fault[] = [
  {
    what: "a Content-Length that is too long",
    answer: (it) => it.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok"),
    fate: "delivered",
    body: EMPTY,
  },
  {
    what: "a Content-Length that is too short",
    answer: (it) => it.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more"),
    fate: "delivered",
    body: "ok",
  },
  {
    what: "the same Content-Length twice",
    answer: (it) => it.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok"),
    fate: "delivered",
    body: "ok",
  },
  {
    what: "Content-Length before Transfer-Encoding, and chunks without an end",
    answer: async (it) => {
      await it.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n");
      await it.repeat(`10000\r\n${"x".repeat(65_536)}\r\n`);
    },
    fate: "retried",
  },
  {
    what: "Transfer-Encoding before Content-Length, and chunks without an end",
    answer: async (it) => {
      await it.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n");
      await it.repeat(`10000\r\n${"x".repeat(65_536)}\r\n`);
    },
    fate: "retried",
  },
  {
    what: "a body that stops coming",
    answer: async (it) => {
      await it.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok");
      await it.hungUp();
    },
    fate: "delivered",
    body: EMPTY,
  },
  {
    what: "a body without an end",
    answer: async (it) => {
      await it.write("HTTP/1.1 200 OK\r\n\r\n");
      await it.repeat(new Uint8Array(65_536));
    },
    fate: "delivered",
    body: EMPTY,
  },
  {
    what: "chunks without an end",
    answer: async (it) => {
      await it.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      await it.repeat("1\r\nx\r\n".repeat(1_000));
    },
    fate: "delivered",
    body: EMPTY,
  },
  {
    what: "a body of 10 MB",
    answer: async (it) => {
      await it.write("HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n");
      await it.repeat(new Uint8Array(100_000), 100);
      return true;
    },
    fate: "delivered",
    body: EMPTY,
  },
  {
    what: "a chunk of broken length",
    answer: (it) => it.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nok\r\n"),
    fate: "delivered",
    body: EMPTY,
  },
  {
    what: "a chunk of 2^64 bytes",
    answer: (it) =>
      it.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\nok\r\n"),
    fate: "delivered",
    body: EMPTY,
  },
  {
    what: "trailers without an end",
    answer: async (it) => {
      await it.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n");
      await it.repeat("X-Trailer: x\r\n".repeat(1_000));
    },
    fate: "delivered",
    body: EMPTY,
  },
  {
    what: "no length, by HTTP/1.0",
    answer: (it) => it.write("HTTP/1.0 200 OK\r\n\r\nok"),
    fate: "delivered",
    body: "ok",
  },
  {
    what: "an unknown content encoding",
    answer: async (it) => void await it.answer(200, "ok", "Content-Encoding: rot13\r\n"),
    fate: "delivered",
    body: "ok",
  },
  {
    what: "gzip that nobody asked for, handed on as it is",
    answer: (it) => it.answer(200, "\x1f\x8bnot gzip", "Content-Encoding: gzip\r\n"),
    fate: "delivered",
    body: "\x1f\x8bnot gzip".replace("\x8b", "\u008b"),
  },
  {
    what: "status 422 and a broken body",
    answer: (it) => it.write("HTTP/1.1 422 X\r\nContent-Length: 100\r\n\r\nok"),
    fate: "dead",
    status: 422,
    body: EMPTY,
  },
  {
    what: "status 503 and a broken body",
    answer: (it) => it.write("HTTP/1.1 503 X\r\nContent-Length: 100\r\n\r\nok"),
    fate: "retried",
  },
];

/** No status came that could be believed. */
const NO_ANSWERS: readonly Fault[] = [
  { what: "hanging", answer: (it) => it.hungUp(), fate: "retried" },
  { what: "closing without an answer", answer: async () => {}, fate: "retried" },
  { what: "closing its half without an answer", answer: (it) => it.closeWrite(), fate: "retried" },
  { what: "garbage", answer: (it) => it.repeat("\0\xff garbage\r\n", 100), fate: "retried" },
  { what: "endless garbage", answer: (it) => it.repeat("garbage".repeat(1_000)), fate: "retried" },
  {
    what: "a TLS alert",
    answer: (it) => it.write(Uint8Array.of(21, 3, 3, 0, 2, 2, 40)),
    fate: "retried",
  },
  { what: "HTTP/0.9", answer: (it) => it.write("<html>ok</html>"), fate: "retried" },
  {
    what: "HTTP/2 without being asked",
    answer: (it) => it.write("HTTP/2 200\r\n\r\n"),
    fate: "retried",
  },
  { what: "half a status line", answer: (it) => it.write("HTTP/1.1 20"), fate: "retried" },
  {
    what: "half the fields",
    answer: (it) => it.write("HTTP/1.1 200 OK\r\nContent-Le"),
    fate: "retried",
  },
  { what: "status 0", answer: (it) => it.answer("000"), fate: "retried" },
  { what: "status 2", answer: (it) => it.answer("2"), fate: "retried" },
  { what: "status 2e2", answer: (it) => it.answer("2e2"), fate: "retried" },
  { what: "status 20000", answer: (it) => it.answer("20000"), fate: "retried" },
  {
    what: "two Content-Lengths",
    answer: (it) => it.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"),
    fate: "retried",
  },
  {
    what: "a negative Content-Length",
    answer: (it) => it.write("HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok"),
    fate: "retried",
  },
  {
    what: "a Content-Length in words",
    answer: (it) => it.write("HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok"),
    fate: "retried",
  },
  {
    what: "fields without an end",
    answer: async (it) => {
      await it.write("HTTP/1.1 200 OK\r\n");
      await it.repeat(`X-Field: ${"x".repeat(1_000)}\r\n`);
    },
    fate: "retried",
  },
  {
    what: "one field without an end",
    answer: async (it) => {
      await it.write("HTTP/1.1 200 OK\r\nX-Field: ");
      await it.repeat("x".repeat(10_000));
    },
    fate: "retried",
  },
  {
    what: "interim answers without an end",
    answer: (it) => it.repeat("HTTP/1.1 100 Continue\r\n\r\n".repeat(100)),
    fate: "retried",
  },
  {
    what: "fields that drip",
    answer: async (it) => {
      for (const letter of "HTTP/1.1 200 OK\r\nContent-Length: 0") {
        await it.write(letter);
        await it.pause(40);
      }
    },
    fate: "retried",
  },
];

/** Answers as it should; 600 and above count as 5xx (RFC 9110 §15). */
const STATUSES: readonly Fault[] = [
  ...[200, 201, 202, 204, 205, 206, 226, 299].map((status) => ({
    status,
    fate: "delivered" as const,
  })),
  ...[101, 400, 402, 410, 413, 418, 422].map((status) => ({ status, fate: "dead" as const })),
  ...[300, 301, 302, 303, 304, 305, 307, 308].map((status) => ({
    status,
    fate: "retried" as const,
  })),
  ...[401, 403, 404, 409, 408, 425, 429, 500, 501, 502, 503, 504, 599, 600, 999].map((status) => ({
    status,
    fate: "retried" as const,
  })),
].map(({ status, fate }) => ({
  what: `status ${status}`,
  answer: async (it) => {
    await it.answer(status, status === 204 || status === 304 ? "" : "ok");
    return true;
  },
  fate,
  ...(fate !== "retried" && { status }),
}));

for (
  const [title, faults] of [["broken bodies", BROKEN_BODIES], ["no answers", NO_ANSWERS], [
    "statuses",
    STATUSES,
  ]] as const
) {
  Deno.test(`a backend with ${title}`, async (t) => {
    await withRawBackend(async (site, backend) => {
      const ill = await site.device("ill");
      const well = await site.device("well");
      for (const fault of faults) {
        await t.step(
          `${fault.what}: ${fault.fate}`,
          () => assertFate(fault, { site, backend, ill, well }),
        );
      }
      assert.equal(await site.metric("broker_connects_total"), 1);
    });
  });
}

interface Patients {
  readonly site: LiveSite;
  readonly backend: RawBackend;
  readonly ill: DeviceClient;
  readonly well: DeviceClient;
}

async function assertFate(fault: Fault, { site, backend, ill, well }: Patients): Promise<void> {
  const dead = deadLetters(site);
  let faults = 0;
  backend.answer = async (it) => {
    if (it.request.deviceId === "ill" && faults++ === 0) return await fault.answer(it);
    await it.answer(200, "well again");
    return true;
  };
  const { messageId } = await ill.send('{"v":1}');
  await poll("it to arrive", () => faults > 0);
  assert.equal((await well.response((await well.send("2")).messageId)).text, "well again");
  const { status, text } = await ill.response(messageId);
  assert.equal(status, String(fault.status ?? 200));
  if (fault.fate === "retried") assert.equal(text, "well again");
  if (fault.body !== undefined) assert.equal(text, fault.body);
  const tries = backend.requests.filter((request) => request.messageId === messageId);
  assert.equal(tries.length, fault.fate === "retried" ? 2 : 1);
  assert.deepEqual(new Set(tries.map(({ body }) => body)), new Set(['{"v":1}']));
  await poll("it to be settled", () => count(site, "outbox") === 0);
  assert.equal(deadLetters(site) - dead, fault.fate === "dead" ? 1 : 0);
}

function deadLetters(site: LiveSite): number {
  return count(site, "dead_letters");
}

function count(site: LiveSite, table: "outbox" | "dead_letters"): number {
  return site.withStore((store) =>
    store.prepare(`SELECT count(*) AS n FROM ${table}`).get()!["n"]
  ) as number;
}
