import assert from "node:assert/strict";
import { ChildProcess } from "../../../src/demo/sandbox/child_process.ts";
import { programCommand } from "../../../src/demo/sandbox/gateway_process.ts";
import { poll } from "../../../src/time/poll.ts";
import { ALL_CHECKS, isHealthy } from "../../../src/doctor/doctor_run.ts";
import {
  createRevocationList,
  issueClientCertificate,
  openAuthority,
  revokedBy,
} from "../../../src/site/pki/authority.ts";
import { shell } from "../../support/shell.ts";
import type { LiveSite } from "../../support/live_site.ts";
import { contentsOf, examine, named, withPatient } from "../../support/broken_site.ts";

const UNSENT = ["backend's answer", "good message", "replayed message"];
const UNASKED = UNSENT.toSpliced(1, 0, "other clocks");
/** Between two messages of a device, so that a busy machine keeps up with it. */
const PACE_MS = 10;
const READING = '{"temperature":22.5}';

/** A fault, the row that finds it, and how it comes about in a file. */
interface Fault {
  readonly what: string;
  readonly row: string;
  readonly path: (layout: LiveSite["layout"]) => string;
  /** Also attack what runs, which goes by the file as it was. */
  readonly live?: true;
  /** Rows of a live attack that cannot be made then. */
  readonly skipped?: readonly string[];
  readonly change: (text: string, site: LiveSite) => string | Promise<string>;
}

const inBroker = { path: (layout: LiveSite["layout"]) => layout.brokerConfiguration };

const FAULTS: readonly Fault[] = [
  {
    what: "a listener for everybody at the end",
    row: "listeners",
    ...inBroker,
    change: (text) => `${text}\nlistener 1884\nallow_anonymous true\n`,
  },
  {
    what: "a line of a listener above the first one",
    row: "listeners",
    ...inBroker,
    change: (text) => `allow_anonymous false\n${text}`,
  },
  {
    what: "a listener for everybody in a file that is included",
    row: "listeners",
    ...inBroker,
    change: async (text, { layout }) => {
      const folder = `${layout.directory}/../conf.d`;
      await Deno.mkdir(folder);
      await Deno.writeTextFile(`${folder}/local.conf`, "listener 1884\nallow_anonymous 1\n");
      return `${text}\ninclude_dir ${folder}\n`;
    },
  },
  {
    what: "anonymous clients allowed",
    row: "devices' listener",
    ...inBroker,
    change: (text) => text.replace("allow_anonymous false", "allow_anonymous true"),
  },
  {
    what: "a second line that takes the first one back",
    row: "gateway's listener",
    ...inBroker,
    change: (text) => `${text}\nrequire_certificate false\n`,
  },
  {
    what: "no certificate required",
    row: "devices' listener",
    ...inBroker,
    change: (text) => text.replace("require_certificate true", "require_certificate false"),
  },
  {
    what: "names that are not the certificate's",
    row: "devices' listener",
    ...inBroker,
    change: (text) => text.replace("use_identity_as_username true\n", ""),
  },
  {
    what: "retained messages",
    row: "broker configuration",
    ...inBroker,
    change: (text) => text.replace("retain_available false", ""),
  },
  {
    what: "every topic for everybody",
    row: "devices' access list",
    live: true,
    path: ({ aclDevices }) => aclDevices,
    change: (text) => `${text}topic #\n`,
  },
  {
    what: "a gateway that may speak as a device",
    row: "gateway's access list",
    path: ({ aclGateway }) => aclGateway,
    change: (text) => `${text}pattern write device/+/data\n`,
  },
  {
    what: "another certificate of the same name and authority",
    row: "key pairs",
    live: true,
    skipped: ["acknowledgement, receipt"],
    path: ({ gateway }) => gateway.certificate,
    change: async (_text, { layout }) => {
      const authority = await authorityOf(layout.gatewayCa);
      const options = { commonName: "gateway", nowMs: Date.now() };
      return (await issueClientCertificate(authority, options)).certificatePem;
    },
  },
  {
    what: "a revocation list that has expired",
    row: "revocation list",
    live: true,
    path: ({ revocationList }) => revocationList,
    change: async (text, { layout }) => {
      const authority = await authorityOf(layout.deviceCa);
      const notAfter = new Date(Date.now() - 1_000);
      const certificate = new Proxy(authority.certificate, {
        get: (target, name) => {
          const value = name === "notAfter" ? notAfter : Reflect.get(target, name, target);
          return typeof value === "function" ? value.bind(target) : value;
        },
      });
      const revoked = await revokedBy(authority.certificate, text) ?? [];
      return await createRevocationList({ ...authority, certificate }, {
        revoked,
        number: 2,
        nowMs: Date.now() - 5_000,
      });
    },
  },
];

async function authorityOf({ certificate, key }: { certificate: string; key: string }) {
  const opened = await openAuthority({
    certificatePem: await Deno.readTextFile(certificate),
    keyPem: await Deno.readTextFile(key),
  });
  assert.ok(opened.ok);
  return opened.authority;
}

