import assert from "node:assert/strict";
import { accessTo, type ApiRequestRow, ask, CHUNKED } from "../support/api_request.ts";
import { withLiveSite } from "../support/live_site.ts";

const PATHS: readonly ApiRequestRow[] = [
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
  ["a whole address", { path: "https://localhost/command/sensor_001" }, 202],
  ["an asterisk", { method: "OPTIONS", path: "*" }, 404, "not-found"],
];

const FIELDS: readonly ApiRequestRow[] = [
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
  ["PUT", { method: "PUT" }, 405, "method-not-allowed"],
  ["DELETE", { method: "DELETE" }, 405, "method-not-allowed"],
  ["TRACE", { method: "TRACE" }, 405, "method-not-allowed"],
  ["a method of 10 kB", { method: "X".repeat(10_000) }, 405, "method-not-allowed"],
  ["a method in small letters", { method: "post" }, 405, "method-not-allowed"],
  ["a method with a colon", { method: "GE:T" }, 400],
  ["HTTP/3", { version: "HTTP/3.0" }, 400],
  ["no version", { version: "" }, 400],
  ["HTTP/1.0", { version: "HTTP/1.0" }, 202],
];

const BODIES: readonly ApiRequestRow[] = [
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
  ["a body that does not belong there", { method: "GET", path: "/readyz" }, 200],
];

const ASKED = { method: "GET", host: "", version: "HTTP/1.0" } as const;

const HOSTS: readonly ApiRequestRow[] = [
  ["none", { host: "" }, 400, "bad-host"],
  ["none, in HTTP/1.0", { host: "", version: "HTTP/1.0" }, 400, "bad-host"],
  ["none, in a balancer's question", { ...ASKED, path: "/readyz" }, 200],
  ["none, in its other one", { ...ASKED, path: "/healthz" }, 200],
  ["none, and a question beside them", { ...ASKED, path: "/x?/readyz" }, 400, "bad-host"],
  ["an empty one", { host: "Host:\r\n" }, 400, "bad-host"],
  ["half an IPv6 address", { host: "Host: [::1\r\n" }, 400, "bad-host"],
  ["two ports", { host: "Host: a:1:2\r\n" }, 400, "bad-host"],
  ["a user", { host: "Host: user@localhost\r\n" }, 400, "bad-host"],
  ["another in the address", { path: "https://evil.example/healthz" }, 400, "bad-host"],
  ["half an IPv6 address there", { path: "http://[::1/healthz" }, 400, "bad-host"],
  ["a user there", { path: "https://user@localhost/healthz" }, 400, "bad-host"],
  ["a tunnel", { method: "CONNECT", path: "localhost:443" }, 400, "bad-host"],
  ["an IPv6 address", { host: "Host: [::1]:8443\r\n" }, 202],
  ["a name and a port", { host: "Host: my_gateway.local:8443\r\n" }, 202],
];

const SUBJECTS = [["paths", PATHS], ["fields", FIELDS], ["hosts", HOSTS], [
  "bodies",
  BODIES,
]] as const;

for (const [subject, rows] of SUBJECTS) {
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
      assert.equal(await site.metric('commands_accepted_total{delivery="no_subscriber"}'), sent);
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
