/** Who the gateway is to its backend: path, token, signature, proxy; certificate: nginx_backend_test.ts. */

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { poll } from "../../src/time/poll.ts";
import { reload, rewrite, withLiveProcess } from "../support/live_process.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";
import { withOutsideGateway } from "../support/outside_gateway.ts";

const TOKEN = "Bearer t0p-s3cr3t";
const KEY = new Uint8Array(32).fill(7);

/** Any of both, and of the beginning of the key. */
const SECRETS = /s3cr3t|whsec|BwcHBw/;

async function writeSecrets(site: LiveSite): Promise<void> {
  await writePrivate(site, "backend.headers", `Authorization: ${TOKEN}\n`);
  await writePrivate(site, "backend.signing", `whsec_${KEY.toBase64()}\n`);
}

async function writePrivate(site: LiveSite, name: string, text: string): Promise<void> {
  await Deno.writeTextFile(`${site.layout.directory}/${name}`, text, { mode: 0o600 });
}

Deno.test("a reading goes to the path with its query, token and signature, and no secret shows", async () => {
  const settings = {
    BACKEND_PATH: "/in/{device_id}?m={message_id}",
    BACKEND_HEADERS_FILE: "backend.headers",
    BACKEND_SIGNING_KEY_FILE: "backend.signing",
    BACKEND_RETRY_STATUSES: "503",
  };
  await withLiveSite(async (site) => {
    await writeSecrets(site);
    await site.startGateway();
    const device = await site.device("line.1");
    let refused = false;
    site.backend.answer = () => new Response("no", { status: refused ? 401 : 200 });
    const { messageId } = await device.send('{"t":22.50}');
    await device.response(messageId);
    const [reading] = site.backend.received;
    assert.equal(reading!.path, `/in/line.1?m=${messageId}`);
    assert.equal(reading!.headers.get("authorization"), TOKEN);
    const id = `line%2E1:${messageId}`;
    assert.equal(reading!.headers.get("webhook-id"), id);
    const signed = `${id}.${reading!.headers.get("webhook-timestamp")}.${reading!.text}`;
    const signature = createHmac("sha256", KEY).update(signed).digest("base64");
    assert.equal(reading!.headers.get("webhook-signature"), `v1,${signature}`);

    refused = true;
    await device.response((await device.send("2")).messageId);
    const places = [
      JSON.stringify(site.log),
      await (await site.api("/metrics")).text(),
      JSON.stringify(site.withStore((store) => store.prepare("SELECT * FROM dead_letters").all())),
    ];
    for (const place of places) assert.doesNotMatch(place, SECRETS);
  }, { settings, start: false });
});

Deno.test("a token is renewed by SIGHUP without losing a message; a bad file is refused by name", async () => {
  await withLiveProcess(async (site, gateway) => {
    const device = await site.device("sensor_001");
    const token = (value: string) => writePrivate(site, "backend.headers", `X-Key: ${value}\n`);
    await token("one");
    await rewrite(site.layout, '# headers_file = ""', 'headers_file = "backend.headers"');
    assert.equal((await reload(gateway)).event, "reloaded");
    let valid = "one";
    site.backend.answer = ({ headers }) =>
      new Response("ok", { status: headers.get("x-key") === valid ? 200 : 401 });
    await device.response((await device.send("1")).messageId);
    valid = "two";
    const waiting = (await device.send("2")).messageId;
    await poll("a refusal", () => site.backend.received.length >= 3);
    await token("two");
    assert.equal((await reload(gateway)).event, "reloaded");
    await device.response(waiting);

    for (
      const [text, mode, reason] of [
        ["Host: s3cr3t\n", 0o600, /backend\.headers": line 1: Host is set by the gateway/],
        ["X-Key: s3cr3t\n", 0o640, /backend\.headers": other users may read it; type chmod 600/],
      ] as const
    ) {
      await writePrivate(site, "backend.headers", text);
      await Deno.chmod(`${site.layout.directory}/backend.headers`, mode);
      const { event, message } = await reload(gateway);
      assert.equal(event, "reload_failed");
      assert.match(String(message), reason);
      assert.doesNotMatch(String(message), /s3cr3t/);
    }
    await device.response((await device.send("3")).messageId);
  });
});

Deno.test("with a proxy, everything goes through it, single and in batches; ps shows no secret", async () => {
  for (const [batchMax, path] of [["1", "/device/sensor_001/data"], ["9", "/batch"]] as const) {
    const targets: string[] = [];
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const proxying = (async () => {
      for await (const client of listener) relay(client, targets).catch(() => {});
    })();
    // A process of its own, since only that has the permissions of a gateway.
    await withOutsideGateway(async (site, gateway) => {
      const device = await site.device("sensor_001");
      site.backend.answer = () => new Response("no", { status: 422 });
      await device.response((await device.send("1")).messageId);
      assert.deepEqual(targets, [`POST ${site.backend.url}${path} HTTP/1.1`]);
      assert.equal(site.backend.received[0]!.headers.get("authorization"), TOKEN);
      const pids = `/proc/${gateway.pid}/cmdline /proc/${gateway.pid}/environ`;
      const { stdout } = await new Deno.Command("sh", { args: ["-c", `ps -ef; cat ${pids}`] })
        .output();
      assert.ok(new TextDecoder().decode(stdout).includes(site.layout.directory));
      assert.doesNotMatch(new TextDecoder().decode(stdout), SECRETS);
      assert.doesNotMatch(gateway.log(), SECRETS);
    }, {
      BACKEND_PROXY: `http://127.0.0.1:${listener.addr.port}`,
      BACKEND_BATCH_MAX: batchMax,
      BACKEND_HEADERS_FILE: "backend.headers",
      BACKEND_SIGNING_KEY_FILE: "backend.signing",
    }, (site) => writeSecrets(site));
    listener.close();
    await proxying.catch(() => {});
  }
});

/** A forward proxy for one connection: backends take the absolute form (RFC 9112 §3.2.2). */
async function relay(client: Deno.Conn, targets: string[]): Promise<void> {
  const buffer = new Uint8Array(65_536);
  const length = await client.read(buffer) ?? 0;
  const head = buffer.subarray(0, length);
  const [line = ""] = new TextDecoder().decode(head).split("\r\n");
  targets.push(line);
  const { hostname, port } = new URL(line.split(" ")[1]!);
  const backend = await Deno.connect({ hostname, port: Number(port) });
  await backend.write(head);
  await Promise.allSettled([
    client.readable.pipeTo(backend.writable),
    backend.readable.pipeTo(client.writable),
  ]);
}
