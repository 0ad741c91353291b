/**
 * The kits as processes that take a line and answer with one, so that the same cases can be put to
 * each: the driver of a kit is in drivers/. Texts go as hex digits, `-` stands for an empty one.
 *
 * Lines: `device ID SECRET PLACES SECONDS`, `restart`, `clock UPTIME NOW`, `connected UPTIME`,
 * `enqueue PAYLOAD`, `next UPTIME`, `receipt UPTIME TEXT`, `response ID STATUS TIMESTAMP SIGNATURE
 * BODY`, `command UPTIME TEXT`, `acknowledge UPTIME ID STATE RESULT REASON`. An answer is a word,
 * as `ok`, `send`, `forged`, and what belongs to it.
 */

import { fetchPackage } from "../support/npm_programs.ts";

const DRIVERS = new URL("drivers/", import.meta.url).pathname;
const KITS = new URL("../../kits/", import.meta.url).pathname;
const UTF_8 = new TextEncoder();

/** How a kit's driver is started; `build` makes what it needs in a folder and returns the command. */
interface KitForm {
  readonly name: string;
  /** Programs that must be there: without one of them, the form is skipped. */
  readonly needs: readonly string[];
  build(folder: string): Promise<readonly string[]>;
  /** Its JSON parser takes what is no JSON, and nests less deep. */
  readonly hasLooseJson?: boolean;
}

/** Strict enough to find what a board's compiler would, and with sanitizers. */
const GCC = ["gcc", "-std=c99", "-O1", "-g", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion"];
const SANITIZERS = ["-Wno-sign-conversion", "-Werror", "-fsanitize=address,undefined"];
/** Where flash and memory of the emulated board are; a stack of 8 KiB, and no heap. */
const BOARD = [
  "flash=0x0",
  "flash_size=0x400000",
  "ram=0x20000000",
  "ram_size=0x400000",
  "stack_size=8192",
];

/** The emulator writes what the board prints on standard error. */
const FROM_STDERR = ["sh", "-c", 'exec "$@" 2>&1', "sh"];

/** Each kit in each form in which it is run. */
export const KIT_FORMS: readonly KitForm[] = [
  {
    name: "C",
    needs: ["gcc"],
    async build(folder) {
      const program = `${folder}/driver`;
      await run([...GCC, ...SANITIZERS, `-I${KITS}c`, `${DRIVERS}driver.c`, "-o", program]);
      return [program];
    },
  },
  {
    name: "C on a Cortex-M3 without a heap",
    needs: ["arm-none-eabi-gcc", "qemu-system-arm"],
    async build(folder) {
      const program = `${folder}/driver.elf`;
      await run([
        "arm-none-eabi-gcc",
        "-std=c99",
        "-Os",
        "-mcpu=cortex-m3",
        "-mthumb",
        "-DSEMIHOSTING",
        "--specs=/usr/lib/picolibc/arm-none-eabi/picolibc.specs",
        "--oslib=semihost",
        "--crt0=hosted",
        ...BOARD.map((symbol) => `-Wl,--defsym=__${symbol}`),
        "-Tpicolibc.ld",
        `-I${KITS}c`,
        `${DRIVERS}driver.c`,
        "-o",
        program,
      ]);
      return [
        ...FROM_STDERR,
        "qemu-system-arm",
        "-M",
        "mps2-an385",
        "-display",
        "none",
        "-monitor",
        "none",
        "-serial",
        "none",
        "-semihosting-config",
        "enable=on,target=native",
        "-kernel",
        program,
      ];
    },
  },
  {
    name: "Python",
    needs: ["python3"],
    build: () => Promise.resolve(["python3", `${DRIVERS}driver.py`]),
  },
  {
    name: "Python in MicroPython",
    needs: ["node", "npm"],
    hasLooseJson: true,
    async build() {
      const folder = await fetchPackage("@micropython/micropython-webassembly-pyscript@1.27.0");
      return ["node", `${DRIVERS}micropython.mjs`, folder];
    },
  },
  {
    name: "JavaScript in Deno",
    needs: [],
    build: () => Promise.resolve([Deno.execPath(), "run", "-q", `${DRIVERS}driver.mjs`]),
  },
  {
    name: "JavaScript in Node",
    needs: ["node"],
    build: () => Promise.resolve(["node", `${DRIVERS}driver.mjs`]),
  },
];

/** Whether these programs are on this machine. */
export async function canRun(needs: readonly string[]): Promise<boolean> {
  for (const program of needs) {
    const { success } = await new Deno.Command("sh", {
      args: ["-c", `command -v ${program}`],
      stdout: "null",
    }).output();
    if (!success) return false;
  }
  return true;
}

/** What a kit answered: the word, and what stands behind it, a text from its hex digits. */
interface Answer {
  readonly word: string;
  readonly rest: string;
  readonly text: string;
}

/** One device in a kit's process. */
export class Kit {
  /** Whether it knows JSON from what only looks like it. */
  readonly hasStrictJson: boolean;
  readonly #process: Deno.ChildProcess;
  readonly #to: WritableStreamDefaultWriter<Uint8Array>;
  readonly #answers: AsyncGenerator<string, undefined>;

  constructor([program = "", ...args]: readonly string[], hasStrictJson = true) {
    this.hasStrictJson = hasStrictJson;
    this.#process = new Deno.Command(program, {
      args,
      env: { PYTHONPATH: `${KITS}python`, PYTHONDONTWRITEBYTECODE: "1" },
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#to = this.#process.stdin.getWriter();
    this.#answers = linesOf(this.#process.stdout);
  }

  /** A new device: its queue is empty and it remembers no command. */
  async device(id: string, secret: string, { places = 8, seconds = 0 } = {}): Promise<void> {
    await this.ask(`device ${id} ${hexOf(secret)} ${places} ${seconds}`);
  }

  /** Puts a line to the kit. */
  async ask(line: string): Promise<Answer> {
    await this.#to.write(UTF_8.encode(`${line}\n`));
    const { value, done } = await this.#answers.next();
    if (done) throw new Error(`the kit ended at: ${line.slice(0, 200)}`);
    const [word = "", rest = ""] = value.trim().split(" ");
    return { word, rest, text: textOf(rest) };
  }

  async end(): Promise<void> {
    await this.#to.write(UTF_8.encode("end\n")).catch(() => {}); // it ended by itself
    await this.#to.close().catch(() => {});
    for await (const _ of this.#answers); // what it still says
    await this.#process.status;
  }
}

async function* linesOf(bytes: ReadableStream<Uint8Array<ArrayBuffer>>) {
  let begun = "";
  for await (const text of bytes.pipeThrough(new TextDecoderStream())) {
    const lines = (begun + text).split("\n");
    begun = lines.pop() ?? "";
    yield* lines;
  }
  return undefined;
}

/** The hex digits of a text, `-` for an empty one. */
export function hexOf(text: string | Uint8Array): string {
  const bytes = typeof text === "string" ? UTF_8.encode(text) : text;
  return bytes.length === 0 ? "-" : bytes.toHex();
}

function textOf(digits: string): string {
  if (digits.length % 2 !== 0 || !/^[0-9a-f]*$/.test(digits)) return "";
  return new TextDecoder().decode(Uint8Array.fromHex(digits));
}

async function run([program = "", ...args]: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}
