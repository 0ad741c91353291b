import assert from "node:assert/strict";
import { ApiClient } from "../../../src/client/api_client.ts";
import { readConfig } from "../../../src/config/config.ts";
import { GATEWAY_CHECK } from "../../../src/doctor/gateway_checks.ts";
import { siteLayout } from "../../../src/site/layout.ts";
import { quietPorts, shell } from "../../support/shell.ts";
import { withFolder } from "../../support/with_folder.ts";

/** What is sent at most: a reader without a bound is told that it is at the end, then. */
const SENT_MAX_BYTES = 256 * 1_048_576;

Deno.test("a server with the gateway's certificate that answers without end is not read without end", async (t) => {
  await withFolder(async (folder) => {
    const layout = siteLayout(`${folder}/site`);
    const { directory, apiKey } = layout;
    assert.equal((await shell(["init", "--dir", directory, ...quietPorts()])).code, 0);
    const toml = Deno.readTextFileSync(layout.configuration);
    const read = readConfig(toml, { environment: {}, directory });
    assert.ok(read.ok);
    const { port } = read.config.api;
    const { broker, gatewayCa } = layout;
    await using server = new EndlessServer(port, {
      cert: Deno.readTextFileSync(broker.certificate),
      key: Deno.readTextFileSync(broker.key),
    });

    await t.step("ApiClient", async () => {
      const api = await ApiClient.open({ port, apiKey, authority: gatewayCa.certificate });
      await assert.rejects(() => api.get("/metrics"), /the answer has over 16777216 bytes/);
      api.close();
    });
    await t.step("doctor", async () => {
      const site = { layout, config: read.config, nowMs: Date.now() };
      await assert.rejects(
        () => Promise.resolve(GATEWAY_CHECK.look(site)),
        /the answer has over 65536 bytes/,
      );
    });
    await t.step("a command", async () => {
      const { code, stderr } = await shell(["command", "sensor_001", "1", "--dir", directory]);
      assert.equal(code, 1, stderr);
      assert.match(stderr, /^error: .*the answer has over 16777216 bytes$/m);
    });
    assert.equal(server.finished, 0);
  });
});

/** Answers every request with an endless text. */
class EndlessServer implements AsyncDisposable {
  readonly #server: Deno.HttpServer;
  /** How many have read everything that is sent. */
  finished = 0;

  constructor(port: number, pair: { readonly cert: string; readonly key: string }) {
    const options = { hostname: "127.0.0.1", port, ...pair, onListen: () => {} };
    this.#server = Deno.serve(options, () => {
      let sent = 0;
      const chunk = new Uint8Array(65_536).fill(0x20);
      const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
        pull: (controller) => {
          controller.enqueue(chunk.slice());
          sent += chunk.length;
          if (sent < SENT_MAX_BYTES) return;
          this.finished++;
          controller.close();
        },
      });
      return new Response(body, { status: 500 });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}
