import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { readCertificates } from "../../../src/config/pem.ts";
import { programCommand } from "../../../src/demo/sandbox/gateway_process.ts";
import { quietPorts, shell } from "../../support/shell.ts";
import { withFolder } from "../../support/with_folder.ts";
import type { FinishedRun } from "../../support/finished_run.ts";

interface Site {
  readonly dir: string;
  run(...args: string[]): Promise<FinishedRun>;
  /** Names in devices/, hidden ones too. */
  names(): string[];
  /** What the database has, by SQL. */
  ask(sql: string): Record<string, unknown>[];
}

async function withSite(work: (site: Site) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const dir = `${folder}/site`;
    const run = (...args: string[]) => shell([...args, "--dir", dir]);
    assert.equal((await run("init", ...quietPorts())).code, 0);
    await work({
      dir,
      run,
      names: () => [...Deno.readDirSync(`${dir}/devices`)].map(({ name }) => name).sort(),
      ask(sql) {
        using database = new DatabaseSync(`${dir}/data/gateway.db`, { readOnly: true });
        return database.prepare(sql).all();
      },
    });
  });
}

function serialIn(path: string): string {
  const read = readCertificates(Deno.readFileSync(path));
  assert.ok(read.ok);
  return new X509Certificate(read.value[0]).serialNumber.toLowerCase();
}

async function rotateSecret({ run }: Site, id: string, ...more: string[]): Promise<FinishedRun> {
  return await run("device", "rotate", id, "--secret", "--json", ...more);
}

Deno.test("a new secret is always written somewhere, and the command says where", async () => {
  await withSite(async (site) => {
    const { dir, run, ask } = site;
    const secretOf = (id: string) =>
      ask(`SELECT shared_secret FROM devices WHERE device_id = '${id}'`)[0]!["shared_secret"];
    const saidFile = async (id: string, ...more: string[]) => {
      const result = await rotateSecret(site, id, ...more);
      assert.equal(result.code, 0, result.stderr);
      return JSON.parse(result.stdout).steps[0].secret_file as string | undefined;
    };

    assert.equal((await run("device", "add", "moved")).code, 0);
    await Deno.rename(`${dir}/devices/moved`, `${dir}/on-the-device`);
    const path = await saidFile("moved");
    assert.equal(path, `${dir}/devices/moved/secret`);
    assert.equal(Deno.readTextFileSync(path!), secretOf("moved"));
    assert.equal(Deno.statSync(path!).mode! & 0o777, 0o600);
    assert.equal(Deno.statSync(`${dir}/devices/moved`).mode! & 0o777, 0o700);

    assert.equal((await run("device", "add", "single", "--pem")).code, 0);
    const pem = await saidFile("single");
    assert.equal(pem, `${dir}/devices/single.pem`);
    const lines = Deno.readTextFileSync(pem!).split("\n");
    assert.deepEqual(lines.filter((line) => line.startsWith("# secret")), [
      `# secret: ${secretOf("single")}`,
    ]);

    await Deno.writeTextFile(`${dir}/own`, "my-own-secret");
    await Deno.remove(`${dir}/devices/moved`, { recursive: true });
    assert.equal(await saidFile("moved", "--secret-file", `${dir}/own`), undefined);

    await Deno.writeTextFile(pem!, "nothing of ours");
    const before = secretOf("single");
    const refused = await run("device", "rotate", "single", "--secret");
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /^error: Cannot write the new secret: ".*single.pem" has no line/);
    assert.equal(secretOf("single"), before);
    assert.deepEqual(site.names(), ["single.pem"]);
  });
});

Deno.test("a bundle is renewed as what it is: one file, a request's, or with an RSA key", async () => {
  await withSite(async ({ dir, run, names }) => {
    assert.equal((await run("device", "add", "single", "--pem")).code, 0);
    const before = serialIn(`${dir}/devices/single.pem`);
    assert.equal((await run("device", "rotate", "single", "--certificate")).code, 0);
    assert.deepEqual(names(), ["single.pem"]);
    assert.notEqual(serialIn(`${dir}/devices/single.pem`), before);

    const openssl = new Deno.Command("openssl", {
      args: ["req", "-new", "-nodes", "-newkey", "rsa:2048", "-subj", "/CN=x", ...[
        "-keyout",
        `${dir}/k`,
        "-out",
        `${dir}/r.csr`,
      ]],
    });
    assert.ok((await openssl.output()).success);
    assert.equal((await run("device", "add", "own", "--csr", `${dir}/r.csr`)).code, 0);
    const renewed = await run("device", "rotate", "own", "--certificate", "--csr", `${dir}/r.csr`);
    assert.equal(renewed.code, 0, renewed.stderr);
    const files = [...Deno.readDirSync(`${dir}/devices/own`)].map(({ name }) => name).sort();
    assert.deepEqual(files, ["ca.crt", "client.crt", "device.json", "secret"]);

    const keyOf = (id: string) =>
      new X509Certificate(Deno.readTextFileSync(`${dir}/devices/${id}/client.crt`)).publicKey
        .asymmetricKeyType;
    assert.equal((await run("device", "add", "modem", "--key-type", "rsa")).code, 0);
    assert.equal(keyOf("modem"), "rsa");
    const again = await run("device", "rotate", "modem", "--certificate", "--key-type", "rsa");
    assert.equal(again.code, 0, again.stderr);
    assert.equal(keyOf("modem"), "rsa");
    assert.equal((await run("device", "rotate", "modem", "--certificate")).code, 0);
    assert.equal(keyOf("modem"), "ec");
    const both = await run("device", "add", "x", "--key-type", "rsa", "--csr", `${dir}/r.csr`);
    assert.equal(both.code, 2);
  });
});

