/** Callbacks and the life of the gateway's process: `kill -9`, and settings that change by SIGHUP. */

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import type { DeviceClient } from "../../../src/client/device_client.ts";
import { GatewayProcess } from "../../../src/demo/sandbox/gateway_process.ts";
import type { Reading } from "../../../src/demo/sandbox/sample_backend.ts";
import { poll } from "../../../src/time/poll.ts";
import { freePorts } from "../../support/free_ports.ts";
import { carriedBy } from "../../support/batch_backend.ts";
import { ask } from "../../support/command_states.ts";
import { reload, rewrite, withLiveProcess } from "../../support/live_process.ts";
import { type LiveSite, withLiveSite } from "../../support/live_site.ts";

const DEVICE_ID = "sensor_001";
const ENVIRONMENT = {
  SECURE_IOT_GATEWAY_BACKEND_RETRY_FIRST: "20ms",
  SECURE_IOT_GATEWAY_BACKEND_RETRY_LONGEST: "100ms",
  SECURE_IOT_GATEWAY_COMMANDS_CALLBACK: "/told/{message_id}",
};

/** What comes of one command and the reading behind it: so many requests. */
const REQUESTS = 4;
const RANDOM_DEATHS = 4;
const RANDOM_DEATH_MAX_MS = 60;
/** How often the backend answers 500 while deaths are at random. */
const BUSY_CHANCE = 0.3;

const isCallback = ({ path }: Pick<Reading, "path">) =>
  !path.startsWith("/device/") && path !== "/batch";

/** A callback by its key, a reading by its payload. */
function keysOf({ backend }: LiveSite): string[] {
  return backend.received.flatMap((one) =>
    isCallback(one)
      ? [one.messageId]
      : carriedBy(one).map(({ body }) => new TextDecoder().decode(body))
  );
}

async function settled(site: LiveSite, keys: readonly string[]): Promise<void> {
  await poll("all of it", () => {
    const come = new Set(keysOf(site));
    return keys.every((key) => come.has(key));
  }, { timeoutMs: 30_000 });
  await poll("an empty outbox", async () => await site.metric("pending") === 0);
}

/** A command that is acknowledged, and a reading; returns the keys that must come of them. */
async function commandAndReading(
  { site, device, asked }: { site: LiveSite; device: DeviceClient; asked: () => void },
): Promise<string[]> {
  const messageId = await ask(site, DEVICE_ID);
  asked();
  const reading = JSON.stringify(messageId);
  await device.command();
  await device.acknowledge(messageId, { state: "received" });
  await device.acknowledge(messageId, { state: "done" });
  await device.send(reading);
  return [...["sent", "received", "done"].map((state) => `${messageId}-${state}`), reading];
}

for (const batchMax of ["1", "100"]) {
  Deno.test(`after kill -9 no callback is missing, out of order or changed; batches of ${batchMax}`, async () => {
    const environment = { ...ENVIRONMENT, SECURE_IOT_GATEWAY_BACKEND_BATCH_MAX: batchMax };
    await withLiveSite(async (site) => {
      const start = () => GatewayProcess.start(site.layout.directory, { environment });
      const expected: string[] = [];
      let gateway = await start();
      try {
        const device = await site.device(DEVICE_ID);
        for (let death = 1; death <= REQUESTS + RANDOM_DEATHS; death++) {
          const victim = gateway;
          const { promise: mayDie, resolve: asked } = Promise.withResolvers<void>();
          let left = death <= REQUESTS ? death : Infinity; // at each of the requests, then at random
          site.backend.answer = async () => {
            if (--left === 0) await mayDie.then(() => victim.kill("SIGKILL"));
            const isBusy = death > REQUESTS && Math.random() < BUSY_CHANCE;
            return isBusy ? new Response(null, { status: 500 }) : new Response("{}");
          };
          const keys = await commandAndReading({ site, device, asked });
          expected.push(...keys);
          if (death > REQUESTS) {
            await pause(Math.random() * RANDOM_DEATH_MAX_MS);
            victim.kill("SIGKILL");
          }
          await victim.exited;
          gateway = await start();
          await settled(site, keys);
        }
        const come = keysOf(site);
        assert.deepEqual([...new Set(come)], expected, "in the order of their first arrival");
        assert.ok(come.length >= expected.length + REQUESTS, "what was under way came again");
        const callbacks = site.backend.received.filter(isCallback);
        const different = new Set(callbacks.map(({ messageId, text }) => messageId + text));
        const keys = expected.filter((key) => !key.startsWith('"'));
        assert.equal(different.size, keys.length, "repetitions have the same bytes");
        await gateway.stop();
      } finally {
        gateway.kill("SIGKILL");
        await gateway.exited;
      }
    }, { start: false });
  });
}

