import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { ChildProcess } from "../../../src/demo/sandbox/child_process.ts";
import { freePorts } from "../../support/free_ports.ts";
import { programCommand } from "../../../src/demo/sandbox/gateway_process.ts";
import { withFolder } from "../../support/with_folder.ts";
import { quietPorts, shell } from "../../support/shell.ts";

/** A site made by the program itself. */
async function withSite(work: (dir: string) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const dir = `${folder}/site`;
    const made = await shell(["init", "--dir", dir, ...quietPorts()]);
    assert.equal(made.code, 0, made.stderr);
    await work(dir);
  });
}

function assertError(
  result: { code: number; stdout: string; stderr: string },
  code: number,
  pattern: RegExp,
): void {
  assert.equal(result.code, code, result.stderr);
  assert.equal(result.stdout, "");
  assert.match(result.stderr, /^error: /);
  assert.match(result.stderr, pattern);
  assert.doesNotMatch(result.stderr, /\bat (file|async|Object)|Stack|\.ts:\d/);
}

Deno.test("init makes exactly the site, and never overwrites anything of it", async () => {
  await withSite(async (dir) => {
    const files: string[] = [];
    const walk = (folder: string) => {
      for (const { name, isDirectory } of Deno.readDirSync(`${dir}/${folder}`)) {
        if (isDirectory) walk(`${folder}${name}/`);
        else files.push(folder + name);
      }
    };
    walk("");
    assert.deepEqual(files.sort(), [
      ".gitignore",
      "api.key",
      "certs/broker.crt",
      "certs/broker.key",
      "certs/device-ca.crl",
      "certs/device-ca.crt",
      "certs/device-ca.key",
      "certs/gateway-ca.crt",
      "certs/gateway-ca.key",
      "certs/gateway.crt",
      "certs/gateway.key",
      "data/gateway.db",
      "gateway.toml",
      "mosquitto/acl_devices",
      "mosquitto/acl_gateway",
      "mosquitto/mosquitto.conf",
    ]);
    for (const path of files.filter((name) => /\.(key|db)$/.test(name))) {
      assert.equal(Deno.statSync(`${dir}/${path}`).mode! & 0o777, 0o600, path);
    }
    const before = files.map((path) => Deno.readTextFileSync(`${dir}/${path}`));
    assertError(await shell(["init", "--dir", dir]), 1, /gateway\.toml/);
    assert.deepEqual(files.map((path) => Deno.readTextFileSync(`${dir}/${path}`)), before);
  });
});

Deno.test("device add, list, show and remove keep the registry; secrets are never shown", async () => {
  await withSite(async (dir) => {
    const site = ["--dir", dir];
    assert.equal((await shell(["device", "add", "sensor_001", ...site])).code, 0);
    const secret = Deno.readTextFileSync(`${dir}/devices/sensor_001/secret`);
    assert.match(secret, /^[A-Za-z0-9_-]{43}$/, "32 bytes, base64url");
    const names = [...Deno.readDirSync(`${dir}/devices/sensor_001`)].map(({ name }) => name).sort();
    assert.deepEqual(names, ["ca.crt", "client.crt", "client.key", "device.json", "secret"]);
    assert.equal(Deno.statSync(`${dir}/devices/sensor_001/secret`).mode! & 0o777, 0o600);
    assertError(await shell(["device", "add", "sensor_001", ...site]), 1, /exists already/);
    assertError(await shell(["device", "add", "SENSOR_001", ...site]), 1, /differs only in case/);
    assertError(await shell(["device", "add", "a/b", ...site]), 2, /Cannot name a device "a\/b"/);

    const list = await shell(["device", "list", ...site]);
    assert.match(list.stdout, /^sensor_001 +active/m);
    const json = JSON.parse((await shell(["device", "list", "--json", ...site])).stdout);
    assert.equal(json[0].device_id, "sensor_001");
    const show = await shell(["device", "show", "sensor_001", ...site]);
    assert.match(show.stdout, /status: active/);
    for (const { stdout, stderr } of [list, show]) assert.ok(!(stdout + stderr).includes(secret));

    assert.equal((await shell(["device", "remove", "sensor_001", ...site])).code, 0);
    assertError(
      await shell(["device", "show", "sensor_001", ...site]),
      1,
      /no device "sensor_001"/,
    );
    assertError(await shell(["device", "remove", "sensor_001", ...site]), 1, /no device/);
    assert.deepEqual([...Deno.readDirSync(`${dir}/devices`)], []);
  });
});

