/** The devices of examples/device as programs, where what they need is on this machine. */

import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { ChildProcess, type ProgramCommand } from "../../src/demo/sandbox/child_process.ts";
import { fetchPackage } from "./npm_programs.ts";

/** A device's program, once it is built. */
type Start = (deviceFolder: string, port: number) => ProgramCommand;

/** One example. */
export interface DeviceExample {
  readonly name: string;
  /** What is not on this machine; undefined if nothing is missing. */
  readonly missing: string | undefined;
  /** It writes `kept.json.new` and renames it, and ends if it cannot. */
  readonly keepsBy?: "rename";
  /** It leads a group of processes, and is ended with all of them. */
  readonly hasChildren?: true;
  /** Makes what it needs in a folder. */
  build(folder: string): Promise<Start>;
}

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const EXAMPLES = `${ROOT}examples/device/`;
/** npm may be asked: in CI, and whoever else sets it. */
const WANTS_NPM = Deno.env.get("TEST_NODE_BACKENDS") === "1";
const JAVASCRIPT = ["javascript/device.mjs", "javascript/secure_iot_device.mjs"] as const;
const MQTT_PACKAGE = "mqtt@5.16.0";
const MICROPYTHON_PACKAGE = "@micropython/micropython-webassembly-pyscript@1.27.0";
const NO_NODE_PACKAGES = WANTS_NPM
  ? unless(succeeds("node", "--version"), "node")
  : "TEST_NODE_BACKENDS=1, which lets npm fetch packages";
/** Where Debian's packages put Go's sources. */
const GO_PATH = "/usr/share/gocode";
const PYTHON = ["python3", "/usr/bin/python3"]
  .find((path) => succeeds(path, "-c", "import paho.mqtt.client"));

const SHELL_PROGRAMS = "openssl setsid mosquitto_pub mosquitto_sub";
const HAS_LIBMOSQUITTO = compiles("gcc", "-x", "c", "mosquitto.h", "openssl/evp.h");
const HAS_PAHO_CPP = succeeds("gcc", "--version") &&
  compiles("g++", "-x", "c++", "mqtt/async_client.h");

