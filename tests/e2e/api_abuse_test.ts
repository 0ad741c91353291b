import assert from "node:assert/strict";
import { type ApiHandler, createRoutes } from "../../src/gateway/api/routes.ts";
import { BearerAuth } from "../../src/gateway/api/bearer_auth.ts";
import { apiKeyDigest } from "../../src/config/credentials.ts";
import type { GatewayProcess } from "../../src/demo/sandbox/gateway_process.ts";
import { poll } from "../../src/time/poll.ts";
import { usageOf } from "../support/process_usage.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";
import { withOutsideGateway } from "../support/outside_gateway.ts";
import { RawClient } from "../support/raw_client.ts";

const SECOND_MS = 1_000;
/** How long each flood goes on. */
const FLOOD_MS = 400;
const MIB = 1024 * 1024;

/** The way to a site's API, as a backend has it. */
interface Access {
  readonly port: number;
  readonly ca: string;
  readonly key: string;
}

function accessTo(site: LiveSite): Access {
  return {
    port: site.config.api.port,
    ca: Deno.readTextFileSync(site.layout.gatewayCa.certificate),
    key: Deno.readTextFileSync(site.layout.apiKey).trim(),
  };
}

/** Parts of a request for a command; whatever is not given is as it should be. */
interface Request {
  readonly method?: string;
  readonly path?: string;
  readonly version?: string;
  readonly host?: string;
  /** The Authorization fields, whole lines; KEY stands for the key. */
  readonly authorization?: string;
  readonly type?: string;
  readonly more?: string;
  /** The Content-Length; the body's own where not given. */
  readonly length?: string;
  readonly body?: string;
}

function textOf(request: Request, key: string): string {
  const { method = "POST", path = "/command/sensor_001", version = "HTTP/1.1", body = "1" } =
    request;
  const { host = "Host: localhost\r\n", authorization = "Authorization: Bearer KEY\r\n" } = request;
  const { type = "Content-Type: application/json\r\n", more = "" } = request;
  const { length = `Content-Length: ${new TextEncoder().encode(body).length}\r\n` } = request;
  const fields = host + authorization.replaceAll("KEY", key) + type + more + length;
  return `${method} ${path} ${version}\r\n${fields}\r\n${body}`;
}

/** Asks once on a connection of its own. */
async function ask(request: Request, access: Access): Promise<{ status: number; problem: string }> {
  const client = await RawClient.open(access);
  await client.write(textOf(request, access.key));
  const status = await client.status();
  const problem = () => /urn:secure-iot-gateway:problem:([a-z-]+)/.exec(client.received)?.[1];
  const speaks = client.received.includes("application/problem+json");
  if (speaks) await poll("the problem", () => problem() ?? client.ended);
  await client.close();
  return { status, problem: problem() ?? "" };
}

/** A request, and the status and problem that it must get; 0 where the connection just ends. */
type Row = readonly [what: string, request: Request, status: number, problem?: string];

const CHUNKED = "Transfer-Encoding: chunked\r\n";

const PATHS: readonly Row[] = [
  ["an id in escapes is the id", { path: "/command/%73ensor%5F001" }, 202],
  ["escapes in escapes are not", { path: "/command/%2573ensor_001" }, 404, "unknown-device"],
  ["a query is left out", { path: "/command/sensor_001?device=other" }, 202],
  ["an escaped slash", { path: "/command/x%2Fsensor_001" }, 404, "unknown-device"],
  ["an escaped NUL", { path: "/command/sensor_001%00" }, 404, "unknown-device"],
  ["a raw NUL", { path: "/command/sensor_001\0" }, 400],
  ["a raw space", { path: "/command/sensor 001" }, 400],
  ["dots", { path: "/command/../command/sensor_001" }, 404, "not-found"],
  ["escaped dots", { path: "/command/%2e%2e/command/sensor_001" }, 404, "not-found"],
  ["escaped dots and slashes", { path: "/command/%2e%2e%2fmetrics" }, 404, "unknown-device"],
  ["one dot", { path: "/command/." }, 404, "unknown-device"],
  ["two slashes in front", { path: "//command/sensor_001" }, 404, "not-found"],
  ["two slashes inside", { path: "/command//sensor_001" }, 404, "not-found"],
  ["a slash behind", { path: "/command/sensor_001/" }, 404, "not-found"],
  ["a backslash", { path: "/command\\sensor_001" }, 404, "not-found"],
  ["half an escape", { path: "/command/%e0%a4%a" }, 404, "unknown-device"],
  ["an overlong escape", { path: "/command/%C0%AE" }, 404, "unknown-device"],
  ["no UTF-8 in it", { path: "/command/s\u00e9nsor" }, 404, "unknown-device"],
  ["another's case", { path: "/command/SENSOR_001" }, 404, "unknown-device"],
  ["capitals", { path: "/COMMAND/sensor_001" }, 404, "not-found"],
  ["nothing", { path: "/command/" }, 404, "not-found"],
  ["a wildcard", { path: "/command/+" }, 404, "unknown-device"],
  ["65 characters", { path: `/command/${"x".repeat(65)}` }, 404, "unknown-device"],
  ["100 kB", { path: `/command/${"x".repeat(100_000)}` }, 400],
  ["a whole address", { path: "https://evil.example/command/sensor_001" }, 202],
  ["an asterisk", { method: "OPTIONS", path: "*" }, 404, "not-found"],
];

