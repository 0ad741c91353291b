import assert from "node:assert/strict";
import { connect } from "node:http2";
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

/** What a client sees that sends its body 100 ms behind its head, under HTTP/2. */
async function slowPost(
  { port, ca, bytes }: { port: number; ca: string; bytes: number },
): Promise<{ status: number; isBrokenOff: boolean }> {
  const session = connect(`https://localhost:${port}`, { ca });
  const head = { ":method": "POST", ":authority": "gateway.example", "content-length": bytes };
  const stream = session.request(head);
  const closed = Promise.withResolvers<void>();
  let [status, isBrokenOff] = [0, false];
  stream.on("response", (head) => status = Number(head[":status"]));
  stream.on("aborted", () => isBrokenOff = true);
  stream.on("error", () => isBrokenOff = true);
  stream.on("close", () => closed.resolve());
  stream.resume();
  await new Promise((resolve) => setTimeout(resolve, 100));
  if (!stream.destroyed) stream.end(new Uint8Array(bytes));
  await closed.promise;
  await new Promise<void>((resolve) => session.close(() => resolve()));
  return { status, isBrokenOff };
}

Deno.test("an answer does not overtake its request: clients would show an error of the stream instead", async () => {
  await withLiveSite(async (site) => {
    const server = new ApiServer({ host: "127.0.0.1", port: 0 }, {
      emit: () => {},
      credentials: readCredentials(site.config).api,
      receive: () => Promise.resolve(new Response(null, { status: 401 })),
      addressOf: () => "192.0.2.1",
    });
    const ca = await Deno.readTextFile(site.layout.gatewayCa.certificate);
    for (const bytes of [2, 70_000]) {
      const seen = await slowPost({ port: server.port, ca, bytes });
      assert.deepEqual(seen, { status: 401, isBrokenOff: false }, `${bytes} bytes`);
    }
    assert.equal((await slowPost({ port: server.port, ca, bytes: 1_000_000 })).status, 401);
    await server.shutdown(0);
  }, { start: false });
});
