/** `sign` and `verify`, as a firmware author uses them. */

import assert from "node:assert/strict";
import { tryInSite } from "../../../src/diagnosis/message_trial.ts";
import { readEnvelope } from "../../../src/core/envelope.ts";
import { REJECTION_CODES } from "../../../src/core/rejection.ts";
import { originOf } from "../../../src/core/topic.ts";
import { Registry } from "../../../src/store/sqlite/registry.ts";
import { ReplayGuard } from "../../../src/store/sqlite/replay_guard.ts";
import { Database } from "../../../src/store/sqlite/database.ts";
import { openStore } from "../../../src/store/open_store.ts";
import { siteLayout } from "../../../src/site/layout.ts";
import {
  DEVICE_ID,
  message,
  MESSAGE_ID,
  NOW,
  outcomeOf,
  SECRET,
  TIMESTAMP,
} from "../../support/judge.ts";
import { withFolder } from "../../support/with_folder.ts";
import type { FinishedRun } from "../../support/finished_run.ts";
import { shell } from "../../support/shell.ts";
import VECTORS from "../../vectors/uplink.json" with { type: "json" };

const EXAMPLE = VECTORS[0]!.message;
const AT = ["--at", String(NOW)];

/** A folder with the example's secret in a file. */
async function withSecret(work: (file: string, folder: string) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/secret`, `${SECRET}\n`);
    await work(`${folder}/secret`, folder);
  });
}

/** A site with the example's device. */
async function withSite(work: (dir: string) => Promise<void>): Promise<void> {
  await withSecret(async (file, folder) => {
    const dir = `${folder}/site`;
    for (const args of [["init"], ["device", "add", DEVICE_ID, "--secret-file", file]]) {
      const made = await shell([...args, "--dir", dir]);
      assert.equal(made.code, 0, made.stderr);
    }
    await work(dir);
  });
}

async function inStore(dir: string, work: (store: Database) => unknown): Promise<void> {
  const store = new Database(siteLayout(dir).database);
  try {
    await work(store);
  } finally {
    store.close();
  }
}

function sign(json: string, ...args: string[]): Promise<FinishedRun> {
  return shell(["sign", DEVICE_ID, json, ...args]);
}

/** Verifies a message that comes on stdin. */
function verify(text: string, ...args: string[]): Promise<FinishedRun> {
  return shell(["verify", DEVICE_ID, "-", ...args], text);
}

/** What a report says of each check. */
function checks(report: string): Record<string, string> {
  const lines = report.split("\n").map((line) => /^(\w+) {2,}(.+)$/.exec(line));
  return Object.fromEntries(lines.flatMap((line) => line ? [[line[1]!, line[2]!]] : []));
}

function errors(result: FinishedRun): string[] {
  assert.equal(result.stdout, "");
  return result.stderr.trimEnd().split("\n");
}

Deno.test("sign prints the contract's own example, byte for byte, in one line", async () => {
  await withSecret(async (file) => {
    const args = ["--timestamp", TIMESTAMP, "--message-id", MESSAGE_ID, "--secret-file", file];
    const result = await sign(' {"temperature": 22.5,\n"humidity":60 } ', ...args);
    assert.deepEqual(result, { code: 0, stdout: `${EXAMPLE}\n`, stderr: "" });
  });
});

Deno.test("sign keeps numbers, escapes, key order and characters as they are given", async () => {
  await withSecret(async (file) => {
    const json = '{"z":22.0,"10":1E+2,"9":-0,"big":12345678901234567890,"é":"caf\\u00e9\\/ ☕"}';
    const signed = await sign(json, "--secret-file", file);
    assert.ok(signed.stdout.includes(`"payload":${json},"signature"`), signed.stdout);
    assert.equal((await verify(signed.stdout, "--secret-file", file)).code, 0);
  });
});

Deno.test("sign takes the secret from the site, the time from now and a fresh UUID version 4", async () => {
  await withSite(async (dir) => {
    const results = [await sign("1", "--dir", dir), await sign("1", "--dir", dir)];
    const ids = results.map(({ stdout }) => {
      const envelope = readEnvelope(new TextEncoder().encode(stdout));
      assert.ok(envelope.kind === "envelope");
      assert.ok(Math.abs(envelope.timestampSeconds - Date.now() / 1000) < 60);
      return envelope.messageId;
    });
    assert.notEqual(ids[0], ids[1]);
    const report = await verify(results[0]!.stdout, "--dir", dir);
    assert.equal(report.code, 0, report.stdout);
    const unknown = await shell(["sign", "sensor_009", "1", "--dir", dir]);
    assert.equal(unknown.code, 1);
    assert.match(errors(unknown)[0]!, /^error: There is no device "sensor_009"$/);
  });
});

Deno.test("sign names all that is wrong at once, with exit code 2", async () => {
  await withSecret(async (file) => {
    const wrong = ["--timestamp", "1727712000123", "--message-id", "5-\u001b[31m"];
    const args = ["sign", "a/b", '{"a":01}', ...wrong, "--secret-file", file];
    const result = await shell(args);
    assert.equal(result.code, 2);
    const [id, timestamp, messageId, payload, ...rest] = errors(result);
    assert.match(id!, /^error: .*"a\/b": an id has 1 to 64 letters/);
    assert.match(timestamp!, /^error: .*"1727712000123": it must be ten digits of Unix seconds$/);
    assert.match(messageId!, /^error: .*"5-\\u001b\[31m": it must be a UUID version 4$/);
    assert.match(payload!, /^error: .*payload: number with a leading zero, at byte 6$/);
    assert.deepEqual(rest, []);
  });
});

Deno.test("sign refuses what the gateway would, one field at a time", async () => {
  await withSecret(async (file) => {
    const rows: [string, string[]][] = [
      ["", []],
      ["{} {}", []],
      [`${"[".repeat(65)}${"]".repeat(65)}`, []],
      [`"${"x".repeat(65_400)}"`, []],
      ["1", ["--timestamp", "172771200"]],
      ["1", ["--timestamp", `${TIMESTAMP} `]],
      ["1", ["--timestamp", `${TIMESTAMP},"timestamp":${TIMESTAMP}`]],
      ["1", ["--message-id", "550e8400-e29b-11d4-a716-446655440000"]],
      ["1", ["--message-id", MESSAGE_ID.replaceAll("-", "")]],
      ["1", ["--message-id", `${MESSAGE_ID}","x":"`]],
    ];
    for (const [json, args] of rows) {
      const result = await sign(json, ...args, "--secret-file", file);
      assert.equal(result.code, 2, json.slice(0, 80) + args.join(" "));
      assert.match(errors(result).join(), /^error: Cannot sign /);
    }
  });
});

Deno.test("verify prints every check, the signed text, both signatures and the verdict", async () => {
  await withSecret(async (file) => {
    const result = await verify(EXAMPLE, "--secret-file", file, ...AT);
    assert.equal(result.code, 0);
    assert.match(
      result.stderr,
      /^note: the gateway also refuses what is published with the retain/,
    );
    assert.equal(
      result.stdout,
      `A message of 225 bytes from sensor_001, judged at 1727712050 (2024-09-30T16:00:50Z)

malformed               pass
identity_mismatch       pass
unknown_device          skipped: no site
device_revoked          skipped: no site
invalid_signature       pass
timestamp_out_of_range  pass
replayed                skipped: no site
rate_limited            skipped: it depends on what else the device sends

Signed text, compact payload, 90 bytes:
  sensor_0011727712000550e8400-e29b-41d4-a716-446655440000{"temperature":22.5,"humidity":60}
Its signature:
  120fbf35ca1382d7e3087574d6cb6a450ffd137b22eaf9d1dee164f0710010c9

The message's signature:
  120fbf35ca1382d7e3087574d6cb6a450ffd137b22eaf9d1dee164f0710010c9

Accepted message from sensor_001
`,
    );
    const retained = await verify(EXAMPLE, "--secret-file", file, ...AT, "--retained");
    assert.match(retained.stdout, /Malformed message: retained, in the broker's flags\n$/);
    assert.match(retained.stderr, /^hint: Publish without the retain flag/);
  });
});

Deno.test("verify prints both texts that may be signed where the payload has white space", async () => {
  await withSecret(async (file) => {
    const spaced = EXAMPLE.replace('{"temperature":22.5,', '{\n\t"temperature": 22.5,');
    const { code, stdout } = await verify(spaced, "--secret-file", file, ...AT);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /^Signed text, compact payload, 90 bytes:\n {2}\S+:22\.5,\S+$/m);
    assert.match(
      stdout,
      /^Signed text, payload as sent, 93 bytes, escaped for the terminal:\n.*\{\\u000a\\u0009"temperature": 22\.5,/m,
    );
    assert.equal(stdout.match(/^Its signature:\n {2}[0-9a-f]{64}$/gm)?.length, 2);
  });
});

/** In the order of the checks: what is wrong in the n-th row is right in all after it. */
Deno.test("verify stops at the first check that fails, and says so of the others", async () => {
  await withSite(async (dir) => {
    await inStore(dir, (store) => {
      const replayGuard = new ReplayGuard(store);
      replayGuard.transaction({ nowSeconds: Number(TIMESTAMP), segmentSeconds: 300 }, () => {
        replayGuard.remember(DEVICE_ID, MESSAGE_ID, Number(TIMESTAMP) - 1); // another message's
      });
    });
    const other = await message("{}", { deviceId: "sensor_002" });
    const stale = ["--at", String(NOW + 251)];
    const rows: [string, string, string[]][] = [
      ["malformed", "{", AT],
      ["identity_mismatch", other, AT],
      ["invalid_signature", EXAMPLE.replace("22.5", "99.9"), stale],
      ["timestamp_out_of_range", EXAMPLE, stale],
      ["replayed", EXAMPLE, AT],
    ];
    for (const [code, text, at] of rows) {
      const result = await verify(text, "--dir", dir, ...at);
      assert.equal(result.code, 1, result.stdout + result.stderr);
      const place = REJECTION_CODES.indexOf(code as typeof REJECTION_CODES[number]);
      const expected = REJECTION_CODES.map((name, i) => [
        name,
        i < place ? "pass" : i === place ? "FAIL" : "not reached",
      ]);
      assert.deepEqual(checks(result.stdout), Object.fromEntries(expected));
    }
    const unused = await message("{}", { messageId: crypto.randomUUID() });
    const fresh = await verify(unused, "--dir", dir, ...AT);
    assert.equal(fresh.code, 0, fresh.stdout);
    assert.equal(checks(fresh.stdout)["replayed"], "pass");
  });
});

Deno.test("verify names an unknown device, another spelling of it, a revoked and an expired one", async () => {
  await withSite(async (dir) => {
    const said = async (id: string, at = AT) => {
      const text = await message("{}", { deviceId: id });
      const { code, stdout, stderr } = await shell(
        ["verify", id, "-", "--dir", dir, ...at],
        text,
      );
      assert.equal(code, 1);
      return [stdout.trimEnd().split("\n").at(-1), stderr.trimEnd()];
    };
    assert.deepEqual(await said("sensor_009"), [
      "Rejected message from sensor_009: Unknown device",
      "hint: Register it: secure-iot-gateway device add sensor_009",
    ]);
    assert.deepEqual(await said("Sensor_001"), [
      "Rejected message from Sensor_001: Unknown device",
      'hint: "sensor_001" is registered: upper and lower case differ',
    ]);
    const [expired, why] = await said(DEVICE_ID, ["--at", "9999999999"]);
    assert.equal(expired, "Rejected message from sensor_001: Device revoked");
    assert.match(why!, /^hint: Its certificate expired at \d{4}-.*Z: .* device rotate /);
    await inStore(dir, (store) => {
      new Registry(store).revoke(DEVICE_ID, { revokedAt: 1_700_000_000, reason: "lost" });
    });
    assert.deepEqual(await said(DEVICE_ID), [
      "Rejected message from sensor_001: Device revoked",
      "hint: It was revoked at 2023-11-14T22:13:20Z: secure-iot-gateway device restore sensor_001",
    ]);
  });
});

Deno.test("verify names the device whose secret was used instead", async () => {
  await withSite(async (dir) => {
    await shell(["device", "add", "sensor_002", "--dir", dir]);
    const secret = `${dir}/devices/sensor_002/secret`;
    const signed = await sign('{"a":1}', "--secret-file", secret);
    const { code, stderr } = await verify(signed.stdout, "--dir", dir);
    assert.equal(code, 1);
    assert.equal(stderr, "hint: The signature is made with the secret of sensor_002\n");
  });
});

Deno.test("verify refuses what the gateway may have forgotten, unless it is asked of another time", async () => {
  await withSite(async (dir) => {
    const signed = await sign("1", "--dir", dir);
    const ahead = Math.floor(Date.now() / 1000) + 60;
    await inStore(dir, (store) => {
      const replayGuard = new ReplayGuard(store);
      replayGuard.transaction({ nowSeconds: ahead, segmentSeconds: 300 }, () => {
        replayGuard.remember(DEVICE_ID, MESSAGE_ID, ahead);
      });
      replayGuard.transaction({ nowSeconds: ahead + 600, segmentSeconds: 300 }, () => {
        replayGuard.forget(ahead + 1);
      });
    });
    const now = await verify(signed.stdout, "--dir", dir);
    assert.equal(now.code, 1);
    assert.match(now.stdout, /Timestamp out of range\n$/);
    assert.match(now.stderr, /^hint: The gateway's clock was ahead/);
    const at = await verify(signed.stdout, "--dir", dir, "--at", String(ahead));
    assert.equal(at.code, 0, at.stdout);
  });
});

Deno.test("verify leaves no trace: a message stays as fresh as it was", async () => {
  await withSite(async (dir) => {
    const { stdout } = await sign("1", "--dir", dir);
    for (let i = 0; i < 2; i++) assert.equal((await verify(stdout, "--dir", dir)).code, 0);
    await inStore(dir, (store) => assert.equal(new ReplayGuard(store).count(), 0));
  });
});

Deno.test("verify goes by the site's tolerance", async () => {
  await withSite(async (dir) => {
    const toml = siteLayout(dir).configuration;
    const text = await Deno.readTextFile(toml);
    await Deno.writeTextFile(toml, text.replace(/^# tolerance = .*$/m, 'tolerance = "10s"'));
    const { code, stderr } = await verify(EXAMPLE, "--dir", dir, ...AT);
    assert.equal(code, 1);
    assert.match(stderr, /50 s behind now, 10 s are allowed/);
  });
});

Deno.test("verify takes a given secret to a site only where the site is named", async () => {
  await withSite(async (dir) => {
    const file = `${dir}/devices/${DEVICE_ID}/secret`;
    const text = await message("{}", { deviceId: "sensor_009" });
    const args = ["verify", "sensor_009", "-", "--secret-file", file, ...AT];
    assert.equal((await shell(args, text)).code, 0);
    const named = await shell([...args, "--dir", dir], text);
    assert.equal(named.code, 1);
    assert.match(named.stdout, /Unknown device\n$/);
  });
});

Deno.test("verify shows text from the message without obeying it", async () => {
  await withSecret(async (file) => {
    const payload = '{"a\u009b31m":"\u202e\u2028"}';
    const { code, stdout } = await verify(await message(payload), "--secret-file", file, ...AT);
    assert.equal(code, 0);
    assert.ok(stdout.includes('{"a\\u009b31m":"\\u202e\\u2028"}'), stdout);
    const sixth = EXAMPLE.replace('"payload"', '"x\u009b\u2028":1,"payload"');
    const { stderr } = await verify(sixth, "--secret-file", file, ...AT);
    assert.match(stderr, /^hint: "x\\u009b\\u2028" is not a field of a message/);
  });
});

Deno.test("verify reads a file, and answers wrong use with exit code 2", async () => {
  await withSecret(async (secret, folder) => {
    const at = (file: string, ...args: string[]) =>
      shell(["verify", DEVICE_ID, file, "--secret-file", secret, ...args]);
    await Deno.writeTextFile(`${folder}/message`, `${EXAMPLE}\n`);
    assert.equal((await at(`${folder}/message`, ...AT)).code, 0);
    await Deno.writeTextFile(`${folder}/long`, EXAMPLE + " ".repeat(65_536));
    const { stdout } = await at(`${folder}/long`);
    assert.match(stdout, /Malformed message: 65761 bytes, at most 65536 allowed\n$/);
    await Deno.writeFile(`${folder}/large`, new Uint8Array(1_048_577));
    const rows: [Promise<FinishedRun>, RegExp][] = [
      [at(`${folder}/none`), /^error: Cannot read the message from ".*none": /],
      [at(folder), /^error: Cannot read the message from ".*": /],
      [at(`${folder}/large`), /^error: .* over 1048576 bytes$/],
      [at(`${folder}/message`, "--at", "yesterday"), /^error: Cannot judge at "yesterday": /],
    ];
    for (const [result, pattern] of rows) {
      assert.equal((await result).code, 2);
      assert.match(errors(await result)[0]!, pattern);
    }
    const both = await shell(["verify", "a b", "-", "--at", "1", "--secret-file", secret]);
    assert.equal(both.code, 2);
    assert.equal(errors(both).length, 2);
  });
});

Deno.test("verify's verdict is the contract's on every vector", async () => {
  await withFolder(async (folder) => {
    const place = { database: `${folder}/gateway.db` };
    const store = await openStore(place, { author: "command", create: true });
    try {
      const registered = Object.entries(VECTORS[0]!.registered);
      await store.registry.addAll(registered.map(([deviceId, sharedSecret]) => ({
        deviceId,
        sharedSecret,
        createdAt: undefined,
      })));
      for (const { name, topic, now, message, expect } of VECTORS) {
        const subject = {
          bytes: new TextEncoder().encode(message),
          identity: originOf(topic).identity,
          nowSeconds: now,
          now: false,
          retained: false,
          toleranceSeconds: 300,
        };
        const { verdict } = await tryInSite(subject, { store, secret: undefined });
        assert.equal(outcomeOf(verdict), expect, name);
      }
    } finally {
      await store.close();
    }
  });
});
