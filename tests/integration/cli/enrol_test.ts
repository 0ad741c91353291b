import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { X509Certificate } from "node:crypto";
import { withFolder } from "../../support/with_folder.ts";
import type { FinishedRun } from "../../support/finished_run.ts";
import { quietPorts, shell } from "../../support/shell.ts";

interface Site {
  readonly dir: string;
  run(...args: string[]): Promise<FinishedRun>;
  list(): Promise<Record<string, string | null>[]>;
  /** Names in devices/. */
  bundles(): string[];
}

async function withSite(work: (site: Site) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const dir = `${folder}/site`;
    const run = (...args: string[]) => shell([...args, "--dir", dir]);
    const made = await run("init", ...quietPorts());
    assert.equal(made.code, 0, made.stderr);
    await work({
      dir,
      run,
      list: async () => JSON.parse((await run("device", "list", "--json")).stdout),
      bundles: () => [...Deno.readDirSync(`${dir}/devices`)].map(({ name }) => name).sort(),
    });
  });
}

async function openssl(...args: string[]): Promise<string> {
  const { stdout, stderr, success } = await new Deno.Command("openssl", {
    args,
    stdin: "null",
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

/** A key and a request for it, made as a device's vendor would. */
async function makeRequest(path: string, ...kind: string[]): Promise<string> {
  await openssl("req", "-new", "-nodes", ...kind, "-keyout", `${path}.key`, "-out", path, ...[
    "-subj",
    "/CN=somebody else/O=Vendor",
  ]);
  return path;
}

const EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];

Deno.test("device add takes a request: the key stays with the device, the name is the id", async () => {
  await withSite(async ({ dir, run, bundles }) => {
    const csr = await makeRequest(`${dir}/a.csr`, ...EC);
    const added = await run("device", "add", "sensor_001", "--csr", csr, "--valid-days", "30");
    assert.equal(added.code, 0, added.stderr);
    const folder = `${dir}/devices/sensor_001`;
    const names = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
    assert.deepEqual(names, ["ca.crt", "client.crt", "device.json", "secret"]);
    const certificate = new X509Certificate(Deno.readTextFileSync(`${folder}/client.crt`));
    assert.equal(certificate.subject, "CN=sensor_001");
    const days = (certificate.validToDate.getTime() - Date.now()) / 86_400_000;
    assert.ok(days > 29 && days < 31);
    assert.match(
      await openssl("verify", "-CAfile", `${dir}/certs/device-ca.crt`, `${folder}/client.crt`),
      /OK/,
    );
    const ofKey = await openssl("pkey", "-in", `${csr}.key`, "-pubout");
    const ofCertificate = await openssl("x509", "-in", `${folder}/client.crt`, "-noout", "-pubkey");
    assert.equal(ofCertificate, ofKey);
    assert.deepEqual(bundles(), ["sensor_001"]);
  });
});

Deno.test("device add refuses a weak, forged or broken request, and does nothing", async () => {
  await withSite(async ({ dir, run, bundles, list }) => {
    const weak = await makeRequest(`${dir}/weak.csr`, "-newkey", "rsa:1024");
    const curve = await makeRequest(
      `${dir}/curve.csr`,
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:secp256k1",
    );
    const good = await makeRequest(`${dir}/good.csr`, ...EC);
    const der = Uint8Array.fromBase64(
      Deno.readTextFileSync(good).replaceAll(/-----[^-]+-----/g, ""),
    );
    der[der.length - 5]! ^= 1;
    const forged = `${dir}/forged.csr`;
    await Deno.writeTextFile(
      forged,
      `-----BEGIN CERTIFICATE REQUEST-----\n${der.toBase64()}\n-----END CERTIFICATE REQUEST-----\n`,
    );
    const nothing = `${dir}/nothing.csr`;
    await Deno.writeTextFile(nothing, "not a request");
    const rows: [string, RegExp][] = [
      [weak, /RSA key has 1024 bits, at least 2048/],
      [curve, /request ".*curve.csr": /],
      [forged, /not signed with its own key/],
      [nothing, /it is neither PEM nor DER/],
      [`${dir}/missing`, /Cannot read ".*missing"/],
    ];
    for (const [csr, fault] of rows) {
      const result = await run("device", "add", "sensor_001", "--csr", csr);
      assert.notEqual(result.code, 0, csr);
      assert.match(result.stderr, fault);
      assert.doesNotMatch(result.stderr, /bug in/);
    }
    assert.deepEqual(bundles(), []);
    assert.deepEqual(await list(), []);
  });
});

Deno.test("device add --pem writes one file that OpenSSL reads, and remove takes it away", async () => {
  await withSite(async ({ dir, run, bundles }) => {
    const added = await run("device", "add", "sensor_001", "--pem");
    assert.equal(added.code, 0, added.stderr);
    assert.deepEqual(bundles(), ["sensor_001.pem"]);
    const path = `${dir}/devices/sensor_001.pem`;
    assert.equal(Deno.statSync(path).mode! & 0o777, 0o600);
    assert.match(await openssl("x509", "-in", path, "-noout", "-subject"), /CN = sensor_001/);
    await openssl("pkey", "-in", path, "-noout");
    const text = Deno.readTextFileSync(path);
    assert.match(text, /^# secret: [A-Za-z0-9_-]{43}$/m);
    assert.equal(text.match(/BEGIN CERTIFICATE/g)?.length, 2);
    assert.equal((await run("device", "add", "sensor_001")).code, 1);
    assert.equal((await run("device", "remove", "sensor_001")).code, 0);
    assert.deepEqual(bundles(), []);
  });
});

Deno.test("a secret that another device has is refused", async () => {
  await withSite(async ({ dir, run, list }) => {
    await Deno.writeTextFile(`${dir}/s`, "supersecretkey123");
    assert.equal((await run("device", "add", "a", "--secret-file", `${dir}/s`)).code, 0);
    const second = await run("device", "add", "b", "--secret-file", `${dir}/s`);
    assert.equal(second.code, 1);
    assert.match(second.stderr, /device "a" has it already/);
    assert.doesNotMatch(second.stderr, /supersecret/);
    assert.equal((await run("device", "rotate", "a", "--secret")).code, 0);
    assert.equal((await run("device", "add", "b", "--secret-file", `${dir}/s`)).code, 1);
    assert.equal((await list()).length, 1);
  });
});

Deno.test("import registers every device of a CSV or JSON Lines file", async () => {
  await withSite(async ({ dir, run, list, bundles }) => {
    await makeRequest(`${dir}/c.csr`, ...EC);
    await Deno.writeTextFile(
      `${dir}/in.csv`,
      '\ufeffdevice_id,secret,valid_days,csr\r\na,"with, ""quotes""",,\r\n\r\nb,,30,\r\nc,,,c.csr\r\n',
    );
    const csv = await run("device", "import", `${dir}/in.csv`);
    assert.equal(csv.code, 0, csv.stderr);
    assert.match(csv.stdout, /^Added 3 devices/);
    assert.equal(Deno.readTextFileSync(`${dir}/devices/a/secret`), 'with, "quotes"');
    await Deno.writeTextFile(
      `${dir}/in.jsonl`,
      '{"device_id":"d"}\n{"device_id":"e","valid_days":7,"secret":"s3cret"}\n',
    );
    assert.equal((await run("device", "import", `${dir}/in.jsonl`)).code, 0);
    assert.deepEqual(bundles(), ["a", "b", "c", "d", "e"]);
    const many = Array.from({ length: 25 }, (_, i) => `m${i}`);
    await Deno.writeTextFile(`${dir}/many.csv`, ["device_id", ...many].join("\n"));
    const bar = await run("device", "import", `${dir}/many.csv`);
    assert.deepEqual([bar.code, bar.stderr], [0, ""], "no bar where there is no terminal");
    assert.deepEqual((await list()).map(({ status }) => status), Array(30).fill("active"));
  });
});

Deno.test("import does all or nothing, and names every fault with its line", async () => {
  await withSite(async ({ dir, run, list, bundles }) => {
    assert.equal((await run("device", "add", "there")).code, 0);
    const file = `${dir}/in.csv`;
    const first = ["device_id,valid_days,csr", "fine,,", "too,many,fields,here", "x,0,", 'q"x,,'];
    await Deno.writeTextFile(file, [...first, "y,,missing.csr"].join("\n"));
    const unreadable = await run("device", "import", file);
    assert.equal(unreadable.code, 1);
    for (
      const fault of [
        /^error: line 3: there are 4 fields, and 3 in the header$/m,
        /^error: line 4: valid_days is not a whole number/m,
        /^error: line 5: a quote is not closed/m,
        /^error: line 6: Cannot read ".*missing\.csr"/m,
        /^hint: Nothing was done/m,
      ]
    ) assert.match(unreadable.stderr, fault);

    const lines = ["fine", "THERE", "bad id", "twin", "Twin", "last"];
    await Deno.writeTextFile(file, ["device_id", ...lines].join("\n"));
    const clashing = await run("device", "import", file);
    assert.equal(clashing.code, 1);
    for (
      const fault of [
        /^error: line 3: Cannot add "THERE": it differs only in case from "there"$/m,
        /^error: line 4: Cannot name a device "bad id"/m,
        /^error: line 6: Cannot add "Twin": it differs only in case from "twin" of line 5$/m,
      ]
    ) assert.match(clashing.stderr, fault);
    assert.equal(clashing.stderr.match(/^error/gm)?.length, 3);
    assert.deepEqual(bundles(), ["there"]);
    assert.equal((await list()).length, 1);
  });
});

Deno.test("an import that was killed while it took place can be run again", async () => {
  await withSite(async ({ dir, run, list, bundles }) => {
    const file = `${dir}/in.jsonl`;
    await Deno.writeTextFile(file, '{"device_id":"a"}\n{"device_id":"b"}\n');
    // As a kill between the first rename and the commit leaves it.
    await Deno.mkdir(`${dir}/devices/a`);
    await Deno.writeTextFile(`${dir}/devices/.enrolment`, "a\nb\n");
    const again = await run("device", "import", file);
    assert.equal(again.code, 0, again.stderr);
    assert.deepEqual(bundles(), ["a", "b"]);
    assert.ok(Deno.statSync(`${dir}/devices/a/client.crt`).isFile);
    // And as a kill after the commit leaves it.
    await Deno.writeTextFile(`${dir}/devices/.enrolment`, "a\nb\n");
    assert.equal((await run("device", "add", "c")).code, 0);
    assert.deepEqual(bundles(), ["a", "b", "c"]);
    assert.equal((await list()).length, 3);
  });
});

Deno.test("what a killed device add had put into place is on the revocation list after the next one", async () => {
  await withSite(async ({ dir, run, bundles }) => {
    assert.equal((await run("device", "add", "a")).code, 0);
    const certificate = new X509Certificate(Deno.readTextFileSync(`${dir}/devices/a/client.crt`));
    // As a kill between the last rename and the commit leaves it.
    using database = new DatabaseSync(`${dir}/data/gateway.db`);
    for (const table of ["device_certificates", "devices"]) {
      database.exec(`DELETE FROM ${table} WHERE device_id = 'a'`);
    }
    await Deno.writeTextFile(`${dir}/devices/.enrolment`, "a\n");
    const list = () => openssl("crl", "-in", `${dir}/certs/device-ca.crl`, "-noout", "-text");
    const name = certificate.serialNumber;
    assert.ok(!(await list()).includes(name));
    const next = await run("device", "add", "b");
    assert.equal(next.code, 0, next.stderr);
    assert.deepEqual(bundles(), ["b"]);
    assert.ok((await list()).includes(name));
    const again = await run("device", "add", "a");
    assert.equal(again.code, 0, again.stderr);
    assert.ok((await list()).includes(name));
  });
});

Deno.test("adopt brings an existing `devices` table along, or names every fault in it", async () => {
  await withSite(async ({ dir, run, list }) => {
    const path = `${dir}/old.db`;
    const database = new DatabaseSync(path);
    database.exec(`
      CREATE TABLE devices (device_id TEXT PRIMARY KEY, shared_secret TEXT NOT NULL, created_at INTEGER);
      INSERT INTO devices VALUES ('a', 'one', 1727712000), ('b', 'two', NULL), ('B', 'three', 3), ('c/d', 'one', 4),
        ('e', '', 5);
    `);
    const faulty = await run("device", "adopt", path);
    assert.equal(faulty.code, 1);
    assert.match(faulty.stderr, /row \d: Cannot add "\w": it differs only in case/);
    assert.match(faulty.stderr, /row \d: Cannot name a device "c\/d"/);
    assert.match(faulty.stderr, /row 5: Cannot adopt the device: its secret is empty/);
    assert.deepEqual(await list(), []);
    database.exec("DELETE FROM devices WHERE device_id IN ('B', 'c/d', 'e')");
    database.close();
    const adopted = await run("device", "adopt", path);
    assert.equal(adopted.code, 0, adopted.stderr);
    assert.match(adopted.stdout, /^Adopted 2 devices$/m);
    assert.match(
      (await run("device", "adopt", path)).stdout,
      /Adopted 0 devices; 2 were registered already/,
    );
    assert.equal((await list())[0]!["created_at"], "2024-09-30T16:00:00.000Z");
    assert.equal((await run("device", "rotate", "a", "--certificate")).code, 0);
    assert.equal(Deno.readTextFileSync(`${dir}/devices/a/secret`), "one");
    const none = await run("device", "adopt", `${dir}/gateway.toml`);
    assert.equal(none.code, 1);
    assert.match(none.stderr, /Cannot read a registry from .*\nhint: It must be a SQLite file/);
    const special = await run("device", "adopt", "/dev/stdin");
    assert.match(
      special.stderr,
      /from "\/dev\/stdin": It is part of the system, not a regular file/,
    );
  });
});

Deno.test("import names the faults of the file, the devices and the requests in one round", async () => {
  await withSite(async ({ dir, run, bundles }) => {
    assert.equal((await run("device", "add", "there")).code, 0);
    await Deno.mkdir(`${dir}/devices/left`);
    await Deno.writeTextFile(`${dir}/bad.csr`, "no request");
    const rows = [
      "Device ID;Colour;Valid Days;Secret;csr;",
      "a;red;soon;s1;;",
      ";;;;;",
      "there;red;;;;",
      "A;;;;;",
      "a;;;;;",
      "b;;;s1;;",
      "left;;;;;",
      "c;;;;bad.csr;",
      "there;;;;;",
    ];
    await Deno.writeTextFile(`${dir}/in.csv`, rows.join("\r"));
    const { code, stderr } = await run("device", "import", `${dir}/in.csv`);
    assert.equal(code, 1);
    const errors = stderr.replaceAll(dir, "SITE").split("\n").filter((line) => line !== "");
    assert.deepEqual(errors.slice(0, -1), [
      'error: line 1: unknown field "Colour", allowed: device_id, secret, valid_days, csr',
      "error: line 2: valid_days is not a whole number from 1 to 7300",
      'error: line 4: Device "there" exists already',
      'error: line 5: Cannot add "A": it differs only in case from "a" of line 2',
      'error: line 6: "a" has the id of line 2',
      'error: line 7: "b" has the secret of line 2',
      'error: line 8: Cannot make the device\'s folder: "SITE/devices/left" exists already',
      errors[7],
      'error: line 10: Device "there" exists already',
    ]);
    assert.match(errors[7]!, /^error: line 9: Cannot use the certificate request ".*bad.csr": /);
    assert.deepEqual(bundles(), ["left", "there"]);
  });
});

Deno.test("import takes what spreadsheets write, also as UTF-16", async () => {
  await withSite(async ({ dir, run, bundles }) => {
    const text = "\ufeffDevice ID\tValid Days\r\na\t30\r\nb\t\r\n";
    const utf16 = new Uint8Array(Uint16Array.from(text, (char) => char.charCodeAt(0)).buffer);
    await Deno.writeFile(`${dir}/in.txt`, utf16);
    const { code, stderr } = await run("device", "import", `${dir}/in.txt`);
    assert.equal(code, 0, stderr);
    assert.deepEqual(bundles(), ["a", "b"]);
  });
});