const FIELDS: readonly Row[] = [
  ["no key", { authorization: "" }, 401, "unauthorized"],
  [
    "the key twice",
    { authorization: "Authorization: Bearer KEY\r\n".repeat(2) },
    401,
    "unauthorized",
  ],
  [
    "a wrong key and the right one",
    { authorization: "Authorization: Bearer x\r\nAuthorization: Bearer KEY\r\n" },
    401,
    "unauthorized",
  ],
  ["another scheme", { authorization: "Authorization: Basic KEY\r\n" }, 401, "unauthorized"],
  ["the key without a scheme", { authorization: "Authorization: KEY\r\n" }, 401, "unauthorized"],
  [
    "the key behind a tab",
    { authorization: "Authorization: Bearer\tKEY\r\n" },
    401,
    "unauthorized",
  ],
  ["a folded key", { authorization: "Authorization: Bearer\r\n KEY\r\n" }, 400],
  ["a space before the colon", { authorization: "Authorization : Bearer KEY\r\n" }, 400],
  ["the key in a cookie", { authorization: "Cookie: api_key=KEY\r\n" }, 401, "unauthorized"],
  ["a key of 100 kB", { authorization: `Authorization: Bearer ${"x".repeat(100_000)}\r\n` }, 400],
  ["the scheme in any case", { authorization: "authorization: bearer KEY\r\n" }, 202],
  ["no type", { type: "" }, 415, "not-application-json"],
  [
    "two types",
    { type: "Content-Type: application/json\r\n".repeat(2) },
    415,
    "not-application-json",
  ],
  ["a type like it", { type: "Content-Type: application/jsonp\r\n" }, 415, "not-application-json"],
  ["one field of 1 MB", { more: `X: ${"x".repeat(1_000_000)}\r\n` }, 400],
  ["1,000 fields", { more: "X: x\r\n".repeat(1_000) }, 400],
  ["two hosts", { more: "Host: other\r\n" }, 400],
  ["GET", { method: "GET" }, 405, "method-not-allowed"],
  ["DELETE", { method: "DELETE" }, 405, "method-not-allowed"],
  ["TRACE", { method: "TRACE" }, 405, "method-not-allowed"],
  ["a method of 10 kB", { method: "X".repeat(10_000) }, 405, "method-not-allowed"],
  ["a method in small letters", { method: "post" }, 405, "method-not-allowed"],
  ["a method with a colon", { method: "GE:T" }, 400],
  ["HTTP/3", { version: "HTTP/3.0" }, 400],
  ["no version", { version: "" }, 400],
  ["HTTP/1.0", { version: "HTTP/1.0" }, 202],
];