Deno.test("device add takes a secret from a file, and refuses what is none", async () => {
  await withSite(async (dir) => {
    const file = `${dir}/my.secret`;
    const add = (id: string) => shell(["device", "add", id, "--secret-file", file, "--dir", dir]);
    await Deno.writeTextFile(file, "supersecretkey123\n");
    assert.equal((await add("a")).code, 0);
    assert.equal(Deno.readTextFileSync(`${dir}/devices/a/secret`), "supersecretkey123");
    for (const bad of ["", "\n", "two\nlines", "\u0000"]) {
      await Deno.writeTextFile(file, bad);
      assertError(await add("b"), 2, /Cannot use the secret/);
    }
    await Deno.remove(file);
    assertError(await add("b"), 2, /Cannot read the secret/);
    const { stdout } = await shell(["device", "list", "--json", "--dir", dir]);
    assert.equal(JSON.parse(stdout).length, 1, "nothing half done");
  });
});

Deno.test("a registry that was brought along is listed and served", async () => {
  await withSite(async (dir) => {
    await Deno.remove(`${dir}/data/gateway.db`);
    const database = new DatabaseSync(`${dir}/data/gateway.db`);
    database.exec(`
      CREATE TABLE devices (device_id TEXT PRIMARY KEY, shared_secret TEXT NOT NULL, created_at INTEGER);
      INSERT INTO devices VALUES ('old_one', 'supersecretkey123', 1727712000);
    `);
    database.close();
    const { stdout } = await shell(["device", "show", "old_one", "--json", "--dir", dir]);
    assert.deepEqual(JSON.parse(stdout), {
      device_id: "old_one",
      status: "active",
      created_at: "2024-09-30T16:00:00.000Z",
      certificate_not_after: null,
      revoked_at: null,
      revoked_reason: null,
      last_seen_at: null,
      last_rejection: null,
      secrets: [{ number: 1, valid_until: null, last_used_at: null }],
    });
  });
});

Deno.test("wrong use is exit 2, with a hint at the likely slip", async () => {
  const rows: [string[], RegExp][] = [
    [["devcie"], /Unknown command 'devcie'\nhint: Did you mean device\?/],
    [["device", "ad"], /hint: Did you mean add\?/],
    [["init", "--hots", "x"], /Unknown option '--hots'\nhint: Did you mean --host\?/],
    [["init", "--api-port", "70000"], /whole number from 1 to 65535/],
    [["device", "add"], /missing required argument 'id'/i],
    [["run", "now"], /too many arguments/i],
    [["init", "--dir", "/tmp/never", "--backend", "ftp://x"], /Cannot use the backend/],
    [["init", "--dir", "/tmp/never", "--mqtt-port", "1", "--api-port", "1"], /port/],
    [[], /Name a command/],
  ];
  for (const [args, pattern] of rows) assertError(await shell(args), 2, pattern);
});

Deno.test("wrong use of a command names that command's help", async () => {
  const hints: readonly (readonly [args: string[], command: string])[] = [
    [["device", "revoke"], "device revoke"],
    [["device", "add", "a", "b"], "device add"],
    [["device"], "device"],
  ];
  for (const [args, command] of hints) {
    assertError(
      await shell(args),
      2,
      new RegExp(`^hint: Run secure-iot-gateway ${command} --help$`, "m"),
    );
  }
});

Deno.test("a file that is not there is named once", async () => {
  await withSite(async (dir) => {
    const missing = await shell(["verify", "sensor_001", `${dir}/none.json`, "--dir", dir]);
    assertError(missing, 2, /from "\S+\/none\.json": no such file or directory$/m);
    await Deno.remove(`${dir}/certs/gateway.crt`);
    assertError(
      await shell(["run", "--dir", dir]),
      1,
      /gateway\.crt": no such file or directory$/m,
    );
  });
});

Deno.test("help and version are no errors", async () => {
  const { version } = JSON.parse(
    Deno.readTextFileSync(new URL("../../../deno.json", import.meta.url)),
  );
  const { stdout, ...rest } = await shell(["--version"]);
  assert.deepEqual(rest, { code: 0, stderr: "" });
  assert.equal(stdout.replace(/ \([0-9a-f]{12}(-modified)?\)$/m, ""), `${version}\n`);
  const help = await shell(["--help"]);
  assert.equal(help.code, 0);
  for (const command of ["init", "run", "device", "command", "sign", "verify", "demo"]) {
    assert.match(help.stdout, new RegExp(`^  ${command}\\b`, "m"));
  }
});

Deno.test("a folder that is no site is said so, with a hint", async () => {
  await withFolder(async (dir) => {
    const result = await shell(["run", "--dir", dir]);
    assertError(result, 1, /There is no site in/);
    assert.match(result.stderr, /hint: .*init --dir/);
  });
});

