/**
 * The gateway of a site, which ends itself by SIGKILL at the n-th passing of a point:
 * `gateway_with_failpoint.ts DIRECTORY POINT N`.
 */

import { configOf, layoutOf } from "../../src/cli/open_site.ts";
import { FAILPOINTS } from "../../src/core/failpoint.ts";
import { openLog, writeToStderr } from "../../src/log/log.ts";
import { runGateway } from "../../src/process/gateway_runner.ts";

const [directory = "", fatal = "", passing = ""] = Deno.args;
if (!FAILPOINTS.some((point) => point === fatal)) throw new Error(`There is no point "${fatal}"`);

let left = Number(passing);
const config = configOf(layoutOf({ dir: directory }));
await runGateway(config, new AbortController().signal, {
  log: openLog(config.log.level, writeToStderr),
  onReady: () => writeToStderr("ready\n"),
  failpoint: (point) => {
    if (point === fatal && --left === 0) Deno.kill(Deno.pid, "SIGKILL");
  },
});
