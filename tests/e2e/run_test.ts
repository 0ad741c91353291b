import assert from "node:assert/strict";
import description from "../../docs/openapi.json" with { type: "json" };
import { ChildProcess } from "../../src/demo/sandbox/child_process.ts";
import {
  gatewayCommand,
  GatewayProcess,
  programCommand,
} from "../../src/demo/sandbox/gateway_process.ts";
import { poll } from "../../src/time/poll.ts";
import { runToEnd } from "../support/finished_run.ts";
import { assertJsonForm } from "../support/json_form.ts";
import { shell } from "../support/shell.ts";
import { withSystemd } from "../support/with_systemd.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";

/** Settings of a live site's test reach a process of its own only through its environment. */
const QUICK = {
  SECURE_IOT_GATEWAY_BACKEND_RETRY_FIRST: "20ms",
  SECURE_IOT_GATEWAY_BACKEND_RETRY_LONGEST: "100ms",
};

async function withProcess(
  work: (site: LiveSite, start: () => Promise<GatewayProcess>) => Promise<void>,
): Promise<void> {
  await withLiveSite(async (site) => {
    const started: GatewayProcess[] = [];
    try {
      await work(site, async () => {
        const gateway = await GatewayProcess.start(site.layout.directory, { environment: QUICK });
        started.push(gateway);
        return gateway;
      });
    } finally {
      for (const gateway of started) gateway.kill("SIGKILL");
      await Promise.all(started.map(({ exited }) => exited));
    }
  }, { start: false });
}

Deno.test("run says ready, logs JSON lines, and drains and exits 0 on SIGTERM and SIGINT", async () => {
  await withProcess(async (site, start) => {
    const device = await site.device("sensor_001");
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      const gateway = await start();
      await device.response((await device.send("1")).messageId);
      gateway.kill(signal);
      assert.equal((await gateway.exited).code, 0);
      const lines = gateway.log().trimEnd().split("\n");
      assert.equal(lines.filter((line) => line === "ready").length, 1);
      for (const line of lines.filter((line) => line !== "ready")) {
        const record = JSON.parse(line);
        for (const key of ["time", "level", "event", "message"]) assert.ok(record[key], line);
      }
    }
  });
});

Deno.test("systemd hears that run is ready, alive and stopping", async () => {
  await withProcess(async (site) => {
    await withSystemd(async ({ path, words }) => {
      const environment = { ...QUICK, NOTIFY_SOCKET: path, WATCHDOG_USEC: "150000" };
      const gateway = await GatewayProcess.start(site.layout.directory, { environment });
      try {
        await poll("three feeds", () => words.filter((word) => word === "WATCHDOG=1").length > 2);
        assert.equal(words.filter((word) => word.startsWith("READY=1\n")).length, 1);
        assert.equal(await gateway.stop(), 0);
        assert.ok(words.some((word) => word.startsWith("STOPPING=1\n")));
      } finally {
        gateway.kill("SIGKILL");
      }
    });
  });
});

Deno.test("run stops on SIGTERM also while it waits for the broker", async () => {
  await withProcess(async (site) => {
    await site.stopBroker();
    const child = new ChildProcess(gatewayCommand(site.layout.directory));
    try {
      await poll("the fault", () => child.stderr.includes("broker_unreachable"));
    } finally {
      await child.stop();
    }
    assert.equal((await child.exited).code, 0);
  });
});

Deno.test("a second gateway on the same site is refused", async () => {
  await withProcess(async (site, start) => {
    await start();
    const second = await shell(["run", "--dir", site.layout.directory]);
    assert.equal(second.code, 1);
    assert.match(second.stderr, /^error: Another gateway runs on this site/);
  });
});

Deno.test("kill -9 loses nothing that was accepted and forgets no id", async () => {
  await withProcess(async (site, start) => {
    const device = await site.device("sensor_001");
    let up = false;
    site.backend.answer = () => new Response("ok", { status: up ? 200 : 503 });
    const first = await start();
    const sent = [];
    for (let i = 0; i < 5; i++) sent.push(await device.send(String(i)));
    const pending = () =>
      site.withStore((store) => store.prepare("SELECT count(*) AS n FROM outbox").get()!["n"]);
    await poll("five entries on disk", () => pending() === 5);
    first.kill("SIGKILL");
    await first.exited;
    up = true;
    const second = await start();
    for (const { messageId } of sent) await device.response(messageId);
    await device.publish(sent[0]!.message);
    const record = await poll(
      "the replay's rejection",
      () => second.lines().find(({ event }) => event === "message_rejected"),
    );
    assert.equal(record["code"], "replayed");
    assert.equal(await second.stop(), 0);
  });
});

