/**
 * The gateway of a site, which ends itself by SIGKILL at the n-th passing of a point:
 * `gateway_with_failpoint.ts DIRECTORY POINT N`.
 */

import { configOf, layoutOf } from "../../src/cli/site.ts";
import { POINTS } from "../../src/core/point.ts";
import { openLog, writeToStderr } from "../../src/edge/log.ts";
import { superviseGateway } from "../../src/supervisor.ts";

const [directory = "", fatal = "", passing = ""] = Deno.args;
if (!POINTS.some((point) => point === fatal)) throw new Error(`There is no point "${fatal}"`);

let left = Number(passing);
const config = configOf(layoutOf({ dir: directory }));
await superviseGateway(config, new AbortController().signal, {
  log: openLog(config.log.level, writeToStderr),
  onReady: () => writeToStderr("ready\n"),
  at: (point) => {
    if (point === fatal && --left === 0) Deno.kill(Deno.pid, "SIGKILL");
  },
});
