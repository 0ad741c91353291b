import assert from "node:assert/strict";
import type { GatewayProcess } from "../../src/demo/sandbox/gateway_process.ts";
import { poll } from "../../src/time/poll.ts";
import { median } from "../bench/statistics.ts";
import { accessTo, type ApiRequestRow, ask, CHUNKED, textOf } from "../support/api_request.ts";
import { withLiveSite } from "../support/live_site.ts";
import { withOutsideGateway } from "../support/outside_gateway.ts";
import { usageOf } from "../support/process_usage.ts";
import { RawClient } from "../support/raw_client.ts";

const SECOND_MS = 1_000;
/** How long each flood goes on. */
const FLOOD_MS = 400;
const MIB = 1024 * 1024;

/** Requests that never end, and the status with which the gateway ends them. */
const DRIPPING: readonly ApiRequestRow[] = [
  ["a length above the body", { length: "Content-Length: 100\r\n" }, 408, "timeout"],
  ["a chunk that does not come", { length: CHUNKED, body: "5\r\n1" }, 408, "timeout"],
  ["chunks without an end", { length: CHUNKED, body: "1\r\n1\r\n" }, 408, "timeout"],
];

/** A chunk of 64 KiB. */
const MUCH = `10000\r\n${"x".repeat(65_536)}\r\n`;

/** Sends portions for so long, or until the connection ends. */
async function flood(client: RawClient, portion: string, ms: number): Promise<void> {
  const endMs = performance.now() + ms;
  const late = new Promise<void>((resolve) => setTimeout(resolve, ms));
  while (performance.now() < endMs && !client.ended) {
    await Promise.race([client.write(portion), late]);
  }
  await late;
}

/** A program of its own, so that it does not slow down the test: says when the first answer comes. */
const PIPELINING = `
  const [port, ca] = Deno.args;
  const requests = new TextEncoder().encode("GET /x HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n".repeat(500));
  const options = { hostname: "localhost", port: Number(port), caCerts: [Deno.readTextFileSync(ca)] };
  for (let i = 0; i < 4; i++) {
    const connection = await Deno.connectTls(options);
    (async () => { while (true) await connection.write(requests); })();
    (async () => {
      for (const buffer = new Uint8Array(65536); await connection.read(buffer) !== null;) console.log("x");
    })();
  }
`;

async function rssBytes(gateway: GatewayProcess): Promise<number> {
  return (await usageOf(gateway)).residentBytes;
}

// Deno never ends the reading of a body that was answered before its end: its own leak.
const NO_OPS = { sanitizeOps: false };

Deno.test("a body that drips, or stops, is cut off with 408 after its time", NO_OPS, async () => {
  await withLiveSite(async (site) => {
    const access = accessTo(site);
    await site.register("sensor_001");
    const outcomes = await Promise.all(DRIPPING.map(async ([, request]) => {
      const client = await RawClient.open(access);
      await client.write(textOf(request, access.key));
      const drip = setInterval(
        () => client.write(request.length === CHUNKED ? "1\r\n1\r\n" : "1"),
        50,
      );
      const status = await client.status();
      clearInterval(drip);
      await client.close();
      return status;
    }));
    assert.deepEqual(outcomes, DRIPPING.map(([, , status]) => status));
    assert.equal(await site.metric('commands_accepted_total{delivery="queued"}'), 0);
    assert.equal((await ask({}, access)).status, 202);
  }, { bodyTimeoutMs: 300 });
});

Deno.test("a body of 1 GB is refused at once, and takes no memory", NO_OPS, async () => {
  await withOutsideGateway(async (site, gateway) => {
    const access = accessTo(site);
    await site.register("sensor_001");
    assert.equal((await ask({}, access)).status, 202);
    const before = await rssBytes(gateway);
    for (const length of ["Content-Length: 1073741824\r\n", CHUNKED]) {
      const client = await RawClient.open(access);
      const startMs = performance.now();
      await client.write(textOf({ length, body: "" }, access.key));
      const flooding = flood(client, MUCH, 2_000);
      assert.equal(await client.status(), 413);
      const answeredMs = performance.now() - startMs;
      assert.ok(answeredMs < SECOND_MS, `${answeredMs} ms`);
      await flooding;
      await client.close();
      assert.ok(await rssBytes(gateway) - before < 24 * MIB);
    }
    assert.equal((await ask({}, access)).status, 202);
  });
});

/** Lengths of bodies about which the gateway's buffer grows, and more. */
const CUT_LENGTHS = [1, 4080, 4095, 4096, 4097, 4112, 4113, 8192, 8209, 16_000, 32_000, 65_536];