Deno.test("a new path is used from the reload on; without one, what waits is dropped and counted", async () => {
  await withLiveProcess(async (site, gateway) => {
    const device = await site.device(DEVICE_ID);
    let taken = "/other/";
    site.backend.answer = ({ path }) =>
      new Response(null, {
        status: path.startsWith("/device/") || path.startsWith(taken) ? 200 : 503,
      });
    const paths = () => site.backend.received.filter(isCallback).map(({ path }) => path);
    let before = '# callback = ""';
    const change = async (path: string) => {
      const line = `callback = "${path}"`;
      await rewrite(site.layout, before, line);
      before = line;
      return await reload(gateway);
    };

    assert.equal((await change("/told/{device_id}")).message, "Reloaded: commands.callback");
    const first = await ask(site, DEVICE_ID);
    await poll("its first try", () => paths().length > 0);
    assert.equal(paths()[0], `/told/${DEVICE_ID}`);
    const wrong = await change("told/{device}");
    assert.equal(wrong.event, "reload_failed");
    assert.match(wrong.message, /line \d+: commands\.callback: must begin with \//);

    assert.equal((await change("/other/{message_id}?of={device_id}")).event, "reloaded");
    await poll("it to go there", () => paths().at(-1)?.startsWith("/other/"));
    assert.equal(paths().at(-1), `/other/${first}?of=${DEVICE_ID}`);

    taken = "/nowhere/";
    const second = await ask(site, DEVICE_ID);
    await device.acknowledge(second, { state: "done" });
    await device.send('"behind"');
    await poll("all to wait", async () => await site.metric("pending") === 3);
    assert.equal((await change("")).event, "reloaded");
    await poll("the reading", () => keysOf(site).includes('"behind"'));
    await poll("an empty outbox", async () => await site.metric("pending") === 0);
    const dropped = gateway.lines().filter(({ event }) => event === "callbacks_dropped");
    assert.deepEqual(dropped.map(({ count, level }) => [count, level]), [[2, "warning"]]);
    assert.equal(await site.metric("callbacks_dropped_total"), 2);
  });
});

Deno.test("callbacks are still told if the settings that switch them off do not work", async () => {
  await withLiveProcess(async (site, gateway) => {
    let status = 503;
    site.backend.answer = (reading) =>
      new Response(null, { status: isCallback(reading) ? status : 200 });
    await rewrite(site.layout, '# callback = ""', 'callback = "/told"');
    assert.equal((await reload(gateway)).event, "reloaded");
    await site.device(DEVICE_ID);
    const messageId = await ask(site, DEVICE_ID);
    await poll("it to wait", async () => await site.metric("pending") === 1);
    await rewrite(site.layout, 'callback = "/told"', 'callback = ""');
    const [free] = freePorts(1);
    await rewrite(site.layout, `port = ${site.config.broker.port}`, `port = ${free}`);
    assert.equal((await reload(gateway)).event, "reload_failed");
    status = 200;
    await poll("it to be taken", async () => await site.metric("callbacks_delivered_total") === 1);
    assert.ok(keysOf(site).at(-1)!.startsWith(messageId));
  });
});