/** All of them. */
export const DEVICE_EXAMPLES: readonly DeviceExample[] = [
  {
    name: "Python",
    keepsBy: "rename",
    missing: unless(PYTHON !== undefined, "python3 with paho-mqtt"),
    build: async (folder) => {
      await copyBeside(folder, "python/device.py", "python/secure_iot_device.py");
      return (device) => ({ path: PYTHON!, args: [`${folder}/device.py`, device] });
    },
  },
  {
    name: "JavaScript in Deno",
    keepsBy: "rename",
    missing: undefined,
    build: async (folder) => {
      await copyBeside(folder, ...JAVASCRIPT);
      const config = `${ROOT}deno.json`;
      const flags = ["run", "-q", "--no-prompt", "--no-lock", "--config", config, "-A"];
      return (device) => ({
        path: Deno.execPath(),
        args: [...flags, `${folder}/device.mjs`, device],
      });
    },
  },
  {
    name: "JavaScript in Node",
    keepsBy: "rename",
    missing: NO_NODE_PACKAGES,
    build: async (folder) => {
      await copyBeside(folder, ...JAVASCRIPT);
      await Deno.symlink(await fetchPackage(MQTT_PACKAGE), `${folder}/node_modules`);
      return (device) => ({ path: "node", args: [`${folder}/device.mjs`, device] });
    },
  },
  {
    name: "MicroPython",
    missing: NO_NODE_PACKAGES,
    build: async () => {
      const folders = [await fetchPackage(MICROPYTHON_PACKAGE), await fetchPackage(MQTT_PACKAGE)];
      const program = `${ROOT}tests/support/micropython_device.mjs`;
      return (device) => ({ path: "node", args: [program, ...folders, ROOT, device] });
    },
  },
  {
    name: "Go",
    keepsBy: "rename",
    missing: unless(
      succeeds("go", "version") && isFolder(`${GO_PATH}/src/github.com/eclipse/paho.mqtt.golang`),
      "golang-go or golang-github-eclipse-paho.mqtt.golang-dev",
    ),
    build: async (folder) => {
      const environment = {
        ...{ GO111MODULE: "off", GOPATH: GO_PATH, GOFLAGS: "", GOCACHE: `${folder}/cache` },
        ...{ GOTOOLCHAIN: "local" },
      };
      const program = `${folder}/device`;
      const args = ["build", "-o", program, `${EXAMPLES}go/device.go`];
      await ChildProcess.run({ path: "go", args, environment });
      return (device) => ({ path: program, args: [device] });
    },
  },
  {
    name: "C",
    missing: unless(HAS_LIBMOSQUITTO, "gcc, libmosquitto-dev or libssl-dev"),
    build: async (folder) => {
      const program = `${folder}/device`;
      const source = [`-I${ROOT}kits/c`, `${EXAMPLES}c/device.c`];
      await ChildProcess.run({
        path: "gcc",
        args: [...source, "-Wall", "-Werror", "-lmosquitto", "-lcrypto", "-o", program],
      });
      return (device) => ({ path: program, args: [device] });
    },
  },
  {
    name: "C++",
    missing: unless(HAS_PAHO_CPP, "g++, libpaho-mqttpp-dev or libpaho-mqtt-dev"),
    build: async (folder) => {
      const [kit, program] = [`${folder}/kit.o`, `${folder}/device`];
      const defines = ["-DSIOT_IMPLEMENTATION", "-DSIOT_BUILTIN_SHA256"];
      const header = `${ROOT}kits/c/secure_iot_device.h`;
      await ChildProcess.run({
        path: "gcc",
        args: ["-x", "c", "-c", ...defines, header, "-o", kit],
      });
      const source = [
        "-std=c++17",
        "-Wall",
        "-Werror",
        `-I${ROOT}kits/c`,
        `${EXAMPLES}cpp/device.cpp`,
      ];
      const libraries = ["-lpaho-mqttpp3", "-lpaho-mqtt3as"];
      await ChildProcess.run({ path: "g++", args: [...source, kit, ...libraries, "-o", program] });
      return (device) => ({ path: program, args: [device] });
    },
  },
  {
    name: "the shell",
    missing: unless(
      succeeds("bash", "-c", `type ${SHELL_PROGRAMS}`),
      "mosquitto-clients or openssl",
    ),
    hasChildren: true,
    build: () =>
      Promise.resolve((device) => ({
        path: "setsid",
        args: ["bash", `${EXAMPLES}shell/device.sh`, device],
      })),
  },
];

/** The example and its kit, beside each other as its user would have them. */
async function copyBeside(folder: string, example: string, kit: string): Promise<void> {
  await Deno.copyFile(`${EXAMPLES}${example}`, `${folder}/${basename(example)}`);
  await Deno.copyFile(`${ROOT}kits/${kit}`, `${folder}/${basename(kit)}`);
}

function unless(isThere: boolean, missing: string): string | undefined {
  return isThere ? undefined : missing;
}

function succeeds(path: string, ...args: string[]): boolean {
  try {
    const options = { args, stdin: "null", stdout: "null", stderr: "null" } as const;
    return new Deno.Command(path, options).outputSync().success;
  } catch {
    return false;
  }
}

/** Whether a source that includes these headers can be compiled. */
function compiles(compiler: string, ...args: string[]): boolean {
  const headers = args.filter((one) => one.endsWith(".h"));
  const flags = args.filter((one) => !one.endsWith(".h"));
  const includes = headers.flatMap((name) => ["-include", name]);
  return succeeds(compiler, "-fsyntax-only", ...includes, ...flags, "/dev/null");
}

function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}
