import assert from "node:assert/strict";
import { join, relative } from "node:path";
import { keyPairFault } from "../../../src/config/credentials.ts";
import {
  createSite,
  type SiteOptions,
  type SiteResult,
} from "../../../src/site/operations/site_creation.ts";
import { readConfig } from "../../../src/config/config.ts";
import { siteLayout } from "../../../src/site/layout.ts";

const FILES = {
  ".gitignore": 0o644,
  "api.key": 0o600,
  "certs/broker.crt": 0o644,
  "certs/broker.key": 0o600,
  "certs/device-ca.crl": 0o644,
  "certs/device-ca.crt": 0o644,
  "certs/device-ca.key": 0o600,
  "certs/gateway-ca.crt": 0o644,
  "certs/gateway-ca.key": 0o600,
  "certs/gateway.crt": 0o644,
  "certs/gateway.key": 0o600,
  "data/gateway.db": 0o600,
  "gateway.toml": 0o644,
  "mosquitto/acl_devices": 0o600,
  "mosquitto/acl_gateway": 0o600,
  "mosquitto/mosquitto.conf": 0o644,
};

Deno.test("createSite() makes exactly the site's files, secrets readable by their owner only", async () => {
  await inTempFolder(async (folder) => {
    const directory = join(folder, "a new", "site");
    const umask = Deno.umask(0o077);
    const result = await createSite(siteOptions(directory)).finally(() => Deno.umask(umask));
    assert.equal(result.ok, true);
    assert.deepEqual(await filesBelow(directory), FILES);
    assert.equal((await Deno.stat(join(directory, "devices"))).mode! & 0o777, 0o700);
    assert.equal((await Deno.stat(join(directory, "data"))).mode! & 0o777, 0o700);
    assert.equal((await Deno.stat(join(directory, "certs"))).mode! & 0o777, 0o755);
  });
});

Deno.test("createSite() makes keys that belong to their certificates and an API key of 32 bytes", async () => {
  await inTempFolder(async (directory) => {
    await createSite(siteOptions(directory));
    const layout = siteLayout(directory);
    for (const pair of [layout.deviceCa, layout.gatewayCa, layout.broker, layout.gateway]) {
      assert.equal(keyPairFault(pair), undefined);
    }
    // No newline either: a program that reads the file has the key. (`$` alone would let one pass.)
    assert.match(await Deno.readTextFile(layout.apiKey), /^[A-Za-z0-9_-]{43}(?![^])/);
  });
});

Deno.test("createSite() tells the configuration its ports and a client id nobody can guess", async () => {
  await inTempFolder(async (directory) => {
    await createSite(siteOptions(directory));
    const toml = await Deno.readTextFile(siteLayout(directory).configuration);
    const read = readConfig(toml, { environment: {}, directory });
    assert.ok(read.ok);
    const { broker, backend, devices, api } = read.settings;
    assert.match(broker.client_id, /^secure-iot-gateway-[0-9a-f]{32}$/);
    assert.deepEqual([devices.port, broker.port, api.port], [8883, 8884, 8443]);
    assert.equal(backend.url, "http://127.0.0.1:8080");
  });
});

Deno.test("createSite() keeps its authorities apart", async () => {
  await inTempFolder(async (directory) => {
    await createSite(siteOptions(directory, { hosts: ["gateway.example"] }));
    const certs = siteLayout(directory).certificatesFolder;
    assert.match(
      await verify(certs, "gateway-ca.crt", ["-purpose", "sslclient", "gateway.crt"]),
      /OK/,
    );
    assert.match(
      await verify(certs, "gateway-ca.crt", ["-verify_hostname", "gateway.example", "broker.crt"]),
      /OK/,
    );
    assert.match(
      await verify(certs, "gateway-ca.crt", ["-verify_ip", "127.0.0.1", "broker.crt"]),
      /OK/,
    );
    assert.match(await verify(certs, "device-ca.crt", ["gateway.crt"]), /verification failed/);
    assert.match(
      await verify(certs, "gateway-ca.crt", ["-purpose", "sslclient", "broker.crt"]),
      /unsuitable certificate purpose/,
    );
  });
});

Deno.test("createSite() names every file in its way and writes nothing", async () => {
  await inTempFolder(async (directory) => {
    await Deno.mkdir(join(directory, "certs"));
    await Deno.writeTextFile(join(directory, "api.key"), "mine");
    await Deno.symlink("nowhere", join(directory, "certs", "broker.key"));
    const result = await createSite(siteOptions(directory));
    assert.deepEqual(result, {
      ok: false,
      because: "existing_files",
      faults: [
        { kind: "file_exists", path: `${directory}/api.key` },
        { kind: "file_exists", path: `${directory}/certs/broker.key` },
      ],
    });
    assert.equal(await Deno.readTextFile(join(directory, "api.key")), "mine");
    assert.deepEqual((await names(directory)).sort(), ["api.key", "certs"]);
  });
});

Deno.test("createSite() works in a checkout and leaves what stands there as it is", async () => {
  await inTempFolder(async (directory) => {
    for (const folder of ["certs", "mosquitto"]) {
      await Deno.mkdir(join(directory, folder));
      await Deno.writeTextFile(join(directory, folder, "README.md"), "stays");
    }
    assert.equal((await createSite(siteOptions(directory))).ok, true);
    assert.equal(await Deno.readTextFile(join(directory, "certs", "README.md")), "stays");
    assert.equal(await Deno.readTextFile(join(directory, "mosquitto", "README.md")), "stays");
  });
});

