import assert from "node:assert/strict";
import { readCredentials } from "../../../src/config/credentials.ts";
import { ApiServer } from "../../../src/gateway/api/server.ts";
import { poll } from "../../../src/time/poll.ts";
import { withLiveSite } from "../../support/live_site.ts";
import { RawClient } from "../../support/raw_client.ts";

/** Longer than any test waits. */
const GRACE_MS = 60_000;
/** The beginning of a TLS record that announces 512 bytes. */
const HALF_HELLO = Uint8Array.of(22, 3, 1, 2, 0, 1, 0);
const REQUEST = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/** What a server is told by its clients. */
interface Clients {
  readonly server: ApiServer;
  /** Lets the server answer what it was asked. */
  answer(): void;
  /** One that has asked. */
  readonly asking: RawClient;
}

/** A server whose clients have sent nothing, the beginning of a handshake or request, or a request. */
async function withClients(work: (clients: Clients) => Promise<void>): Promise<void> {
  await withLiveSite(async (site) => {
    const answered = Promise.withResolvers<void>();
    let asked = 0;
    const server = new ApiServer({ host: "127.0.0.1", port: 0 }, {
      emit: () => {},
      credentials: readCredentials(site.config).api,
      receive: async () => {
        asked++;
        await answered.promise;
        return new Response("late");
      },
      addressOf: () => "192.0.2.1",
    });
    const { port } = server;
    const ca = await Deno.readTextFile(site.layout.gatewayCa.certificate);
    const plain = [await Deno.connect({ port }), await Deno.connect({ port })];
    await plain[1]!.write(HALF_HELLO);
    const [silent, half, asking] = [
      await RawClient.open({ port, ca }),
      await RawClient.open({ port, ca }),
      await RawClient.open({ port, ca }),
    ];
    await half.write(REQUEST.slice(0, 20));
    await asking.write(REQUEST);
    await poll("the request", () => asked === 1);
    try {
      await work({ server, asking, answer: () => answered.resolve() });
    } finally {
      answered.resolve();
      for (const connection of plain) connection.close();
      for (const client of [silent, half, asking]) await client.close();
    }
  }, { start: false });
}

Deno.test("an API server ends when its requests are answered, and waits for nobody else", async () => {
  await withClients(async ({ server, asking, answer }) => {
    let ended = false;
    const shutdown = server.shutdown(GRACE_MS).then(() => ended = true);
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal(ended, false, "a request is not answered yet");
    answer();
    await shutdown;
    assert.equal(await asking.status(), 200);
    await assert.rejects(Deno.connect({ port: server.port }), /refused/);
  });
});

Deno.test("an API server that has waited long enough ends without its clients", async () => {
  await withClients(async ({ server }) => {
    await server.shutdown(200);
    await assert.rejects(Deno.connect({ port: server.port }), /refused/);
  });
});

Deno.test("an API server that is broken off harms nothing around it", async () => {
  await withClients(async ({ server, asking }) => {
    server.abort();
    assert.equal(await asking.status(), 0);
    await assert.rejects(Deno.connect({ port: server.port }), /refused/);
    await server.shutdown(0);
  });
});
