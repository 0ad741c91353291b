/**
 * The gateway of a site, which ends itself by SIGKILL at the n-th passing of a point:
 * `gateway_with_failpoint.ts DIRECTORY POINT N`.
 */

import { layoutOf, settingsOf } from "../../src/cli/open_site.ts";
import { COMMAND_FAILPOINTS, FAILPOINTS } from "../../src/core/failpoint.ts";
import { EventLog } from "../../src/log/event_log.ts";
import { openLog, writeToStderr } from "../../src/log/log.ts";
import { loadSite } from "../../src/process/loaded_site.ts";
import { Supervisor } from "../../src/process/supervisor.ts";
import { InProcessWorker } from "../support/in_process_worker.ts";

const [directory = "", fatal = "", passing = ""] = Deno.args;
const points: readonly string[] = [...FAILPOINTS, ...COMMAND_FAILPOINTS];
if (!points.includes(fatal)) throw new Error(`There is no point "${fatal}"`);

let left = Number(passing);
const failpoint = (point: string) => {
  if (point === fatal && --left === 0) Deno.kill(Deno.pid, "SIGKILL");
};
const site = await loadSite(settingsOf(layoutOf({ dir: directory })));
const eventLog = new EventLog(openLog(site.config.log.level, writeToStderr), site.config.log);
const supervisor = new Supervisor(site, {
  emit: (event) => eventLog.write(event),
  onReady: () => writeToStderr("ready\n"),
  startWorker: () => new InProcessWorker({ failpoint }),
});
await supervisor.run(new AbortController().signal);
