import assert from "node:assert/strict";
import { poll } from "../../src/time/poll.ts";
import { RawBackend } from "../support/raw_backend.ts";
import { withRawBackend } from "../support/raw_backend_site.ts";

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
          let tries = 0;
          backend.answer = async (it) => {
            if (tries++ > 0) await it.answer(200, "");
            else await it.answer(status, "", `Location: ${place}\r\nRefresh: 0; url=${place}\r\n`);
            return true;
          };
          const { messageId } = await device.send("1");
          assert.equal((await device.response(messageId)).status, "200", "it waited");
        }
      }
      assert.equal(backend.requests.length, 2 * 6 * places.length);
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