Deno.test("bodies in chunks of one byte arrive whole, and cost little more than their bytes", async () => {
  await withOutsideGateway(async (site, gateway) => {
    const access = accessTo(site);
    const device = await site.device("sensor_001");
    assert.equal((await ask({}, access)).status, 202);
    await device.command();
    const before = await rssBytes(gateway);
    let most = 0;
    const look = setInterval(async () => most = Math.max(most, await rssBytes(gateway)), 50);
    const send = async (length: number): Promise<number> => {
      const client = await RawClient.open(access);
      await client.write(textOf({ length: CHUNKED, body: "" }, access.key));
      for (let sent = 0; sent < length; sent += 1024) {
        await client.write("1\r\n1\r\n".repeat(Math.min(1024, length - sent)));
      }
      await client.write("0\r\n\r\n");
      const status = await client.status({ timeoutMs: 60_000 });
      await client.close();
      return status;
    };
    const statuses = await Promise.all(CUT_LENGTHS.map(send));
    assert.deepEqual(statuses, CUT_LENGTHS.map(() => 202));
    clearInterval(look);
    await poll("the last look", () => most > 0);
    const arrived: number[] = [];
    for (const _ of CUT_LENGTHS) arrived.push((await device.command()).payload.length);
    assert.deepEqual(arrived.sort((a, b) => a - b), CUT_LENGTHS);
    assert.ok(most - before < 64 * MIB, `${before} to ${most} bytes`);
    assert.equal(await send(65_537), 413);
  });
});

Deno.test("a flood of tiny chunks holds up nobody", NO_OPS, async () => {
  await withOutsideGateway(async (site, gateway) => {
    const access = accessTo(site);
    const device = await site.device("sensor_001");
    const client = await RawClient.open(access);
    await client.write(textOf({ length: CHUNKED, body: "" }, access.key));
    const flooding = flood(client, "1\r\n1\r\n".repeat(2_000), 3_000);
    const times: number[] = [];
    for (let i = 0; i < 10; i++) {
      const startMs = performance.now();
      await device.response((await device.send(`${i}`)).messageId);
      assert.equal((await site.api("/readyz")).status, 200);
      times.push(performance.now() - startMs);
    }
    await flooding;
    assert.equal(await client.status(), 413);
    await client.close();
    assert.ok(Math.max(...times) < 5 * SECOND_MS, `${times.join(" ")} ms`);
    assert.doesNotMatch(gateway.log(), /worker_died/);
  });
});

Deno.test(
  "requests sent one behind the other, without a key or a wait, hold up nobody",
  NO_OPS,
  async () => {
    await withOutsideGateway(async (site) => {
      const { port } = accessTo(site);
      const device = await site.device("sensor_001");
      const args = [
        "eval",
        "--no-lock",
        PIPELINING,
        String(port),
        site.layout.gatewayCa.certificate,
      ];
      const flooder = new Deno.Command(Deno.execPath(), { args, stdout: "piped" }).spawn();
      const output = flooder.stdout.getReader();
      await output.read();
      const times: number[] = [];
      for (let i = 0; i < 10; i++) {
        const startMs = performance.now();
        await device.response((await device.send(`${i}`)).messageId);
        assert.equal((await site.api("/readyz")).status, 200);
        times.push(performance.now() - startMs);
      }
      flooder.kill("SIGKILL");
      await flooder.status;
      await output.cancel();
      assert.ok(median(times) < SECOND_MS, `${times.join(" ")} ms`);
    });
  },
);

Deno.test("a body without an end takes no memory while its answer is held", NO_OPS, async () => {
  await withOutsideGateway(async (site, gateway) => {
    const access = accessTo(site);
    await site.api("/readyz");
    const before = await rssBytes(gateway);
    const client = await RawClient.open(access);
    const stream = { method: "GET", path: "/ui/api/events", length: CHUNKED, body: "" };
    await client.write(textOf(stream, access.key));
    await flood(client, MUCH, 3_000);
    assert.ok(await rssBytes(gateway) - before < 24 * MIB);
    assert.equal(await client.status(), 200);
    await client.close();
  });
});

Deno.test("sockets that send nothing, no handshake, or half a request, slow nobody down", async () => {
  await withOutsideGateway(async (site, gateway) => {
    const access = accessTo(site);
    const device = await site.device("sensor_001");
    const before = await rssBytes(gateway);
    const clients = await Promise.all(Array.from({ length: 400 }, () => RawClient.open(access)));
    const plain = await Promise.all(Array.from({ length: 100 }, () => Deno.connect(access)));
    try {
      const whole = textOf({}, access.key);
      for (const [i, client] of clients.slice(200).entries()) {
        await client.write(whole.slice(0, 1 + i % (whole.length - 1)));
      }
      const times: number[] = [];
      for (let i = 0; i < 50; i++) {
        const startMs = performance.now();
        const response = i % 2 === 0
          ? await site.api("/readyz")
          : await site.api("/command/sensor_001", { method: "POST", body: "1" });
        times.push(performance.now() - startMs);
        assert.equal(response.status, i % 2 === 0 ? 200 : 202);
      }
      assert.ok(median(times) < 250, `${times.join(" ")} ms`);
      await device.response((await device.send("1")).messageId);
      assert.ok(await rssBytes(gateway) - before < 100 * MIB);
    } finally {
      for (const client of clients) await client.close();
      for (const socket of plain) socket.close();
    }
    assert.equal((await ask({}, access)).status, 202);
  });
});