Deno.test("createSite() in a git checkout gives git nothing to add", async () => {
  await inTempFolder(async (folder) => {
    await git(folder, "init", "-q");
    await createSite(siteOptions(join(folder, "site")));
    await git(folder, "add", ".");
    assert.equal(await git(folder, "status", "--porcelain"), "");
  });
});

Deno.test("createSite() leaves a .gitignore as it is, and says so", async () => {
  await inTempFolder(async (directory) => {
    await Deno.writeTextFile(join(directory, ".gitignore"), "mine");
    const result = await createSite(siteOptions(directory));
    assert.ok(result.ok);
    const path = join(directory, ".gitignore");
    assert.deepEqual(result.notes.filter(({ kind }) => kind === "git_ignore_kept"), [
      { kind: "git_ignore_kept", path },
    ]);
    assert.equal(await Deno.readTextFile(join(directory, ".gitignore")), "mine");
  });
});

Deno.test("createSite() takes away what it made, and only that, when it fails midway", async () => {
  await inTempFolder(async (folder) => {
    const directory = join(folder, "site");
    await Deno.mkdir(join(directory, "certs"), { recursive: true });
    await Deno.writeTextFile(join(directory, "certs", "README.md"), "stays");
    // The last of the folders cannot be made.
    await Deno.writeTextFile(join(directory, "devices"), "");
    const result = await createSite(siteOptions(directory));
    assert.deepEqual(kindsOf(result), ["system_refused"]);
    assert.deepEqual((await names(directory)).sort(), ["certs", "devices"]);
    assert.deepEqual(await names(join(directory, "certs")), ["README.md"]);
  });
});

Deno.test("createSite() lets through what is not the system's refusal, and still cleans up", async () => {
  await inTempFolder(async (folder) => {
    // Deno itself refuses to write there; by then all but the broker's own files are written.
    const directory = join(folder, "site");
    await Deno.mkdir(directory);
    await Deno.symlink("/proc/self", join(directory, "mosquitto"));
    await assert.rejects(createSite(siteOptions(directory)), Deno.errors.NotCapable);
    assert.deepEqual(await names(directory), ["mosquitto"]);
  });
});

Deno.test("createSite() says that a file stands where a folder should", async () => {
  await inTempFolder(async (folder) => {
    await Deno.writeTextFile(join(folder, "certs"), "");
    const result = await createSite(siteOptions(folder));
    assert.equal(!result.ok && result.because, "system");
    assert.deepEqual(await names(folder), ["certs"]);
  });
});

Deno.test("createSite() names all faults of its arguments at once", async () => {
  const result = await createSite(siteOptions("/nowhere/at\nall", {
    hosts: ["good.example", "under_score", "10.0.0.256", "fe80::1%eth0", "-a", "", "::1"],
    backendUrl: "ftp://example",
    mqttPort: 0,
    gatewayPort: 8443,
  }));
  assert.equal(!result.ok && result.because, "arguments");
  assert.deepEqual(kindsOf(result), [
    "path_not_usable",
    ...Array(5).fill("host_not_usable"),
    "backend_not_usable",
    "port_not_usable",
    "ports_not_distinct",
  ]);
});

Deno.test("createSite() refuses a backend URL that no path can be appended to", async () => {
  for (
    const backendUrl of ["", "//x", "http://u:p@x", "http://x/ ", "http://x/#a", "http://x:0"]
  ) {
    const result = await createSite(siteOptions("/nowhere", { backendUrl }));
    assert.deepEqual(kindsOf(result), ["backend_not_usable"], backendUrl);
    assert.doesNotMatch(JSON.stringify(result), /u:p/);
  }
});

function siteOptions(directory: string, changes: Partial<SiteOptions> = {}): SiteOptions {
  return {
    directory,
    hosts: [],
    backendUrl: "http://127.0.0.1:8080",
    mqttPort: 8883,
    gatewayPort: 8884,
    apiPort: 8443,
    nowMs: Date.now(),
    ...changes,
  };
}

function kindsOf(result: SiteResult): string[] {
  return result.ok ? [] : result.faults.map(({ kind }) => kind);
}

async function verify(certs: string, ca: string, args: string[]): Promise<string> {
  const { stdout, stderr } = await new Deno.Command("openssl", {
    args: ["verify", "-x509_strict", "-CAfile", ca, ...args],
    cwd: certs,
  }).output();
  return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
}

async function inTempFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function names(folder: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name);
}

async function filesBelow(root: string): Promise<Record<string, number>> {
  const files: [string, number][] = [];
  const folders = [root];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for await (const entry of Deno.readDir(folder)) {
      const path = join(folder, entry.name);
      if (entry.isDirectory) folders.push(path);
      else files.push([relative(root, path), (await Deno.stat(path)).mode! & 0o7777]);
    }
  }
  return Object.fromEntries(files.sort(([a], [b]) => a < b ? -1 : 1));
}

async function git(folder: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("git", { args, cwd: folder }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}
