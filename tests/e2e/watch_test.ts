/** `watch` beside a running gateway. */

import assert from "node:assert/strict";
import { GatewayProcess, programCommand } from "../../src/demo/sandbox/gateway_process.ts";
import { poll } from "../../src/time/poll.ts";
import { assertJsonForm } from "../support/json_form.ts";
import { shell } from "../support/shell.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";

/** A `watch` that runs: what it has said, and how it ended. */
class Watching {
  stdout = "";
  stderr = "";
  readonly #process: Deno.ChildProcess;
  readonly #reading: Promise<unknown>;

  constructor(site: LiveSite, ...args: string[]) {
    const { path, args: all } = programCommand("watch", ...args, "--dir", site.layout.directory);
    this.#process = new Deno.Command(path, { args: [...all], stdout: "piped", stderr: "piped" })
      .spawn();
    const read = (from: ReadableStream<Uint8Array<ArrayBuffer>>, to: (text: string) => void) =>
      from.pipeThrough(new TextDecoderStream()).pipeTo(new WritableStream({ write: to }));
    this.#reading = Promise.all([
      read(this.#process.stdout, (text) => void (this.stdout += text)),
      read(this.#process.stderr, (text) => void (this.stderr += text)),
    ]);
  }

  async shows(what: RegExp): Promise<void> {
    await poll(`${what}`, () => what.test(this.stdout) || what.test(this.stderr), {
      timeoutMs: 20_000,
    });
  }

  /** Ends it as Ctrl+C does. */
  async end(): Promise<number> {
    this.#process.kill("SIGINT");
    const { code } = await this.#process.status;
    await this.#reading;
    return code;
  }
}

Deno.test("watch shows what is accepted, delivered and refused, with the likely mistake", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    const other = await site.device("sensor_002");
    const watching = new Watching(site, "sensor_001");
    await watching.shows(/watching https:\/\/localhost/);
    await other.send('{"t":1}');
    const { messageId, message } = await device.send('{"secret":"payload-text"}');
    await watching.shows(new RegExp(`accepted  sensor_001 ${messageId}`));
    await watching.shows(new RegExp(`delivered sensor_001 ${messageId}`));
    await device.publish(message.replace(/"timestamp":\d{10}/, `"timestamp":${Date.now()}`));
    await watching.shows(/rejected {2}sensor_001[^]*likely: .*millisecond/i);
    assert.equal(await watching.end(), 0);
    assert.doesNotMatch(watching.stdout, /sensor_002|payload-text/);
    for (const line of watching.stdout.split("\n")) assert.ok(line.length <= 80, line);
  });
});

Deno.test("watch --payloads --json prints each as a line of JSON", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    const watching = new Watching(site, "--payloads", "--json");
    await watching.shows(/watching/);
    const { messageId } = await device.send('{"t":22.0}');
    await device.publish("{");
    await watching.shows(/"rejected"/);
    await watching.shows(/"delivered"/);
    await watching.end();
    const items = watching.stdout.trim().split("\n").map((line) => JSON.parse(line));
    for (const item of items) assertJsonForm(item, "watch --json");
    const [first] = items;
    assert.equal(first.kind, "accepted");
    assert.equal(first.message_id, messageId);
    assert.equal(first.payload, '{"t":22.0}');
    assert.equal(items.find(({ kind }) => kind === "rejected").code, "malformed");
  });
});

Deno.test("watch goes on over a restart of the gateway", async () => {
  await withLiveSite(async (site) => {
    const { directory } = site.layout;
    let gateway = await GatewayProcess.start(directory);
    const watching = new Watching(site);
    try {
      await watching.shows(/watching/);
      gateway.kill("SIGKILL");
      await gateway.exited;
      await watching.shows(/does not answer/);
      gateway = await GatewayProcess.start(directory);
      await watching.shows(/the gateway is back/);
      const device = await site.device("sensor_001");
      const { messageId } = await device.send('{"t":1}');
      await watching.shows(new RegExp(`delivered sensor_001 ${messageId}`));
      await gateway.stop();
    } finally {
      await watching.end();
      gateway.kill("SIGKILL");
      await gateway.exited;
    }
  }, { start: false });
});

Deno.test("watch misses nothing while the gateway goes on with new sealing keys", async () => {
  await withLiveSite(async (site) => {
    const { directory } = site.layout;
    const gateway = await GatewayProcess.start(directory);
    const watching = new Watching(site);
    try {
      await watching.shows(/watching/);
      const device = await site.device("sensor_001");
      const { messageId: before } = await device.send('{"t":1}');
      await watching.shows(new RegExp(`delivered sensor_001 ${before}`));
      assert.equal((await shell(["secrets", "seal", "--dir", directory])).code, 0);
      await poll("the new keys", () => /store_reopened/.test(gateway.log()));
      const { messageId } = await device.send('{"t":2}');
      await watching.shows(new RegExp(`delivered sensor_001 ${messageId}`));
      const { message } = await device.send('{"t":3}');
      await device.publish(message.replace('{"t":3}', '{"t":4}'));
      await watching.shows(/rejected {2}sensor_001 Invalid signature[^]*likely: /);
      assert.equal(watching.stderr.match(/^note: /gm)!.length, 1, watching.stderr);
      assert.doesNotMatch(gateway.log(), /^ +at /m);
    } finally {
      await watching.end();
      gateway.kill("SIGKILL");
      await gateway.exited;
    }
  }, { start: false });
});

Deno.test("watch says when there is no gateway, and refuses what is no device", async () => {
  await withLiveSite(async (site) => {
    const watching = new Watching(site);
    await watching.shows(/^note: the gateway does not answer: .*refused/im);
    assert.equal(await watching.end(), 0);
    const wrong = new Watching(site, "../x");
    await wrong.shows(/^error: There is no device/m);
  }, { start: false });
});

Deno.test("watch with a key that was removed says where a new one goes", async () => {
  await withLiveSite(async (site) => {
    await Deno.writeTextFile(`${site.layout.directory}/api.key`, "an-old-key");
    const watching = new Watching(site);
    await watching.shows(
      /^error: The gateway answered 401: .*\nhint: Put a key of this site into/m,
    );
  });
});
