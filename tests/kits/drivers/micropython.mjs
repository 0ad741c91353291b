/** Runs driver.py in MicroPython: `micropython.mjs NODE_MODULES`, which has the npm package. */

import { readFileSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [, , folder] = process.argv;
const program = `${folder}/@micropython/micropython-webassembly-pyscript/micropython.mjs`;
const { loadMicroPython } = await import(pathToFileURL(program).href);
const python = await loadMicroPython();
const here = (path) => readFileSync(new URL(path, import.meta.url), "utf8");
python.FS.writeFile("/secure_iot_device.py", here("../../../kits/python/secure_iot_device.py"));
python.FS.writeFile("/driver.py", here("driver.py"));
python.runPython("import sys; sys.path.append('/'); from driver import answer_line");
const answer = python.globals.get("answer_line");

for await (const line of createInterface({ input: process.stdin })) {
  if (line === "end") break;
  console.log(answer(line));
}
