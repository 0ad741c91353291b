/** The bench cannot rot: all its parts run, with amounts that take seconds. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { findMosquitto } from "../../src/demo/sandbox/broker_process.ts";
import { HAS_POSTGRES } from "../support/temporary_postgres.ts";
import { withFolder } from "../support/with_folder.ts";
import { barChart } from "./bar_chart.ts";
import { histogramQuantile } from "./gateway_metrics.ts";
import { NGINX } from "./nginx_backend.ts";
import { PUBLISHER } from "./publishers.ts";
import { median, quantile } from "./statistics.ts";
import { readable, renderTable } from "./table.ts";

const PARTS = [
  "latency",
  "throughput",
  "commands",
  "batches",
  "cluster",
  "page",
  "devices",
  "ids",
  "pruning",
  "drain",
  "far",
  "start",
  "growth",
  "overload",
];

Deno.test({
  name: "every part of the bench runs, and what it lost is 0",
  ignore: findMosquitto() === undefined || !isFile(NGINX) || !isFile(PUBLISHER),
  fn: () =>
    withFolder(async (folder) => {
      const script = fileURLToPath(new URL("run.ts", import.meta.url));
      const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-q", "--no-prompt", "-P=test", script, "--short", "--out", folder],
      }).output();
      assert.ok(success, new TextDecoder().decode(stderr));
      assert.match(new TextDecoder().decode(stdout), /^\| this gateway +\|/m);
      const { results } = JSON.parse(await Deno.readTextFile(`${folder}/results.json`));
      assert.deepEqual(Object.keys(results), PARTS);
      const lost = Object.values<{ figures: { what: string; value: number }[] }>(results)
        .flatMap(({ figures }) => figures)
        .filter(({ what }) => what === "lost" || what === "not answered");
      assert.equal(lost.length, HAS_POSTGRES ? 9 : 8);
      assert.ok(lost.every(({ value }) => value === 0), JSON.stringify(lost));
      assert.match(await Deno.readTextFile(`${folder}/throughput.svg`), /^<svg .*<\/svg>\n$/s);
    }),
});

Deno.test("median() and quantile() are numbers of those given", () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
  assert.equal(median([]), 0);
  assert.equal(quantile([4, 1, 3, 2], 0.99), 4);
  assert.equal(quantile([4, 1, 3, 2], 0.25), 1);
  assert.equal(quantile([], 0.5), 0);
});

Deno.test("histogramQuantile() looks at what came between two readings only", () => {
  const samples = (counts: number[]) =>
    new Map([
      ['wait_bucket{le="0.001"}', counts[0]!],
      ['wait_bucket{le="0.01"}', counts[1]!],
      ['wait_bucket{le="+Inf"}', counts[2]!],
      ["wait_count", counts[2]!],
    ]);
  const [before, after] = [samples([5, 5, 100]), samples([15, 25, 120])];
  assert.equal(histogramQuantile("wait", 0.25, { before, after }), 0.0005);
  assert.equal(histogramQuantile("wait", 0.75, { before, after }).toFixed(6), "0.005500");
});

Deno.test("barChart() writes what stands in a label as text", () => {
  const svg = barChart("a < b", [{ label: "<x>&", value: 1, text: "1" }]);
  assert.match(svg, /a &lt; b/);
  assert.match(svg, />&lt;x&gt;&amp;</);
});

Deno.test("renderTable() aligns; readable() keeps the digits that mean something", () => {
  const table = { head: ["", "rate"], rows: [["ours", readable(12345.6)], ["x", readable(1.234)]] };
  const lines = renderTable(table).split("\n");
  assert.equal(new Set(lines.map((line) => line.length)).size, 1);
  assert.equal(lines[2], "| ours | 12,346 |");
  assert.equal(lines[3], "| x    |   1.23 |");
});

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
