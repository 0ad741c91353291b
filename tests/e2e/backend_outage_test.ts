import assert from "node:assert/strict";
import type { DeviceClient } from "../../src/client/device_client.ts";
import type { GatewayProcess } from "../../src/demo/sandbox/gateway_process.ts";
import { poll } from "../../src/time/poll.ts";
import { Outbox } from "../../src/store/sqlite/outbox.ts";
import { usageOf } from "../support/process_usage.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";
import { withOutsideGateway } from "../support/outside_gateway.ts";
import { RawBackend, type RawExchange } from "../support/raw_backend.ts";

/** A gateway in a process of its own, in front of a raw backend. */
interface Outside {
  readonly site: LiveSite;
  readonly backend: RawBackend;
  readonly gateway: GatewayProcess;
}

async function withRawBackend(
  work: (outside: Outside) => Promise<void>,
  settings: Readonly<Record<string, string>> = {},
): Promise<void> {
  const backend = RawBackend.start();
  try {
    await withOutsideGateway((site, gateway) => work({ site, backend, gateway }), {
      BACKEND_URL: backend.url,
      ...settings,
    });
  } finally {
    await backend.stop();
  }
}

/** Puts entries of many devices into the outbox, as an earlier run would have left them. */
function fillOutbox(site: LiveSite, { devices, each }: { devices: number; each: number }): void {
  site.withStore((store) => {
    const outbox = new Outbox(store);
    store.transaction(() => {
      for (let i = 0; i < devices * each; i++) {
        outbox.append({
          deviceId: `waiting_${i % devices}`,
          messageId: crypto.randomUUID(),
          timestamp: String(Math.floor(Date.now() / 1000)),
          acceptedMs: Date.now(),
          payload: new TextEncoder().encode(String(i)),
        });
      }
    });
  });
}

