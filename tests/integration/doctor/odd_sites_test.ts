import assert from "node:assert/strict";
import { poll } from "../../../src/time/poll.ts";
import { isHealthy } from "../../../src/doctor/doctor_run.ts";
import { itemsOf } from "../../support/batch_backend.ts";
import { shell } from "../../support/shell.ts";
import { contentsOf, examine, named, setting, withPatient } from "../../support/broken_site.ts";

Deno.test("doctor on odd sites: a backend that refuses for now, sealed secrets, bad settings", async (t) => {
  await withPatient(async (site) => {
    const { directory, configuration } = site.layout;

    await t.step(
      "a backend that does not take a message: good message, and no trace of it",
      async () => {
        const before = await contentsOf(site);
        const { answer } = site.backend;
        site.backend.answer = () => new Response(null, { status: 503 });
        const findings = await examine(site);
        assert.deepEqual(named(findings, "fail"), ["backend's answer"]);
        assert.match(
          findings.find(({ name }) => name === "backend's answer")!.observed,
          /^http:.* answers 503 to a POST of doctor: readings wait while it does$/,
        );
        assert.ok(named(findings, "skip").includes("good message"));
        assert.deepEqual(await contentsOf(site), before);
        site.backend.answer = answer;
        await poll("an empty outbox", async () => await site.metric("pending") === 0);
      },
    );

    await t.step("with batches, the backend is asked with a batch of one", async () => {
      const toml = await Deno.readTextFile(configuration);
      await Deno.writeTextFile(
        configuration,
        toml.replace(/^#? ?batch_max = .*$/m, "batch_max = 9"),
      );
      const findings = await examine(site);
      await Deno.writeTextFile(configuration, toml);
      assert.equal(findings.find(({ name }) => name === "backend's answer")!.status, "pass");
      const batches = site.backend.received.filter(({ path }) => path === "/batch");
      assert.deepEqual(batches.map((batch) => itemsOf(batch).length), [1]);
    });

    await t.step(
      "with traceparent, the backend is asked with one, alone and in a batch",
      async () => {
        const toml = await Deno.readTextFile(configuration);
        const traced = toml.replace(/^#? ?traceparent = .*$/m, "traceparent = true");
        const batched = traced.replace(/^#? ?batch_max = .*$/m, "batch_max = 9");
        const before = site.backend.received.length;
        for (const changed of [traced, batched]) {
          await Deno.writeTextFile(configuration, changed);
          await examine(site);
        }
        await Deno.writeTextFile(configuration, toml);
        const asked = site.backend.received.slice(before);
        const [alone] = asked.map(({ headers }) => headers.get("traceparent") ?? undefined)
          .filter((field) => field !== undefined);
        const batch = asked.find(({ path }) => path === "/batch")!;
        for (const field of [alone, itemsOf(batch)[0]!.traceparent]) {
          assert.match(String(field), /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
        }
      },
    );

    await t.step(
      "sealed secrets are no hindrance; without their key nothing is registered",
      async () => {
        assert.equal((await shell(["secrets", "seal", "--dir", directory])).code, 0);
        const findings = await examine(site);
        assert.ok(isHealthy(findings), JSON.stringify(findings));
        assert.equal((await shell(["device", "add", "altered", "--dir", directory])).code, 0);
        const alter = "UPDATE devices SET shared_secret = substr(shared_secret, 1, " +
          "length(shared_secret) - 4) || 'AAAA'";
        site.withStore((store) => store.prepare(alter).run());
        const rows = (await examine(site)).find(({ name }) => name === "devices' rows")!;
        assert.match(rows.observed, /^"altered" is damaged: its secret was altered/);
        assert.equal((await shell(["device", "remove", "altered", "--dir", directory])).code, 0);
        await Deno.rename(`${directory}/secrets.key`, `${directory}/kept`);
        const before = await contentsOf(site);
        const without = await examine(site);
        assert.deepEqual(named(without, "fail"), ["secrets"]);
        assert.ok(named(without, "skip").includes("unsigned message"));
        assert.deepEqual(await contentsOf(site), before);
        await Deno.rename(`${directory}/kept`, `${directory}/secrets.key`);
      },
    );

    await t.step(
      "settings that cannot be used: settings, and nothing else is looked at",
      async () => {
        const toml = await Deno.readTextFile(configuration);
        await Deno.writeTextFile(configuration, setting(toml, "timeout", "soon"));
        const { code, stdout } = await shell(["doctor", "--json", "--dir", directory]);
        await Deno.writeTextFile(configuration, toml);
        assert.equal(code, 1);
        const [row, ...more] = JSON.parse(stdout);
        assert.deepEqual(more, []);
        assert.equal(row.status, "fail");
        assert.match(row.observed, /backend\.timeout: must be a duration/);
      },
    );
  }, { backendTimeout: "100ms" });
});
