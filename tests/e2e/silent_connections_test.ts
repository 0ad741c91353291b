import assert from "node:assert/strict";
import { withLiveSite } from "../support/live_site.ts";

const SILENT = 200;
const READY_MAX_MS = 5_000;

Deno.test("200 connections that say nothing do not keep a restarting gateway from its broker", async () => {
  await withLiveSite(async (site) => {
    await site.stopGateway();
    const { host, port } = site.config.broker;
    const silent: Deno.TcpConn[] = [];
    try {
      for (let i = 0; i < SILENT; i++) silent.push(await Deno.connect({ hostname: host, port }));
      const startMs = performance.now();
      await site.startGateway();
      assert.ok(performance.now() - startMs < READY_MAX_MS);
    } finally {
      for (const connection of silent) connection.close();
    }
  });
});