const BODIES: readonly Row[] = [
  ["nothing", { body: "" }, 400, "not-json"],
  ["10,000 arrays in each other", { body: "[".repeat(10_000) }, 400, "not-json"],
  ["10,000 closed ones", { body: "[".repeat(10_000) + "]".repeat(10_000) }, 400, "not-json"],
  ["65 of them", { body: "[".repeat(65) + "]".repeat(65) }, 400, "not-json"],
  ["64 of them", { body: "[".repeat(64) + "]".repeat(64) }, 202],
  ["a number of 60,000 digits", { body: "9".repeat(60_000) }, 202],
  ["an exponent of nine digits", { body: "1e999999999" }, 202],
  ["65,536 bytes", { body: `"${"x".repeat(65_534)}"` }, 202],
  ["65,537 bytes", { body: `"${"x".repeat(65_535)}"` }, 413, "too-large"],
  ["two values", { body: "1 2" }, 400, "not-json"],
  ["a byte order mark", { body: "\ufeff1" }, 400, "not-json"],
  ["a length below it", { length: "Content-Length: 1\r\n", body: "1 2 3" }, 202],
  ["a negative length", { length: "Content-Length: -1\r\n" }, 400],
  ["a length with a sign", { length: "Content-Length: +1\r\n" }, 400],
  ["a length in hex", { length: "Content-Length: 0x1\r\n" }, 400],
  ["two lengths", { length: "Content-Length: 1\r\nContent-Length: 2\r\n" }, 400],
  ["a length of 2^53 + 1", { length: "Content-Length: 9007199254740993\r\n" }, 413, "too-large"],
  ["a length of 24 digits", { length: `Content-Length: ${"9".repeat(24)}\r\n` }, 400],
  ["a length and chunks", { more: CHUNKED, body: "1\r\n1\r\n0\r\n\r\n" }, 400],
  ["chunks", { length: CHUNKED, body: "1\r\n1\r\n0\r\n\r\n" }, 202],
  ["chunks of no length", { length: CHUNKED, body: "zz\r\n1\r\n0\r\n\r\n" }, 0],
  ["a chunk of 2^68 bytes", { length: CHUNKED, body: `${"f".repeat(17)}\r\n1\r\n0\r\n\r\n` }, 0],
  ["another transfer coding", { length: "Transfer-Encoding: xchunked\r\n", body: "1" }, 400],
  ["a body where none belongs", { method: "GET", path: "/readyz" }, 200],
];

for (const [subject, rows] of [["paths", PATHS], ["fields", FIELDS], ["bodies", BODIES]] as const) {
  Deno.test(`the API refuses odd ${subject} with the status that says why`, async (t) => {
    await withLiveSite(async (site) => {
      await site.register("sensor_001");
      const access = accessTo(site);
      for (const [what, request, status, problem = ""] of rows) {
        await t.step(`${what}: ${status} ${problem}`, async () => {
          assert.deepEqual(await ask(request, access), { status, problem });
        });
      }
      const sent = rows.filter(([, , status]) => status === 202).length;
      assert.equal(await site.metric("commands_sent_total"), sent);
      assert.equal((await ask({}, access)).status, 202, "an honest command gets through");
      assert.deepEqual(site.log.filter(({ level }) => level === "error"), []);
    });
  });
}

Deno.test("a Host that is none does not choose the path", async () => {
  await withLiveSite(async (site) => {
    const access = accessTo(site);
    for (const host of ["x/healthz?", "x/healthz#", "x/readyz/", "://", "x y", "x@y", ""]) {
      const { status } = await ask({
        method: "GET",
        path: "/metrics",
        host: `Host: ${host}\r\n`,
        authorization: "",
      }, access);
      assert.ok([400, 401].includes(status), `${host}: ${status}`);
    }
  });
});

/** Every key that is nearly the key. */
function* nearKeys(key: string): Iterable<string> {
  for (let i = 0; i < key.length; i++) {
    const letter = key[i]!;
    const other = letter === "A" ? "B" : "A";
    const flipped = letter === letter.toUpperCase() ? letter.toLowerCase() : letter.toUpperCase();
    yield key.slice(0, i) + other + key.slice(i + 1);
    yield key.slice(0, i) + key.slice(i + 1);
    yield key.slice(0, i) + other + key.slice(i);
    if (flipped !== letter) yield key.slice(0, i) + flipped + key.slice(i + 1);
  }
  for (const length of [1, 20, 22, 42, 44, 86, 1_000]) yield key.repeat(24).slice(0, length);
  yield* [`${key}\u00a0`, `${key}=`, `"${key}"`, `${key},`, key + key, [...key].reverse().join("")];
}

