import assert from "node:assert/strict";
import type { DeviceClient } from "../../src/client/device_client.ts";
import { poll } from "../../src/time/poll.ts";
import { type LiveSite, type LiveSiteOptions, withLiveSite } from "../support/live_site.ts";
import { type RawAnswer, RawBackend, type RawBackendOptions } from "../support/raw_backend.ts";

/** A live site whose backend speaks HTTP by hand. */
async function withRawBackend(
  work: (site: LiveSite, backend: RawBackend) => Promise<void>,
  options: RawBackendOptions & LiveSiteOptions = {},
): Promise<void> {
  const backend = RawBackend.start(options);
  const settings = { BACKEND_URL: backend.url, BACKEND_TIMEOUT: "1s", ...options.settings };
  try {
    await withLiveSite((site) => work(site, backend), { ...options, settings });
  } finally {
    await backend.stop();
  }
}

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
    what: "status 404 and a broken body",
    answer: (it) => it.write("HTTP/1.1 404 X\r\nContent-Length: 100\r\n\r\nok"),
    fate: "dead",
    status: 404,
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

/** Answers in good order; 600 and above count as 5xx (RFC 9110 §15). */
const STATUSES: readonly Fault[] = [
  ...[200, 201, 202, 204, 205, 206, 226, 299].map((status) => ({
    status,
    fate: "delivered" as const,
  })),
  ...[101, 300, 301, 302, 303, 304, 305, 307, 308].map((status) => ({
    status,
    fate: "dead" as const,
  })),
  ...[400, 401, 403, 404, 409, 413, 418, 422].map((status) => ({ status, fate: "dead" as const })),
  ...[408, 425, 429, 500, 501, 502, 503, 504, 599, 600, 999].map((status) => ({
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

Deno.test("a redirect is never followed, wherever it leads", async () => {
  const elsewhere = RawBackend.start();
  try {
    await withRawBackend(async (site, backend) => {
      const device = await site.device("sensor_001");
      const places = [
        elsewhere.url,
        `//127.0.0.1:${elsewhere.port}/x`,
        `${backend.url}/again`,
        "x",
        "",
      ];
      for (const status of [300, 301, 302, 303, 307, 308]) {
        for (const place of places) {
          backend.answer = async (it) => {
            await it.answer(status, "", `Location: ${place}\r\nRefresh: 0; url=${place}\r\n`);
            return true;
          };
          const { messageId } = await device.send("1");
          assert.equal((await device.response(messageId)).status, String(status));
        }
      }
      assert.equal(backend.requests.length, 6 * places.length);
      assert.equal(elsewhere.connections, 0);
    });
  } finally {
    await elsewhere.stop();
  }
});

/** Where a connection is reset, and what has been said by then. */
const RESETS: readonly [where: string, said: string, fate: "delivered" | "retried"][] = [
  ["before the answer", "", "retried"],
  ["in the status line", "HTTP/1.1 2", "retried"],
  ["in the fields", "HTTP/1.1 200 OK\r\nContent-Length: 1", "retried"],
  ["in the body", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok", "delivered"],
  ["in a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nok", "delivered"],
];

Deno.test("a connection that is reset in the middle", async () => {
  await withRawBackend(async (site, backend) => {
    const device = await site.device("sensor_001");
    for (const [where, said, fate] of RESETS) {
      let tries = 0;
      backend.answer = async (it) => {
        if (tries++ > 0) return void await it.answer(200, "well again", "Connection: close\r\n");
        await it.write(said);
        await it.pause(50); // a reset may overtake what was said
      };
      const { messageId } = await device.send("1.5");
      const { status, text } = await device.response(messageId);
      assert.deepEqual([where, status, text, tries], [
        where,
        "200",
        fate === "retried" ? "well again" : "",
        fate === "retried" ? 2 : 1,
      ]);
    }
  }, { resets: true });
});

/** What the backend says to the first message of each ill device; at least a second. */
const LATER: Readonly<Record<string, () => readonly [status: number, retryAfter: string]>> = {
  ill_1: () => [503, "1"],
  ill_2: () => [429, "1"],
  ill_3: () => [500, new Date(Date.now() + 2_000).toUTCString()],
};

Deno.test("Retry-After is honoured, in seconds and as a date, and holds up no other device", async () => {
  await withRawBackend(async (site, backend) => {
    const well = await site.device("well");
    const ill = await Promise.all(Object.keys(LATER).map((id) => site.device(id)));
    const tried = new Set<string>();
    backend.answer = async (it) => {
      const { deviceId } = it.request;
      const later = tried.has(deviceId) ? undefined : LATER[deviceId];
      tried.add(deviceId);
      const [status, after] = later?.() ?? [200, ""];
      await it.answer(status, "", after && `Retry-After: ${after}\r\n`);
      return true;
    };
    const sent = await Promise.all(ill.map((device) => device.send("1")));
    await poll("the first tries", () => tried.size === ill.length);
    await well.response((await well.send("2")).messageId);
    assert.equal(backend.requests.length, ill.length + 1, "the others do not wait");
    for (const [i, { messageId }] of sent.entries()) {
      await ill[i]!.response(messageId);
      const [first, second] = backend.requests.filter((it) => it.messageId === messageId);
      assert.ok(second!.atMs - first!.atMs >= 990, `${second!.atMs - first!.atMs} ms`);
    }
  });
});

Deno.test("what comes behind an answer is nobody's answer", async () => {
  await withRawBackend(async (site, backend) => {
    const device = await site.device("sensor_001");
    for (let round = 0; round < 20; round++) {
      backend.answer = async (it) => {
        const more = it.request.body === "1"
          ? "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
          : "";
        await it.write(`HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n${it.request.body}${more}`);
        return true;
      };
      const sent = [await device.send("1"), await device.send("2"), await device.send("3")];
      const answers = await Promise.all(sent.map(({ messageId }) => device.response(messageId)));
      assert.deepEqual(answers.map(({ text }) => text), ["1", "2", "3"]);
    }
  });
});

Deno.test("a kept connection that is closed under the next request costs nothing", async () => {
  await withRawBackend(async (site, backend) => {
    const device = await site.device("sensor_001");
    backend.answer = async (it) => void await it.answer(200, it.request.body); // and closes, unsaid
    for (let i = 0; i < 50; i++) {
      const { messageId } = await device.send(String(i));
      assert.equal((await device.response(messageId)).text, String(i));
    }
    const bodies = [...new Set(backend.requests.map(({ body }) => body))];
    assert.deepEqual(bodies, Array.from({ length: 50 }, (_, i) => String(i)));
  });
});
