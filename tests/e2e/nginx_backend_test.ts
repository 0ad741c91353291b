/** nginx in front of a backend: what its users meet first. */

import assert from "node:assert/strict";
import { poll } from "../../src/time/poll.ts";
import {
  type ForeignBackend,
  waitsBecause,
  withForeignBackend,
} from "../support/foreign_backend.ts";
import type { LiveSite } from "../support/live_site.ts";
import { HAS_NGINX, loggedRequests, nginxCommand } from "../support/nginx.ts";

const SKIPPED = { ignore: !HAS_NGINX };
const OF_GATEWAY_CA = { BACKEND_CA: "certs/gateway-ca.crt" };
const PAIR = { BACKEND_CERTIFICATE: "certs/gateway.crt", BACKEND_KEY: "certs/gateway.key" };

/** Starts nginx at the backend's port with these lines in its server. */
async function startNginx(
  { site, backend, tls = false }: { site: LiveSite; backend: ForeignBackend; tls?: boolean },
  ...lines: readonly string[]
): Promise<void> {
  const { directory, broker } = site.layout;
  const certificate = [
    `ssl_certificate ${broker.certificate};`,
    `ssl_certificate_key ${broker.key};`,
  ];
  const server = [
    `listen 127.0.0.1:${backend.port}${tls ? " ssl" : ""};`,
    ...(tls ? certificate : []),
    ...lines,
  ];
  await backend.start(await nginxCommand(directory, server.join("\n")));
}

const passOn = (site: LiveSite) => `location / { proxy_pass ${site.backend.url}; }`;

Deno.test(
  "behind nginx with a base path and Basic, three requests a connection, all arrive once",
  SKIPPED,
  async () => {
    await withForeignBackend(async (site, backend) => {
      const { directory } = site.layout;
      await Deno.writeTextFile(`${directory}/users`, "gateway:{PLAIN}t0p\n");
      const token = `Authorization: Basic ${btoa("gateway:t0p")}\n`;
      await Deno.writeTextFile(`${directory}/backend.headers`, token, { mode: 0o600 });
      await startNginx(
        { site, backend },
        "keepalive_requests 3;",
        "chunked_transfer_encoding off;",
        `location /iot/v1/ {`,
        `  auth_basic backend; auth_basic_user_file ${directory}/users;`,
        `  proxy_pass ${site.backend.url}/; # in HTTP/1.0, as nginx does it`,
        "}",
      );
      await site.startGateway();
      const [plain, endless] = [await site.device("plain"), await site.device("endless")];
      const streamed = (text: string) => new Blob([text]).stream();
      site.backend.answer = ({ deviceId, text }) =>
        new Response(deviceId === "plain" ? text : streamed(text));
      for (let i = 0; i < 7; i++) {
        const { messageId } = await plain.send(`{"t":${i}.50}`);
        assert.equal((await plain.response(messageId)).text, `{"t":${i}.50}`);
      }
      const { messageId } = await endless.send("1"); // its answer ends where the connection does
      assert.equal((await endless.response(messageId)).text, "1");
      assert.equal(site.backend.received.length, 8);
      assert.equal(site.backend.received[0]!.path, "/device/plain/data");
      const logged = await loggedRequests(directory, 8);
      assert.deepEqual(logged.map(({ status }) => status), Array(8).fill(200));
      assert.equal(Math.max(...logged.map(({ requests }) => requests)), 3);
    }, {
      base: "/iot/v1/",
      settings: { BACKEND_HEADERS_FILE: "backend.headers" },
      start: false,
    });
  },
);

Deno.test(
  "where nginx redirects, readings wait, /readyz says where to, and all are delivered later",
  SKIPPED,
  async () => {
    await withForeignBackend(async (site, backend) => {
      const { port } = backend;
      const device = await site.device("sensor_001");
      const path = "/device/sensor_001/data";
      const rows = [
        [
          false,
          "return 301 https://$host$request_uri?key=1;",
          `301, Location "https://127.0.0.1${path}"`,
        ],
        [false, "return 308 $uri/;", `308, Location "http://127.0.0.1:${port}${path}/"`],
        // Its HTTPS port answers 400 to plain HTTP, which is final, unless it is told otherwise.
        [
          true,
          "error_page 497 =301 https://$host:$server_port$request_uri;",
          `301, Location "https://127.0.0.1:${port}${path}"`,
        ],
      ] as const;
      await startNginx({ site, backend }, rows[0][1]);
      const sent = [await device.send("1"), await device.send("2")];
      for (const [tls, line, said] of rows) {
        await startNginx({ site, backend, tls }, line);
        await waitsBecause(site, new RegExp(RegExp.escape(`the backend answers ${said}: check`)));
      }
      await startNginx({ site, backend }, passOn(site));
      for (const { messageId } of sent) await device.response(messageId);
      const arrived = site.backend.received.map(({ messageId }) => messageId);
      assert.deepEqual(arrived, sent.map(({ messageId }) => messageId));
    });
  },
);

