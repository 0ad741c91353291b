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
  /** What it needs is on this machine. */
  readonly isHere: boolean;
  /** Builds what it needs in a folder. */
  make(folder: string): Promise<ProgramCommand>;
}

/** Where a device is, and how much it does. */
export interface KitDeviceOrders {
  /** As `device add` makes it. */
  readonly folder: string;
  readonly port: number;
  readonly readings: number;
  readonly everyMs: number;
}

const PYTHON = ["python3", "/usr/bin/python3"]
  .find((one) => succeeds(one, "-c", "import paho.mqtt.client"));

const HAS_LIBMOSQUITTO = ["mosquitto.h", "openssl/evp.h"].every((header) =>
  succeeds("gcc", "-E", "-include", header, "-x", "c", "/dev/null")
);

/** Every kit that has a device program. */
export const KIT_PROGRAMS: readonly KitProgram[] = [
  { name: "Python", isHere: PYTHON !== undefined, make: pythonCommand },
  { name: "JavaScript", isHere: true, make: javascriptCommand },
  { name: "C", isHere: HAS_LIBMOSQUITTO, make: cCommand },
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

function pythonCommand(): Promise<ProgramCommand> {
  const environment = { PYTHONPATH: source("../../kits/python"), PYTHONDONTWRITEBYTECODE: "1" };
  const args = [source("../kits/devices/device.py")];
  return Promise.resolve({ path: PYTHON!, args, environment });
}

/** In Deno, whose import map has npm's mqtt. */
function javascriptCommand(): Promise<ProgramCommand> {
  const start = ["run", "-q", "--no-prompt", "--config", source("../../deno.json"), "-A"];
  const args = [...start, source("../kits/devices/device.mjs")];
  return Promise.resolve({ path: Deno.execPath(), args });
}

/** With the compiler's checks on addresses and on what C leaves undefined. */
async function cCommand(folder: string): Promise<ProgramCommand> {
  const path = `${folder}/device`;
  const sources = ["-I", source("../../kits/c"), source("../kits/devices/device.c")];
  const checks = ["-Wall", "-Werror", "-g", "-fsanitize=address,undefined"];
  const libraries = ["-lmosquitto", "-lcrypto"];
  await ChildProcess.run({ path: "gcc", args: [...checks, ...sources, ...libraries, "-o", path] });
  return { path, args: [] };
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
