/** Commands: what they cost the readings beside them, and what many that wait cost the gateway. */

import { type BenchSite, withBenchSite } from "./bench_site.ts";
import { type CommandLoad, type CommandLoadResult, withCommandLoad } from "./command_load.ts";
import { gateway, withContender } from "./contender.ts";
import type { Figure, Findings, Part } from "./part.ts";
import { processStats } from "./process_stats.ts";
import type { Scale } from "./scale.ts";
import { median, quantile } from "./statistics.ts";
import { sendSteadily } from "./steady_flow.ts";
import { fillCommands, fillRegistry } from "./store_filling.ts";
import { readable } from "./table.ts";

/** Turns of a round without commands and with them. */
const TURNS = 2;

/** What the p99 of readings may be with commands, of that without. */
const P99_MAX_PERCENT = 110;

/** What may be added to the memory by what waits, and while it waits. */
const WAITING_MAX_MIB = 25;
const FLAT_MIB = 5;

/** Samples of the memory. */
const SAMPLES = 10;

/** The part. */
export const COMMANDS: Part = {
  name: "commands",
  purpose: "commands beside readings, in turns; and the start and the memory while many wait",
  measure,
};

async function measure(scale: Scale): Promise<Findings> {
  const turns = await measureTurns(scale);
  const none = await measureWaiting(scale, 0);
  const many = await measureWaiting(scale, scale.commandsWaiting);
  return {
    figures: [...turnFigures(turns, scale), ...waitingFigures({ none, many }, scale)],
    data: { turns, none, many },
  };
}

/** Round trips of readings, milliseconds. */
interface Turn {
  readonly p50: number;
  readonly p99: number;
  readonly unanswered: number;
}

interface Turns {
  readonly without: Turn[];
  readonly beside: Turn[];
  readonly loads: CommandLoadResult[];
}

async function measureTurns(scale: Scale): Promise<Turns> {
  const { steadyDevices, commandDevices, commandsPerSecond: perSecond } = scale;
  const turns: Turns = { without: [], beside: [], loads: [] };
  const options = { devices: steadyDevices + commandDevices };
  return await withBenchSite(options, (site) =>
    withContender(gateway(), site, () => {
      const devices = site.devices.slice(steadyDevices);
      return withCommandLoad(site, { devices, perSecond }, async (load) => {
        await takeTurn(site, scale, load); // warms up
        for (let i = 0; i < TURNS * scale.rounds; i++) {
          turns.without.push((await takeTurn(site, scale)).turn);
          const { turn, result } = await takeTurn(site, scale, load);
          turns.beside.push(turn);
          turns.loads.push(result!);
        }
        return turns;
      });
    }));
}

async function takeTurn(site: BenchSite, scale: Scale, load?: CommandLoad) {
  const { steadyDevices: devices, steadyPerSecond: perSecond, steadySeconds: seconds } = scale;
  const flow = () => sendSteadily(site, { devices, perSecond, seconds });
  const [exchanges, result] = load ? await load.during(flow) : [await flow(), undefined];
  const answered = exchanges.flatMap(({ roundTripMs }) => roundTripMs ?? []);
  const turn: Turn = {
    p50: quantile(answered, 0.5),
    p99: quantile(answered, 0.99),
    unanswered: exchanges.length - answered.length,
  };
  return { turn, result };
}

function turnFigures({ without, beside, loads }: Turns, scale: Scale): Figure[] {
  const of = (turns: readonly Turn[], read: (turn: Turn) => number) => median(turns.map(read));
  const sum = (read: (load: CommandLoadResult) => number) =>
    loads.reduce((total, load) => total + read(load), 0);
  const share = median(beside.map(({ p99 }, i) => p99 / without[i]!.p99));
  const commands = `${readable(scale.commandsPerSecond)} commands/s`;
  return [
    { what: "readings, p50", value: of(without, ({ p50 }) => p50), unit: "ms" },
    { what: `beside ${commands}, p50`, value: of(beside, ({ p50 }) => p50), unit: "ms" },
    { what: "readings, p99", value: of(without, ({ p99 }) => p99), unit: "ms" },
    { what: `beside ${commands}, p99`, value: of(beside, ({ p99 }) => p99), unit: "ms" },
    {
      what: "p99 of that without, median of the turns",
      value: 100 * share,
      unit: "%",
      target: { atMost: P99_MAX_PERCENT },
    },
    {
      what: "not answered",
      value: [...without, ...beside].reduce((total, { unanswered }) => total + unanswered, 0),
      unit: "messages",
      target: { atMost: 0 },
    },
    { what: "commands asked for", value: sum(({ asked }) => asked), unit: "" },
    {
      what: "lost",
      value: sum(({ asked, received }) => asked - received),
      unit: "commands",
      target: { atMost: 0 },
    },
    { what: "slowest answer", value: Math.max(...loads.map((one) => one.longestMs)), unit: "ms" },
  ];
}

/** A gateway for which so many commands wait, for devices that are away. */
interface Waiting {
  readonly startMs: number;
  readonly rssMib: readonly number[];
  /** Of one processor, while nothing else goes on. */
  readonly cpuPercent: number;
}

async function measureWaiting(scale: Scale, count: number): Promise<Waiting> {
  return await withBenchSite({ devices: 0 }, (site) => {
    fillRegistry(site.layout.database, scale.commandsWaiting);
    fillCommands(site.layout.database, count);
    return withContender(gateway(), site, async ({ pid, startMs }) => {
      const stats = async () => (await processStats(pid))[0]!;
      const before = await stats();
      const fromMs = performance.now();
      const rssMib: number[] = [];
      for (let i = 0; i < SAMPLES; i++) {
        await new Promise((resolve) => setTimeout(resolve, 1000 * scale.waitingSeconds / SAMPLES));
        rssMib.push((await stats()).rssMib);
      }
      const { cpuMs } = await stats();
      const cpuPercent = 100 * (cpuMs - before.cpuMs) / (performance.now() - fromMs);
      return { startMs, rssMib, cpuPercent };
    });
  });
}

function waitingFigures(
  { none, many }: { readonly none: Waiting; readonly many: Waiting },
  { commandsWaiting, waitingSeconds }: Scale,
): Figure[] {
  const waiting = `with ${readable(commandsWaiting)} that wait`;
  const early = ({ rssMib }: Waiting) => median(rssMib.slice(0, SAMPLES / 2));
  const late = ({ rssMib }: Waiting) => median(rssMib.slice(SAMPLES / 2));
  return [
    { what: "start to ready, none waits", value: none.startMs, unit: "ms" },
    { what: `start to ready ${waiting}`, value: many.startMs, unit: "ms" },
    {
      what: `more memory ${waiting}`,
      value: late(many) - late(none),
      unit: "MiB",
      target: { atMost: WAITING_MAX_MIB },
    },
    {
      what: `more memory in the second half of ${readable(waitingSeconds)} s`,
      value: late(many) - early(many),
      unit: "MiB",
      target: { atMost: FLAT_MIB },
    },
    { what: `CPU time ${waiting}, of one processor`, value: many.cpuPercent, unit: "%" },
    { what: "the same, none waits", value: none.cpuPercent, unit: "%" },
  ];
}
