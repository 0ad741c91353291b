/**
 * Imported first if the environment is closed: libraries look for their settings in it as they
 * load, and find nothing.
 */

import process from "node:process";

Object.defineProperty(process, "env", { value: {} });