/** Waits until the gateway has nothing left to do. */
async function settled(site: LiveSite): Promise<void> {
  await poll("an empty outbox", async () => await site.metric("pending") === 0);
}

/** Examines the site with one fault in it, which is taken out again. */
async function withFault(site: LiveSite, { path, change, live }: Fault) {
  const file = path(site.layout);
  const before = await Deno.readTextFile(file);
  await Deno.writeTextFile(file, await change(before, site));
  try {
    return await examine(site, { offline: !live });
  } finally {
    await Deno.writeTextFile(file, before);
  }
}

Deno.test("doctor finds a healthy site healthy, one fault by its row, and leaves nothing behind", async (t) => {
  await withPatient(async (site, gateway) => {
    const neighbour = await site.device("sensor_001");
    await neighbour.send(READING);
    await site.received(1);
    await settled(site);

    await t.step(
      "a healthy site: every row ok, exit code 0, nothing left, neighbours unharmed",
      async () => {
        const before = await contentsOf(site);
        const { code, stdout, stderr } = await shell([
          ...["doctor", "--json", "--dir", site.layout.directory],
        ]);
        const rows: { name: string; status: string; observed: string }[] = JSON.parse(stdout);
        assert.deepEqual(rows.filter(({ status }) => status !== "pass"), []);
        assert.deepEqual(rows.map(({ name }) => name), [
          "settings",
          ...ALL_CHECKS.map((c) => c.name),
        ]);
        assert.equal(code, 0, stderr);
        assert.match(stderr, /^All checks passed: \d+ pass$/m);
        assert.deepEqual(await contentsOf(site), before);
        const [, trial, other, ...more] = site.backend.received;
        assert.match(trial!.deviceId, /^doctor-/);
        assert.match(other!.deviceId, /^doctor-/);
        assert.deepEqual(more, []);
        assert.ok(neighbour.connected);
        const { messageId } = await neighbour.send(READING);
        await neighbour.response(messageId);
        await settled(site);
      },
    );

    await t.step("an answer of 422 is one, and its dead letter does not stay", async () => {
      const before = await contentsOf(site);
      const answer = site.backend.answer;
      site.backend.answer = () => new Response(null, { status: 422 });
      const findings = await examine(site);
      site.backend.answer = answer;
      const { status, observed } = findings.find(({ name }) => name === "good message")!;
      assert.equal(status, "pass", observed);
      assert.match(observed, /answered 422/);
      assert.deepEqual(await contentsOf(site), before);
      await settled(site);
    });

    await t.step(
      "a neighbour that talks all the while notices nothing, and loses nothing",
      async () => {
        const sent: string[] = [];
        let done = false;
        const talk = (async () => {
          while (!done) {
            sent.push((await neighbour.send(READING)).messageId);
            await new Promise((resolve) => setTimeout(resolve, PACE_MS));
          }
        })();
        assert.deepEqual(named(await examine(site), "pass"), ALL_CHECKS.map(({ name }) => name));
        done = true;
        await talk;
        await Promise.all(sent.map((id) => neighbour.response(id, { timeoutMs: 30_000 })));
        assert.ok(neighbour.connected && sent.length > 1);
        assert.equal(await site.metric("broker_connects_total"), 1);
        await settled(site);
      },
    );

    await t.step("only one doctor at a time", async () => {
      const first = examine(site, { offline: true });
      await assert.rejects(examine(site), /Another doctor is running/);
      await first;
    });

    for (const fault of FAULTS) {
      await t.step(`${fault.what}: ${fault.row}`, async () => {
        const findings = await withFault(site, fault);
        assert.deepEqual(named(findings, "fail"), [fault.row], JSON.stringify(findings));
        const skipped = named(findings, "skip");
        if (fault.live) assert.deepEqual(skipped, fault.skipped ?? []);
        else assert.notEqual(skipped.length, 0);
        assert.ok(!isHealthy(findings));
      });
    }

    await t.step(
      "a list that names nobody: nothing can be shown by it, and that is said",
      async () => {
        const { revocationList, deviceCa } = site.layout;
        const before = await Deno.readTextFile(revocationList);
        const empty = { revoked: [], number: 2, nowMs: Date.now() };
        const list = await createRevocationList(await authorityOf(deviceCa), empty);
        await Deno.writeTextFile(revocationList, list);
        const findings = await examine(site, { silent: true });
        await Deno.writeTextFile(revocationList, before);
        assert.deepEqual(named(findings, "warn"), ["revoked certificate"]);
        assert.ok(isHealthy(findings));
      },
    );

    await t.step(
      "the authority's key was moved away: what needs it is skipped, and says so",
      async () => {
        const { key } = site.layout.deviceCa;
        await Deno.rename(key, `${key}.away`);
        const findings = await examine(site);
        await Deno.rename(`${key}.away`, key);
        assert.deepEqual(named(findings, "fail"), []);
        assert.ok(named(findings, "pass").includes("no certificate"));
        const skipped = findings.filter(({ status }) => status === "skip");
        assert.equal(skipped[0]!.name, "good certificate");
        assert.match(skipped[0]!.observed, /^Cannot read ".*device-ca.key"/);
        assert.ok(!isHealthy(findings));
      },
    );

    await t.step("a key that others may read: file modes", async () => {
      await Deno.chmod(site.layout.broker.key, 0o644);
      const { code, stdout, stderr } = await shell(["doctor", "--dir", site.layout.directory]);
      await Deno.chmod(site.layout.broker.key, 0o600);
      assert.equal(code, 1);
      const row =
        "file modes                        fail    certs/broker.key has mode 0644: others";
      assert.deepEqual(stdout.match(/^.* fail .*$/gm)?.map((line) => line.trim()), [row, row]);
      assert.match(stdout, /^ +-> chmod go=/m);
      assert.match(stderr, /^error: Some checks failed: \d+ pass, 1 fail$/m);
    });

    await t.step("a clock that is an hour behind: clock", async () => {
      const shift = (seconds: number) =>
        site.withStore((store) =>
          store.prepare("UPDATE replay_slices SET newest_seconds = newest_seconds + ?").run(seconds)
        );
      shift(3_600);
      const findings = await examine(site);
      shift(-3_600);
      assert.deepEqual(named(findings, "fail"), ["clock"]);
      assert.match(findings.find(({ name }) => name === "clock")!.observed, /is 3[56]\d\d s ahead/);
    });

    await t.step("--no-message: nothing reaches the backend, and that is fine", async () => {
      const received = site.backend.received.length;
      const findings = await examine(site, { silent: true });
      assert.ok(isHealthy(findings));
      assert.deepEqual(named(findings, "skip"), UNASKED);
      assert.equal(site.backend.received.length, received);
    });

    await t.step(
      "a run that is stopped leaves nothing; one that is killed, only for the next run",
      async () => {
        const before = await contentsOf(site);
        const answer = site.backend.answer;
        const { promise: late, resolve } = Promise.withResolvers<void>();
        site.backend.answer = async (reading) => {
          await late;
          return answer(reading);
        };
        for (const signal of ["SIGINT", "SIGKILL"] as const) {
          const { length } = site.backend.received;
          const run = new ChildProcess(programCommand("doctor", "--dir", site.layout.directory));
          await site.received(length + 1);
          run.kill(signal);
          assert.equal((await run.exited).success, false);
          if (signal === "SIGKILL") break;
          assert.match(run.stderr, /Stopped before the end; the test device was removed/);
          assert.deepEqual(await contentsOf(site), before);
        }
        assert.notDeepEqual(await contentsOf(site), before);
        resolve();
        site.backend.answer = answer;
        const findings = await examine(site);
        assert.deepEqual(named(findings, "warn"), ["earlier runs"]);
        assert.ok(isHealthy(findings));
        assert.deepEqual(await contentsOf(site), before);
        await settled(site);
      },
    );

    await t.step("the backend is away: backend", async () => {
      const before = await contentsOf(site);
      await site.backend.stop();
      const findings = await examine(site);
      assert.deepEqual(named(findings, "fail"), ["backend"]);
      assert.deepEqual(named(findings, "skip"), UNSENT);
      assert.deepEqual(await contentsOf(site), before);
    });

    await t.step("the gateway is away: its rows are skipped, and that is not fine", async () => {
      await gateway.stop();
      const findings = await examine(site);
      assert.deepEqual(named(findings, "fail"), ["backend"]);
      const skipped = findings.filter(({ status }) => status === "skip");
      assert.match(
        skipped[0]!.observed,
        /^the gateway does not answer at localhost.*; to start it: secure-iot-gateway run --dir \S+$/,
      );
      assert.ok(skipped.some(({ name }) => name === "unsigned message"));
      assert.ok(!isHealthy(findings));
    });

    await t.step("the broker is away: skipped, which is fine only with --offline", async () => {
      await site.stopBroker();
      const findings = await examine(site);
      const skipped = findings.filter(({ status }) => status === "skip");
      assert.equal(skipped[0]!.name, "no certificate");
      assert.match(
        skipped[0]!.observed,
        /^the broker does not answer at 127.0.0.1.*; to start it: mosquitto -c \S+mosquitto.conf$/,
      );
      assert.ok(!isHealthy(findings));
      const offline = await examine(site, { offline: true });
      assert.deepEqual(named(offline, "fail"), []);
      assert.ok(isHealthy(offline));
    });

    await t.step("a page of the database that is damaged: store", async () => {
      site.withStore((store) => store.prepare("PRAGMA wal_checkpoint(TRUNCATE)").get());
      const file = await Deno.open(site.layout.database, { write: true });
      await file.seek(2 * 4_096, Deno.SeekMode.Start);
      await file.write(new Uint8Array(4_096).fill(0x55));
      file.close();
      const findings = await examine(site, { offline: true });
      assert.deepEqual(named(findings, "fail"), ["store"]);
      assert.match(findings.find(({ name }) => name === "store")!.observed, /is damaged/);
    });
  });
});