Deno.test("run names every wrong setting at once and exits with 2", async () => {
  await withSite(async (dir) => {
    const toml = Deno.readTextFileSync(`${dir}/gateway.toml`)
      .replace('# timeout = "10s"', "timeout = 10")
      .replace("# concurrency = 256", "concurency = 32");
    Deno.writeTextFileSync(`${dir}/gateway.toml`, toml);
    const result = await shell(["run", "--dir", dir]);
    assertError(result, 2, /backend.timeout: must be a duration/);
    assert.match(result.stderr, /backend.concurency: unknown setting, did you mean concurrency\?/);
  });
});

Deno.test("run refuses a corrupt database, names it, and leaves it as it is", async () => {
  await withSite(async (dir) => {
    const path = `${dir}/data/gateway.db`;
    await Deno.writeTextFile(path, "no database at all ".repeat(500));
    const before = await Deno.readFile(path);
    const result = await shell(["run", "--dir", dir]);
    assertError(result, 1, /Cannot open ".*gateway\.db": file is not a database/);
    assert.deepEqual(await Deno.readFile(path), before);
  });
});

Deno.test("run refuses a key that is not its certificate's, and names both", async () => {
  await withSite(async (dir) => {
    await Deno.copyFile(`${dir}/certs/broker.key`, `${dir}/certs/gateway.key`);
    const result = await shell(["run", "--dir", dir]);
    assertError(result, 1, /gateway\.key" is not the key of ".*gateway\.crt"/);
  });
});

Deno.test("run refuses a port that is taken", async () => {
  await withFolder(async (folder) => {
    const [mqtt, gateway] = freePorts(2);
    const taken = Deno.listen({ port: 0 });
    try {
      const dir = `${folder}/site`;
      await shell([
        "init",
        "--dir",
        dir,
        "--mqtt-port",
        `${mqtt}`,
        "--gateway-port",
        `${gateway}`,
        "--api-port",
        `${taken.addr.port}`,
      ]);
      const result = await shell(["run", "--dir", dir]);
      assert.equal(result.code, 1);
      assert.match(result.stderr, /^error: Cannot listen on 0\.0\.0\.0:\d+: /m);
    } finally {
      taken.close();
    }
  });
});

Deno.test("the site folder is taken from the environment where --dir is not given", async () => {
  await withFolder(async (dir) => {
    const environment = { SECURE_IOT_GATEWAY_DIR: dir };
    const child = new ChildProcess({ ...programCommand("device", "list"), environment });
    assert.equal((await child.exited).code, 1);
    assert.ok(child.stderr.includes(`There is no site in "${dir}"`));
  });
});

Deno.test("init says everything that is wrong with its arguments, and no password", async () => {
  await withFolder(async (folder) => {
    const { code, stderr } = await shell([
      ...["init", "--dir", `${folder}/a\tb`, "--host", "under_score"],
      ...["--backend", "http://u:p@x", "--mqtt-port", "8443"],
    ]);
    assert.equal(code, 2);
    const [path, host, backend, ports] = stderr.trimEnd().split("\n");
    assert.match(
      path!,
      /^error: Cannot use the folder for a site: .* has a character that a Mosqu/,
    );
    assert.equal(
      host,
      'error: Cannot use the host: "under_score" is neither a DNS name nor an IP address',
    );
    assert.match(backend!, /^error: Cannot use the backend: its URL must /);
    assert.equal(
      ports,
      "error: Cannot use the ports: MQTT, gateway and API need one each, not 8443, 8884, 8443",
    );
    assert.doesNotMatch(stderr, /u:p/);
  });
});

Deno.test("init names what is in its way, and overwrites nothing", async () => {
  await withFolder(async (dir) => {
    await Deno.writeTextFile(`${dir}/api.key`, "mine");
    const { code, stderr } = await shell(["init", "--dir", dir]);
    assert.equal(code, 1);
    assert.equal(stderr, `error: Cannot make the site: "${dir}/api.key" exists already\n`);
    await Deno.remove(`${dir}/api.key`);
    await Deno.writeTextFile(`${dir}/.gitignore`, "mine");
    const made = await shell(["init", "--dir", dir]);
    assert.equal(made.code, 0);
    assert.match(made.stderr, /^hint: ".*\.gitignore" was there and stays as it is: make sure/m);
    const again = await shell(["init", "--dir", dir]);
    assert.match(again.stderr, /^error: Cannot make the site: there is one already: ".*toml"$/m);
  });
});