Deno.test("no key but the key opens the API, be it one character off", async () => {
  await withLiveSite(async (site) => {
    const { key } = accessTo(site);
    await site.register("sensor_001");
    const command = { method: "POST", body: "1" };
    let refused = 0;
    for (const near of nearKeys(key)) {
      const headers = { authorization: `Bearer ${near}` };
      const { status } = await site.api("/command/sensor_001", { ...command, headers });
      assert.equal(status, refused++ < 10 ? 401 : 429, near);
    }
    assert.ok(refused > 150);
    assert.equal(await site.metric("commands_sent_total"), 0);
    assert.equal((await site.api("/command/sensor_001", command)).status, 202);
  });
});

/** Medians of the time that each kind of request takes, taken in turns, so that noise hits all alike. */
async function medianTimes(
  api: ApiHandler,
  kinds: readonly string[],
  rounds: number,
): Promise<number[]> {
  const times = kinds.map((): number[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, authorization] of kinds.entries()) {
      const headers = authorization === "" ? undefined : { authorization };
      const request = new Request("https://gateway/command/sensor_001", {
        method: "POST",
        ...(headers && { headers }),
      });
      const startMs = performance.now();
      const { status } = await api(request, `192.0.2.${round}.${i}`); // nobody sends too many
      times[i]!.push(performance.now() - startMs);
      assert.equal(status, 401);
    }
  }
  return times.map(median);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

Deno.test("a missing, a short and a nearly right key take the same time to refuse", async () => {
  const key = "x".repeat(43);
  const keys = [{ name: "a", digest: apiKeyDigest(key), createdAt: 0, deviceIds: undefined }];
  const clock = { wallMs: () => 0, monotonicMs: () => 0 };
  const never = () => Promise.reject(new Error("nobody has the key"));
  const api = createRoutes({
    auth: new BearerAuth(() => Promise.resolve(keys), clock),
    unreadiness: () => [],
    metrics: { text: never, contentType: "" },
    commands: { send: never },
    bodyTimeoutMs: 1_000,
    emit: () => {},
  });
  const wrong = [`y${key.slice(1)}`, `${key.slice(1)}y`, "x", key + key];
  const kinds = ["", ...wrong.map((key) => `Bearer ${key}`)];
  await medianTimes(api, kinds, 500); // warms up
  let times: number[] = [];
  for (let attempt = 0; attempt < 5; attempt++) { // another process may be in the way
    times = await medianTimes(api, kinds, 2_000);
    if (Math.max(...times) < 1.5 * Math.min(...times)) return;
  }
  assert.fail(`ms: ${times.join(" ")}`);
});

/** Requests that never end, and the status with which the gateway ends them. */
const DRIPPING: readonly Row[] = [
  ["a length above the body", { length: "Content-Length: 100\r\n" }, 408, "timeout"],
  ["a chunk that does not come", { length: CHUNKED, body: "5\r\n1" }, 408, "timeout"],
  ["chunks without an end", { length: CHUNKED, body: "1\r\n1\r\n" }, 408, "timeout"],
];

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
    assert.equal(await site.metric("commands_sent_total"), 0);
    assert.equal((await ask({}, access)).status, 202);
  }, { bodyTimeoutMs: 300 });
});

Deno.test("a body of 1 GB is refused at once, and takes no memory", async () => {
  await withOutsideGateway(async (site, gateway) => {
    const access = accessTo(site);
    await site.register("sensor_001");
    assert.equal((await ask({}, access)).status, 202);
    const before = await rssBytes(gateway);
    const chunk = `10000\r\n${"x".repeat(65_536)}\r\n`;
    for (const length of ["Content-Length: 1073741824\r\n", CHUNKED]) {
      const client = await RawClient.open(access);
      const startMs = performance.now();
      await client.write(textOf({ length, body: "" }, access.key));
      let answeredMs = Infinity;
      for (let sent = 0; sent < 1024 * MIB && !client.ended; sent += chunk.length) {
        await client.write(chunk);
        if (client.received !== "") answeredMs = Math.min(answeredMs, performance.now() - startMs);
      }
      assert.equal(await client.status(), 413);
      assert.ok(answeredMs < SECOND_MS, `${answeredMs} ms`);
      await client.close();
      assert.ok(await rssBytes(gateway) - before < 50 * MIB);
    }
    assert.equal((await ask({}, access)).status, 202);
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

/** What a client can flood an HTTP/2 connection with; each writes one portion, ever anew. */
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