/** How long a device waits for the answer to one reading. */
async function latencyMs(device: DeviceClient): Promise<number> {
  const startMs = performance.now();
  const { messageId } = await device.send("1");
  await device.response(messageId, { timeoutMs: 30_000 });
  return performance.now() - startMs;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

const SECOND_MS = 1_000;
const MIB = 1024 * 1024;

/** CPU time of the gateway over a while, as a share of one processor. */
async function cpuShare(gateway: GatewayProcess, whileMs: number): Promise<number> {
  const before = await usageOf(gateway);
  const startMs = performance.now();
  await new Promise((resolve) => setTimeout(resolve, whileMs));
  const after = await usageOf(gateway);
  return (after.cpuMs - before.cpuMs) / (performance.now() - startMs);
}

/** 100 devices wait for a backend that is not there, or hangs up. */
async function assertCheap(isThere: boolean): Promise<void> {
  await withRawBackend(async ({ site, backend, gateway }) => {
    backend.answer = async () => {};
    if (!isThere) await backend.stop();
    fillOutbox(site, { devices: 100, each: 5 });
    await poll("it to count as gone", () => gateway.log().includes("backend_unreachable"));
    const before = await site.metric("retried_total");
    const share = await cpuShare(gateway, 2 * SECOND_MS);
    const tries = await site.metric("retried_total") - before;
    assert.ok(tries <= 100 * 4, `${tries} tries`);
    assert.ok(share < 0.25, `${share * 100} % of a processor`);
    assert.equal(await site.metric("pending"), 500);
  });
}

/** The backend needs longer than one and a half keepalives. */
async function assertKeptAlive(): Promise<void> {
  await withRawBackend(async ({ site, backend }) => {
    const device = await site.device("sensor_001");
    backend.answer = async (it) => {
      await it.pause(8 * SECOND_MS);
      await it.answer(200, "at last");
      return true;
    };
    const { messageId } = await device.send("1");
    const { text } = await device.response(messageId, { timeoutMs: 30 * SECOND_MS });
    assert.equal(text, "at last");
    assert.equal(await site.metric("broker_connects_total"), 1);
    assert.equal(await site.metric("retried_total"), 0);
  }, { BROKER_KEEPALIVE: "5s", BACKEND_TIMEOUT: "30s" });
}

Deno.test("a dead backend costs next to nothing, and a slow one not the connection to the broker", async () => {
  await Promise.all([assertCheap(false), assertCheap(true), assertKeptAlive()]);
});

Deno.test("answers without an end take no memory, however many come at once", async () => {
  await withRawBackend(async ({ site, backend, gateway }) => {
    const zeros = new Uint8Array(65_536);
    const floods = [
      "HTTP/1.1 200 OK\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n",
      "HTTP/1.1 503 X\r\nContent-Length: 1000000000\r\n\r\n",
      "HTTP/1.1 200 OK\r\nX-Field: ",
    ];
    let next = 0;
    backend.answer = async (it) => {
      await it.write(floods[next++ % floods.length]!);
      await it.repeat(zeros);
    };
    const before = (await usageOf(gateway)).residentBytes;
    let most = 0;
    fillOutbox(site, { devices: 64, each: 20 });
    const endMs = performance.now() + 2 * SECOND_MS;
    while (performance.now() < endMs || backend.requests.length <= 100) {
      most = Math.max(most, (await usageOf(gateway)).residentBytes);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.ok(most - before < 200 * MIB, `${(most - before) / MIB} MiB more`);
  }, { BACKEND_TIMEOUT: "1s", BACKEND_RETRY_FIRST: "20ms", BACKEND_RETRY_LONGEST: "100ms" });
});

/** A site whose backend hangs on, or hangs up on, every message of some devices. */
async function withIllDevices(
  options: { count: number; hangs: boolean; settings: Readonly<Record<string, string>> },
  work: (site: LiveSite, backend: RawBackend) => Promise<void>,
): Promise<void> {
  const backend = RawBackend.start({
    answer: async (it) => {
      const ill = it.request.deviceId.startsWith("waiting_");
      if (ill) return options.hangs ? await it.hungUp() : undefined;
      await it.answer(200, "ok");
      return true;
    },
  });
  try {
    await withLiveSite(async (site) => {
      fillOutbox(site, { devices: options.count, each: 2 });
      await work(site, backend);
    }, { settings: { BACKEND_URL: backend.url, ...options.settings } });
  } finally {
    await backend.stop();
  }
}

/** A time-out short enough for a test, and long enough to be told from a message that does not wait. */
const HANGING = {
  BACKEND_TIMEOUT: "800ms",
  BACKEND_RETRY_FIRST: "50ms",
  BACKEND_RETRY_LONGEST: "200ms",
};

/** What a message of another device waits, while the backend hangs on those of `count` devices. */
async function waitBesideHanging(count: number): Promise<number> {
  const waits: number[] = [];
  await withIllDevices({ count, hangs: true, settings: HANGING }, async (site, backend) => {
    const well = await site.device("well");
    // Until all have failed once, they cannot be told from a backend that hangs as a whole.
    await poll("each to be tried again", () => {
      const tries = Map.groupBy(backend.requests, ({ deviceId }) => deviceId);
      return tries.size === count && [...tries.values()].every(({ length }) => length > 1);
    }, { timeoutMs: 60 * SECOND_MS });
    for (let i = 0; i < 5; i++) {
      await poll("an ill one's turn", () => backend.underWay > 0);
      waits.push(await latencyMs(well));
    }
  });
  return median(waits);
}

Deno.test("messages of one device, or of five, on which the backend hangs do not stop another device", async () => {
  const waits = await Promise.all([waitBesideHanging(1), waitBesideHanging(5)]);
  assert.ok(Math.max(...waits) < 400, `ms: ${waits.join(" ")}`);
});

Deno.test("devices on whose messages the backend hangs up wait as they should, while others are served", async () => {
  const settings = { BACKEND_RETRY_FIRST: "200ms", BACKEND_RETRY_LONGEST: "30s" };
  await withIllDevices({ count: 5, hangs: false, settings }, async (site) => {
    const well = await site.device("well");
    const endMs = performance.now() + 2 * SECOND_MS;
    while (performance.now() < endMs) await latencyMs(well);
    // In two seconds a wait of 200 ms, doubled again and again, leaves time for five tries.
    const tries = await site.metric("retried_total");
    assert.ok(tries <= 5 * 6, `${tries} tries`);
    const gone = site.log.filter(({ event }) => event === "backend_unreachable").length;
    assert.ok(gone <= 2, `said to be gone ${gone} times`);
  });
});

/** With every success there may be one more at once, from two or three. */
function assertGrows(underWay: readonly number[]): void {
  assert.ok(Math.max(...underWay.slice(0, 3)) <= 4, underWay.slice(0, 10).join(" "));
  underWay.forEach((count, i) =>
    assert.ok(count <= 4 + i - count, `${count} at once at request ${i}`)
  );
  assert.ok(Math.max(...underWay) >= 16, `${Math.max(...underWay)} at most`);
}

const BACKLOG = { devices: 100, each: 20 };
const ENTRIES = BACKLOG.devices * BACKLOG.each;

Deno.test(`after an outage, ${ENTRIES} entries go out at a growing pace, and live messages do not wait`, async () => {
  const first = RawBackend.start();
  const backends = [first];
  const answerSlowly = async (it: RawExchange) => {
    await it.pause(10);
    await it.answer(200, "ok");
    return true;
  };
  try {
    await withLiveSite(async (site) => {
      first.answer = answerSlowly;
      const live = await site.device("live");
      const idle: number[] = [];
      for (let i = 0; i < 20; i++) idle.push(await latencyMs(live));
      await first.stop();
      fillOutbox(site, BACKLOG);
      await site.logged("backend_unreachable");
      const again = RawBackend.start({ port: first.port, answer: answerSlowly });
      backends.push(again);
      await site.logged("backend_recovered");
      const busy: number[] = [];
      while (await site.metric("pending") > BACKLOG.devices) busy.push(await latencyMs(live));
      await poll("the rest", async () => await site.metric("pending") === 0);
      assertGrows(again.requests.map(({ underWay }) => underWay));
      assert.ok(busy.length >= 5, `${busy.length} live messages during the drain`);
      // A backlog would hold up every one of them; a busy machine does so to some.
      const [usual, quickest] = [median(idle), Math.min(...busy)];
      assert.ok(quickest < 4 * usual + 50, `${quickest} ms, and ${usual} ms when idle`);
    }, { settings: { BACKEND_URL: first.url } });
  } finally {
    for (const backend of backends) await backend.stop();
  }
});
