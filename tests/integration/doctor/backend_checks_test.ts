/** What doctor says of a backend's answers, names and clock. */

import assert from "node:assert/strict";
import type { CheckResult } from "../../../src/doctor/check.ts";
import { examine, withPatient } from "../../support/broken_site.ts";

function row(findings: readonly CheckResult[], name: string): string {
  const { status, observed, remedy } = findings.find((finding) => finding.name === name)!;
  return `${status}: ${observed}${remedy === undefined ? "" : ` -> ${remedy}`}`;
}

Deno.test("doctor tells a backend that answers from one that takes readings", async (t) => {
  await withPatient(async (site) => {
    const rows: [status: number, headers: Record<string, string>, said: RegExp][] = [
      [200, {}, /^pass: .* answers 200/],
      [301, { location: "/elsewhere" }, /^fail: .* 301 with Location "\/elsewhere" .*backend\.url/],
      [401, {}, /^fail: .* answers 401 .*Check backend\.url/],
      [404, {}, /^fail: .* answers 404 .*Check backend\.url/],
      [500, {}, /^fail: .* answers 500 .*See the backend's log/],
      [422, {}, /^warn: .* answers 422 .*dead letter/],
    ];
    for (const [status, headers, said] of rows) {
      await t.step(`${status}`, async () => {
        site.backend.answer = () => new Response(null, { status, headers });
        const findings = await examine(site);
        assert.match(row(findings, "backend's answer"), said);
        const delivered = row(findings, "good message");
        const refused = new RegExp(`^skip: the backend takes no reading: .* answers ${status}`);
        assert.match(delivered, said.source.startsWith("^fail") ? refused : /^pass/);
      });
    }

    await t.step("a backend whose clock is ten minutes ahead", async () => {
      site.backend.answer = () =>
        new Response(null, { headers: { date: new Date(Date.now() + 600_000).toUTCString() } });
      assert.match(
        row(await examine(site), "other clocks"),
        /^fail: the backend's clock is (599|600|601)\.\d s ahead of this one, give or take/,
      );
      site.backend.answer = () =>
        new Response(null, { headers: { date: new Date(Date.now() - 200_000).toUTCString() } });
      assert.match(row(await examine(site), "other clocks"), /^warn: .* \d+\.\d s behind this one/);
    });

    await t.step("names that do not resolve", async () => {
      const { configuration } = site.layout;
      const toml = await Deno.readTextFile(configuration);
      const changed = toml.replace(/^(url = "http:\/\/)[^:/"]+/m, "$1backend.invalid");
      assert.notEqual(changed, toml);
      await Deno.writeTextFile(configuration, changed);
      const findings = await examine(site, { silent: true });
      assert.match(row(findings, "host names"), /^fail: backend\.url "backend\.invalid" does not/);
      await Deno.writeTextFile(configuration, toml);
    });
  });
});
