/**
 * Lints the contract in docs/: `deno task lint-contract`.
 *
 * The linters are large and nothing else needs them, so npm fetches them when they are used: they are
 * neither in deno.json nor in the lock, and their versions are here.
 */

import { join } from "node:path";
import { ROOT } from "./bundle.ts";
import { BuildFailure, runBuild } from "./tool.ts";

const REDOCLY = "@redocly/cli@2.77.0";
const ASYNCAPI_PARSER = "npm:@asyncapi/parser@3.6.6";

const TOPICS = "docs/asyncapi.json";
const DOCUMENTS = ["docs/openapi.json", "docs/backend_openapi.json", TOPICS];

/** AsyncAPI 3.0 is meant: its tools are more than those of the newest version. */
const ACCEPTED_CODES: readonly string[] = ["asyncapi-latest-version"];

/** What the parser says of a document; of the package's types, what is used here. */
interface Finding {
  readonly code: string;
  readonly message: string;
  readonly path: readonly (string | number)[];
}

async function lintContract(): Promise<void> {
  if (!await passesRedocly()) throw new BuildFailure("Redocly refuses the documents");
  const { Parser } = await import(ASYNCAPI_PARSER);
  const text = await Deno.readTextFile(join(ROOT, TOPICS));
  const findings: readonly Finding[] = await new Parser().validate(text);
  const faults = findings.filter(({ code }) => !ACCEPTED_CODES.includes(code));
  if (faults.length > 0) {
    throw new BuildFailure(
      faults.map(({ message, path }) => `${TOPICS}, ${path.join(".")}: ${message}`).join("\n"),
    );
  }
  console.log(`${DOCUMENTS.join(", ")}: valid`);
}

/** It says itself what is wrong. */
async function passesRedocly(): Promise<boolean> {
  const command = new Deno.Command("npx", {
    args: ["-y", REDOCLY, "lint", "--extends=recommended-strict", ...DOCUMENTS],
    cwd: ROOT,
    env: { REDOCLY_TELEMETRY: "off", REDOCLY_SUPPRESS_UPDATE_NOTICE: "true" },
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
  });
  return (await command.spawn().status).success;
}

if (import.meta.main) Deno.exit(await runBuild(lintContract));
