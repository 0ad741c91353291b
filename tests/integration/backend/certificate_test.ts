/** A backend's certificate that TLS refuses is explained in words of the operator's. */

import assert from "node:assert/strict";
import { keyPairFault } from "../../../src/config/credentials.ts";
import { SYSTEM_CLOCK } from "../../../src/time/clock.ts";
import { HttpBackend } from "../../../src/gateway/backend/http_backend.ts";
import { withFolder } from "../../support/with_folder.ts";

const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
const NAME = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];

async function openssl(...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("openssl", { args }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
}

/** What comes of one delivery to a server with a certificate that is its own authority. */
async function deliverTo(certificate: string, key: string) {
  const server = Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    cert: await Deno.readTextFile(certificate),
    key: await Deno.readTextFile(key),
    onListen: () => {},
  }, () => new Response("taken"));
  const backend = new HttpBackend({
    url: `https://localhost:${server.addr.port}`,
    path: "/",
    callbackPath: undefined,
    ca: await Deno.readTextFile(certificate),
    fields: [],
    pair: undefined,
    signingKeys: [],
    batch: undefined,
    proxy: undefined,
    hasTraceparent: false,
    timeoutMs: 10_000,
    concurrency: 1,
    toleranceSeconds: 300,
  }, SYSTEM_CLOCK);
  try {
    const entry = {
      sequence: 1,
      deviceId: "sensor_001",
      messageId: "550e8400-e29b-41d4-a716-446655440000",
      timestamp: String(Math.floor(Date.now() / 1000)),
      payload: new TextEncoder().encode("{}"),
      acceptedMs: 0,
    };
    return await backend.deliver(entry, new AbortController().signal);
  } finally {
    backend.close();
    await server.shutdown();
  }
}

Deno.test("a self-signed certificate of a backend works, or the reason says how to make one", async () => {
  await withFolder(async (folder) => {
    const [key, plain, server] = ["key", "plain.crt", "server.crt"].map((name) =>
      `${folder}/${name}`
    );
    await openssl("req", "-x509", ...KEY, "-keyout", key!, "-out", plain!, ...NAME);
    const refused = await deliverTo(plain!, key!);
    assert.ok(refused.kind === "no_answer");
    assert.match(refused.reason, /one of an authority \(CA:TRUE.*make another: openssl req -x509/);
    const leaf = ["-addext", "basicConstraints=critical,CA:FALSE"];
    await openssl("req", "-x509", ...KEY, "-keyout", key!, "-out", server!, ...NAME, ...leaf);
    const taken = await deliverTo(server!, key!);
    assert.equal(taken.kind === "answer" && taken.status, 200);
  });
});

Deno.test("a certificate of version 1 is refused at start, with the command that makes another", async () => {
  await withFolder(async (folder) => {
    const [key, request, certificate] = ["key", "request", "v1.crt"].map((name) =>
      `${folder}/${name}`
    );
    await openssl(
      "req",
      "-new",
      ...KEY,
      "-keyout",
      key!,
      "-out",
      request!,
      "-subj",
      "/CN=localhost",
    );
    await openssl("x509", "-req", "-in", request!, "-signkey", key!, "-out", certificate!);
    assert.match(
      keyPairFault({ certificate: certificate!, key: key! })!,
      /v1\.crt": it is X\.509 version 1, .* make one of version 3: openssl req -x509/,
    );
  });
});