Deno.test("a certificate that could not be put in place is withdrawn, and nothing is left", async () => {
  await withSite(async ({ dir, run, names, ask }) => {
    assert.equal((await run("device", "add", "a")).code, 0);
    const before = serialIn(`${dir}/devices/a/client.crt`);
    const usable = () =>
      ask("SELECT serial FROM device_certificates WHERE withdrawn_at IS NULL").map((row) =>
        row["serial"]
      );
    // Only read when the bundle is drafted, after the certificate was registered.
    await Deno.rename(`${dir}/certs/gateway-ca.crt`, `${dir}/away`);
    const failed = await run("device", "rotate", "a", "--certificate");
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /^error: Cannot read ".*gateway-ca.crt"/);
    await Deno.rename(`${dir}/away`, `${dir}/certs/gateway-ca.crt`);
    assert.deepEqual([names(), usable()], [["a"], [before]]);
    assert.equal(serialIn(`${dir}/devices/a/client.crt`), before);

    using database = new DatabaseSync(`${dir}/data/gateway.db`);
    database.exec("BEGIN IMMEDIATE");
    const rotating = run("device", "rotate", "a", "--certificate");
    const lockedOut = await Promise.all([rotating, run("device", "add", "b")]);
    database.exec("ROLLBACK");
    for (const { code, stderr } of lockedOut) {
      assert.equal(code, 1);
      assert.match(stderr, /^error: .*locked.*\nhint: Wait until that one is done/);
    }
    const secret = Deno.readTextFileSync(`${dir}/devices/a/secret`);
    assert.equal((await run("device", "rotate", "a", "--secret")).code, 0);
    assert.notEqual(Deno.readTextFileSync(`${dir}/devices/a/secret`), secret);
    assert.deepEqual([names(), usable()], [["a"], [before]]);
  });
});

const KILLS = 10;

Deno.test("a rotation that is killed anywhere leaves no certificate that nobody knows", async () => {
  await withSite(async ({ dir, run, names, ask }) => {
    assert.equal((await run("device", "add", "a")).code, 0);
    let broken = 0;
    for (let i = 0; i < KILLS; i++) {
      const { path: program, args } = programCommand(
        "device",
        "rotate",
        "a",
        "--certificate",
        "--dir",
        dir,
      );
      const child = new Deno.Command(program, { args: [...args], stdout: "null", stderr: "null" })
        .spawn();
      const before = names().join();
      const begun = () => names().join() !== before;
      let ended = false;
      const status = child.status.then(() => ended = true);
      while (!begun() && !ended) await new Promise((resolve) => setTimeout(resolve, 0));
      await new Promise((resolve) => setTimeout(resolve, i));
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended by itself.
      }
      if (names().some((name) => name.startsWith("."))) broken++;
      await status;
      const known = ask("SELECT serial FROM device_certificates").map((row) => row["serial"]);
      for (const name of names()) {
        for (
          const path of [`${dir}/devices/${name}/client.crt`, `${dir}/devices/${name}/a/client.crt`]
        ) {
          const text = await Deno.readTextFile(path).catch(() => "");
          if (text.includes("END")) assert.ok(known.includes(serialIn(path)), path);
        }
      }
    }
    assert.ok(broken > 0, "no kill hit the rotation");
    const finished = await run("device", "rotate", "a", "--certificate");
    assert.equal(finished.code, 0, finished.stderr);
    assert.deepEqual(names(), ["a"]);
    const newest = serialIn(`${dir}/devices/a/client.crt`);
    const [last] = ask(`SELECT serial FROM device_certificates
      WHERE withdrawn_at IS NULL ORDER BY rowid DESC LIMIT 1`);
    assert.equal(last!["serial"], newest);
  });
});

Deno.test("a removal that was killed goes on, and its id is taken until then", async () => {
  await withSite(async ({ dir, run, names }) => {
    await Deno.writeTextFile(`${dir}/devices/.removing-Moved`, "");
    const early = await run("device", "add", "Moved");
    assert.equal(early.code, 1);
    assert.match(early.stderr, /its removal did not finish, run device remove Moved/);
    using other = new DatabaseSync(`${dir}/other.db`);
    other.exec(`CREATE TABLE devices (device_id TEXT, shared_secret TEXT, created_at INTEGER);
      INSERT INTO devices VALUES ('free', 'one', 1), ('moved', 'two', 2)`);
    const adopted = await run("device", "adopt", `${dir}/other.db`);
    assert.equal(adopted.code, 1);
    assert.match(adopted.stderr, /row 2: .*its removal did not finish, .* remove Moved/);
    const removed = await run("device", "remove", "Moved");
    assert.equal(removed.code, 0, removed.stderr);
    assert.deepEqual(names(), []);
    assert.equal((await run("device", "add", "Moved")).code, 0);
    assert.equal((await run("device", "remove", "Moved")).code, 0);
    assert.deepEqual(names(), []);
  });
});