Deno.test("no proxy of the environment sees a reading or a command", async () => {
  await withProcess(async (site) => {
    const device = await site.device("sensor_001");
    let connections = 0;
    using proxy = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const counting = (async () => {
      for await (const connection of proxy) {
        connections++;
        connection.close();
      }
    })();
    const url = `http://127.0.0.1:${proxy.addr.port}`;
    const names = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
    const environment: Record<string, string> = { ...QUICK };
    for (const name of names) environment[name] = environment[name.toLowerCase()] = url;
    const gateway = await GatewayProcess.start(site.layout.directory, { environment });
    try {
      await device.response((await device.send("1")).messageId);
      const { path, args } = programCommand(...[
        "command",
        "sensor_001",
        "1",
        "--dir",
        site.layout.directory,
      ]);
      const sent = await runToEnd({ path, args, environment }, { stdin: "" });
      assert.equal(sent.code, 0, sent.stderr);
      assert.equal(connections, 0);
    } finally {
      await gateway.stop();
      proxy.close();
      await counting.catch(() => {});
    }
  });
});

Deno.test("the keys of TLS connections are never written to a file", async () => {
  await withProcess(async (site) => {
    const { path, args } = gatewayCommand(site.layout.directory);
    const SSLKEYLOGFILE = `${site.layout.directory}/tls-keys`;
    const environment = { ...QUICK, SSLKEYLOGFILE };
    if (path === Deno.execPath()) {
      const { code, stderr } = await runToEnd({ path, args, environment });
      assert.equal(code, 1);
      assert.match(stderr, /^error: SSLKEYLOGFILE is set: .*\nhint: /);
    } else { // the packed program starts, without the variable
      const gateway = await GatewayProcess.start(site.layout.directory, { environment });
      await gateway.stop();
    }
    assert.equal(await Deno.readTextFile(SSLKEYLOGFILE).catch(() => ""), "");
  });
});

Deno.test("command sends a command through the running gateway", async () => {
  await withProcess(async (site, start) => {
    const device = await site.device("sensor_001");
    const dir = ["--dir", site.layout.directory];
    const none = await shell(["command", "sensor_001", '{"a":1}', ...dir]);
    assert.equal(none.code, 1);
    assert.match(
      none.stderr,
      /^error: Cannot reach the gateway at https:.*\nhint: Is it running\?/,
    );
    await start();
    const sent = await shell(["command", "sensor_001", '{"a":1}', ...dir]);
    assert.equal(sent.code, 0, sent.stderr);
    assert.equal(JSON.parse(sent.stdout).delivery, "queued");
    assert.ok((await device.command()).valid);
    const json = await shell(["command", "sensor_001", '{"a":2}', "--json", ...dir]);
    assertJsonForm(JSON.parse(json.stdout), "command");
    assert.deepEqual(Object.keys(JSON.parse(json.stdout)), Object.keys(JSON.parse(sent.stdout)));
    const unknown = await shell(["command", "nobody", "1", ...dir]);
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /^error: The gateway answered 404: No such device/);
  });
});

Deno.test("run gives out the description of its API, in whatever form it is packed", async () => {
  await withProcess(async (site, start) => {
    await start();
    const served = await site.api("/openapi.json", { headers: { authorization: "" } });
    assert.deepEqual(await served.json(), description);
  });
});

Deno.test("a device that is added while the gateway runs is served at once", async () => {
  await withProcess(async (site, start) => {
    const gateway = await start();
    const dir = ["--dir", site.layout.directory];
    assert.equal((await shell(["device", "add", "late_one", ...dir])).code, 0);
    const device = await site.connect(`${site.layout.devicesFolder}/late_one`);
    await device.response((await device.send("1")).messageId);
    // A broker that cannot be told leaves the registry to do it alone.
    await Deno.remove(site.layout.brokerPid);
    assert.equal((await shell(["device", "remove", "late_one", ...dir])).code, 1);
    await poll("the end of its connection", () => !device.connected);
    const again = await site.connect(`${site.layout.devicesFolder}/late_one`);
    await again.send("2");
    await poll(
      "the rejection",
      () => gateway.lines().find(({ code }) => code === "unknown_device"),
    );
    assert.equal(site.backend.received.length, 1);
  });
});
