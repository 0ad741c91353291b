import assert from "node:assert/strict";
import { once } from "node:events";
import { TcpStream } from "../../../src/gateway/broker/tcp_stream.ts";

const TIMEOUT_MS = 5_000;

/** A stream to a listener that serves one connection with `serve`; both are gone afterwards. */
async function withPeer(
  serve: (connection: Deno.TcpConn) => Promise<void>,
  work: (stream: TcpStream) => Promise<void>,
): Promise<void> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const served = listener.accept().then(serve);
  const stream = new TcpStream({
    host: "localhost",
    port: listener.addr.port,
    timeoutMs: TIMEOUT_MS,
  });
  await work(stream);
  await served;
  stream.destroy();
  if (!stream.closed) await once(stream, "close");
}

/** The bytes of a stream up to its end. */
async function bytesOf(stream: TcpStream): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk as Uint8Array);
  return new Uint8Array(await new Blob(chunks as Uint8Array<ArrayBuffer>[]).arrayBuffer());
}

Deno.test("TcpStream brings what it is given, whole and in order, both ways at once", async () => {
  const sent = crypto.getRandomValues(new Uint8Array(60_000));
  const times = 40; // together more than any buffer on the way holds
  await withPeer(
    (connection) => connection.readable.pipeTo(connection.writable), // an echo
    async (stream) => {
      const received = bytesOf(stream);
      for (let i = 0; i < times; i++) stream.write(sent);
      stream.end();
      const echoed = await received;
      assert.equal(echoed.length, times * sent.length);
      for (let i = 0; i < times; i++) {
        assert.deepEqual(echoed.subarray(i * sent.length, (i + 1) * sent.length), sent);
      }
    },
  );
});

Deno.test("TcpStream keeps what it has read while it reads on", async () => {
  const release = Promise.withResolvers<void>();
  await withPeer(async (connection) => {
    await connection.write(new TextEncoder().encode("first"));
    await release.promise;
    await connection.write(new TextEncoder().encode("again"));
    connection.close();
  }, async (stream) => {
    const [first] = await once(stream, "data");
    release.resolve();
    const [again] = await once(stream, "data");
    assert.deepEqual([String(first), String(again)], ["first", "again"]);
  });
});

Deno.test("TcpStream ends when the other side does", async () => {
  await withPeer((connection) => Promise.resolve(connection.close()), async (stream) => {
    assert.equal((await bytesOf(stream)).length, 0);
    if (!stream.closed) await once(stream, "close");
  });
});

Deno.test("TcpStream says why there is no connection", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const stream = new TcpStream({ host: "127.0.0.1", port, timeoutMs: TIMEOUT_MS });
  const [error] = await once(stream, "error");
  assert.match(String(error), /refused/i);
});

Deno.test("TcpStream that is given up before it is connected leaves nothing open", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const stream = new TcpStream({ host: "127.0.0.1", port, timeoutMs: TIMEOUT_MS });
  stream.destroy();
  await once(stream, "close"); // the test runner counts what is open
  (await listener.accept()).close();
});

Deno.test("TcpStream gives up on a host that does not answer, when its time is over", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 1 });
  const address = { host: "127.0.0.1", port: listener.addr.port, timeoutMs: 300 };
  const streams = Array.from({ length: 8 }, () => new TcpStream(address)); // nobody accepts
  const closed = streams.map((stream) =>
    new Promise<void>((resolve) => stream.on("close", resolve))
  );
  const failed = Promise.withResolvers<Error>();
  for (const stream of streams) stream.on("error", failed.resolve);
  assert.match(String(await failed.promise), /timed out/);
  for (const stream of streams) stream.destroy();
  await Promise.all(closed);
});