Deno.test("the gateway shows its certificate to nginx that asks for one", SKIPPED, async () => {
  await withForeignBackend(async (site, backend) => {
    await startNginx(
      { site, backend, tls: true },
      `ssl_client_certificate ${site.layout.gatewayCa.certificate};`,
      "ssl_verify_client on;",
      `location / { return 200 '{"subject":"$ssl_client_s_dn"}'; }`,
    );
    const device = await site.device("sensor_001");
    const { text } = await device.response((await device.send("1")).messageId);
    assert.equal(text, '{"subject":"CN=gateway"}');
  }, { origin: "https://localhost", settings: { ...OF_GATEWAY_CA, ...PAIR } });
});

Deno.test(
  "without a certificate nginx says 400, which is final; with 403 readings wait",
  SKIPPED,
  async () => {
    await withForeignBackend(async (site, backend) => {
      const asks = [
        `ssl_client_certificate ${site.layout.gatewayCa.certificate};`,
        "ssl_verify_client on;",
      ];
      await startNginx({ site, backend, tls: true }, ...asks, passOn(site));
      const device = await site.device("sensor_001");
      const lost = await device.response((await device.send("1")).messageId);
      assert.equal(lost.status, "400");
      await poll("the dead letter", async () => await site.metric("dead_letters") === 1);
      const told = ["error_page 495 496 = @unknown;", "location @unknown { return 403; }"];
      await startNginx({ site, backend, tls: true }, ...asks, ...told, passOn(site));
      const { messageId } = await device.send("2");
      await waitsBecause(site, /the backend answers 403: check/);
      await startNginx({ site, backend, tls: true }, passOn(site));
      assert.equal((await device.response(messageId)).status, "200");
    }, { origin: "https://localhost", settings: OF_GATEWAY_CA });
  },
);

Deno.test(
  "nginx that leaves bodies unread gets each reading once, on one connection",
  SKIPPED,
  async () => {
    await withForeignBackend(async (site, backend) => {
      await startNginx({ site, backend }, "return 200 taken;");
      const device = await site.device("sensor_001");
      for (let i = 0; i < 10; i++) {
        const { messageId } = await device.send(`"${"x".repeat(60_000)}"`);
        assert.equal((await device.response(messageId)).text, "taken");
      }
      const logged = await loggedRequests(site.layout.directory, 10);
      assert.equal(logged.length, 10);
      assert.equal(new Set(logged.map(({ connection }) => connection)).size, 1);
    });
  },
);

/** Devices at once, readings of each, and how long nginx keeps an idle connection, milliseconds. */
const RACE = { devices: 4, readings: 30, keptMs: 20 };

Deno.test(
  "nginx that closes connections just when readings come gets each of them, in order",
  SKIPPED,
  async () => {
    await withForeignBackend(async (site, backend) => {
      const { devices, readings, keptMs } = RACE;
      await startNginx({ site, backend }, `keepalive_timeout ${keptMs}ms;`, passOn(site));
      await Promise.all(Array.from({ length: devices }, async (_, number) => {
        const device = await site.device(`sensor_${number}`);
        for (let i = 0; i < readings; i++) {
          const { messageId } = await device.send(String(i));
          await device.response(messageId);
          await new Promise((resolve) => setTimeout(resolve, keptMs - 5 + (i + number) % 10));
        }
      }));
      const times = new Map<string, number>();
      for (const { deviceId, text } of site.backend.received) {
        const key = `${deviceId} ${text}`;
        times.set(key, (times.get(key) ?? 0) + 1);
      }
      for (let number = 0; number < devices; number++) {
        const own = [...times.keys()].filter((key) => key.startsWith(`sensor_${number} `));
        assert.deepEqual(own, Array.from({ length: readings }, (_, i) => `sensor_${number} ${i}`));
      }
      assert.ok(Math.max(...times.values()) <= 2, "at most once more");
      const logged = await loggedRequests(site.layout.directory, devices * readings);
      const connections = new Set(logged.map(({ connection }) => connection)).size;
      assert.ok(connections > devices, `nginx has closed some: ${connections} connections`);
    });
  },
);
