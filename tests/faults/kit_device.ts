/** A device program with a kit, which is killed and started again, each time with another clock. */

import { fileURLToPath } from "node:url";
import { ChildProcess, type ProgramCommand } from "../../src/demo/sandbox/child_process.ts";
import type { Dice } from "./dice.ts";
import type { Execution, MadeReading } from "./kit_checker.ts";

/** The device's clock runs so much faster than ours, and with it its waits. */
const SPEED = 4;

/** Its clock at a start, seconds ahead; null: it has none, and believes that it is 1970. */
const CLOCKS = [null, 3_600] as const;

const MQTT_VERSIONS = [4, 5] as const;

/** How a kit's program is started. */
export interface KitProgram {
  readonly name: string;
  /** Undefined: what it needs is not on this machine. */
  readonly command: ProgramCommand | undefined;
}

/** Where a device is, and how much it does. */
export interface KitDeviceOrders {
  /** As `device add` makes it. */
  readonly folder: string;
  readonly port: number;
  readonly readings: number;
  readonly everyMs: number;
}

/** Every kit that has a device program. */
export const KIT_PROGRAMS: readonly KitProgram[] = [
  { name: "Python", command: pythonCommand() },
  { name: "JavaScript", command: javascriptCommand() },
];

/** One device over all its lives. */
export class KitDevice {
  readonly #command: ProgramCommand;
  readonly #orders: KitDeviceOrders;
  readonly #dice: Dice;
  #life: ChildProcess | undefined;

  constructor(command: ProgramCommand, orders: KitDeviceOrders, dice: Dice) {
    this.#command = command;
    this.#orders = orders;
    this.#dice = dice;
  }

  /** Starts it, as after a power cut: what it knows is what it has written. */
  start(): void {
    const { folder, port, readings, everyMs } = this.#orders;
    const orders = {
      ...{ folder, port, readings, every_ms: everyMs, speed: SPEED },
      ...{ journal: this.#path("journal"), executions: this.#path("executions") },
      ...{ ahead: this.#dice.pick(CLOCKS), mqtt: this.#dice.pick(MQTT_VERSIONS) },
    };
    const { args, ...command } = this.#command;
    this.#life = new ChildProcess({ ...command, args: [...args, JSON.stringify(orders)] });
  }

  /** What it said before it died, if it died by itself. */
  get fault(): string | undefined {
    return this.#life?.running === false ? this.#life.stderr || "it said nothing" : undefined;
  }

  /** SIGKILL; resolves when it is dead. */
  async kill(): Promise<void> {
    this.#life?.kill("SIGKILL");
    await this.#life?.exited;
    this.#life = undefined;
  }

  /** Every reading that it ever made, in that order; `ended` if it has left the queue. */
  made(): MadeReading[] {
    const changes = this.#lines("journal").map((line) => JSON.parse(line) as string[]);
    const ended = changes.filter(([change]) => change === "drop").length;
    return changes.filter(([change]) => change === "append")
      .map(([, messageId = "", payload = ""], i) => ({ messageId, payload, ended: i < ended }));
  }

  /** Everything that it has executed. */
  executions(): Execution[] {
    return this.#lines("executions").map((line) => {
      const space = line.indexOf(" ");
      return { messageId: line.slice(0, space), payload: line.slice(space + 1) };
    });
  }

  #path(name: string): string {
    return `${this.#orders.folder}/${name}`;
  }

  /** The complete lines of a file. */
  #lines(name: string): string[] {
    try {
      return Deno.readTextFileSync(this.#path(name)).split("\n").slice(0, -1);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return [];
      throw error;
    }
  }
}

function pythonCommand(): ProgramCommand | undefined {
  const path = ["python3", "/usr/bin/python3"].find((one) =>
    succeeds(one, "-c", "import paho.mqtt.client")
  );
  if (path === undefined) return undefined;
  const environment = { PYTHONPATH: source("../../kits/python"), PYTHONDONTWRITEBYTECODE: "1" };
  return { path, args: [source("../kits/devices/device.py")], environment };
}

/** In Deno, whose import map has npm's mqtt. */
function javascriptCommand(): ProgramCommand {
  const start = ["run", "-q", "--no-prompt", "--config", source("../../deno.json"), "-A"];
  return { path: Deno.execPath(), args: [...start, source("../kits/devices/device.mjs")] };
}

function source(path: string): string {
  return fileURLToPath(new URL(path, import.meta.url));
}

function succeeds(path: string, ...args: string[]): boolean {
  try {
    return new Deno.Command(path, { args, stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    return false; // there is no such program
  }
}