Deno.test("more sockets than the system grants cost the gateway nothing but the API meanwhile", async () => {
  await withOutsideGateway(async (site, gateway) => {
    const access = accessTo(site);
    const device = await site.device("sensor_001");
    await device.response((await device.send("1")).messageId);
    const limit = ["--pid", String(gateway.pid), "--nofile=300:300"];
    assert.ok((await new Deno.Command("prlimit", { args: limit }).output()).success);
    const sockets: Deno.Conn[] = [];
    for (let i = 0; i < 400; i++) {
      await Deno.connect({ hostname: "127.0.0.1", port: access.port }).then(
        (socket) => sockets.push(socket),
        () => {},
      );
    }
    let ended = false;
    gateway.exited.then(() => ended = true);
    await new Promise((resolve) => setTimeout(resolve, SECOND_MS)); // the system grants no more
    for (const socket of sockets) socket.close();
    assert.equal(ended, false, gateway.log());
    await device.response((await device.send("2")).messageId);
    await poll("the API to be back", async () => (await ask({}, access)).status === 202);
  });
});

const FRAME = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, continuation: 9 } as const;

/** An HTTP/2 frame (RFC 9113 §4.1). */
function frame(type: number, stream: number, payload: Uint8Array, flags = 0): Uint8Array {
  const bytes = new Uint8Array(9 + payload.length);
  new DataView(bytes.buffer).setUint32(0, payload.length << 8 | type);
  bytes[4] = flags;
  new DataView(bytes.buffer).setUint32(5, stream);
  bytes.set(payload, 9);
  return bytes;
}

/** GET /readyz, without END_HEADERS: all from HPACK's static table but the path and authority. */
const REQUEST_FIELDS = Uint8Array.of(
  0x82,
  0x87,
  0x04,
  7,
  ...new TextEncoder().encode("/readyz"),
  0x41,
  1,
  0x78,
);

/** What a client can flood an HTTP/2 connection with; each writes one portion, again and again. */
const FLOODS: Readonly<Record<string, (turn: number) => Uint8Array[]>> = {
  "fields without an end": (turn) =>
    turn === 0
      ? [frame(FRAME.headers, 1, REQUEST_FIELDS)]
      : [frame(FRAME.continuation, 1, new Uint8Array(16_000).fill(0x82))],
  "pings": () => Array.from({ length: 500 }, () => frame(FRAME.ping, 0, new Uint8Array(8))),
  "settings": () => Array.from({ length: 500 }, () => frame(FRAME.settings, 0, new Uint8Array())),
  "requests taken back": (turn) =>
    Array.from({ length: 100 }, (_, i) => 2 * (100 * turn + i) + 1).flatMap((stream) => [
      frame(FRAME.headers, stream, REQUEST_FIELDS, 5),
      frame(FRAME.reset, stream, Uint8Array.of(0, 0, 0, 8)),
    ]),
  "bodies that never end": (turn) => [frame(FRAME.headers, 2 * turn + 1, REQUEST_FIELDS, 4)],
  "empty data": (turn) =>
    turn === 0
      ? [frame(FRAME.headers, 1, REQUEST_FIELDS, 4)]
      : Array.from({ length: 500 }, () => frame(FRAME.data, 1, new Uint8Array())),
};

Deno.test("floods of HTTP/2 frames slow nobody down, and take no memory", async () => {
  await withOutsideGateway(async (site, gateway) => {
    const access = accessTo(site);
    await site.api("/readyz");
    const before = await rssBytes(gateway);
    for (const [what, portion] of Object.entries(FLOODS)) {
      const client = await RawClient.open({ ...access, protocol: "h2" });
      await client.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
      await client.write(frame(FRAME.settings, 0, new Uint8Array()));
      const times: number[] = [];
      const endMs = performance.now() + FLOOD_MS;
      let turn = 0;
      for (; performance.now() < endMs && !client.ended; turn++) {
        for (const bytes of portion(turn)) await client.write(bytes);
        if (turn % 20 !== 0) continue;
        const startMs = performance.now();
        assert.equal((await site.api("/readyz")).status, 200);
        times.push(performance.now() - startMs);
      }
      assert.ok(median(times) < 250, `${what}: ${times.join(" ")} ms`);
      assert.ok(await rssBytes(gateway) - before < 50 * MIB, what);
      await client.close();
    }
  });
});

Deno.test("500 commands at once on one HTTP/2 connection are all taken", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    const statuses = await Promise.all(
      Array.from(
        { length: 500 },
        (_, i) =>
          site.api("/command/sensor_001", { method: "POST", body: String(i) }).then(({ status }) =>
            status
          ),
      ),
    );
    assert.deepEqual(new Set(statuses), new Set([202]));
    await poll("all commands", () => device.commandsWaiting === 500);
  });
});
