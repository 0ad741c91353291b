/** What the program is made of, as a CycloneDX software bill of materials. */

import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { join } from "node:path";
import project from "../../deno.json" with { type: "json" };
import { ROOT } from "./bundle.ts";
import { licenceTextIn, type Licensed } from "./licences.ts";
import { BuildFailure, outputOf } from "./tool.ts";

/** A part of the program. */
export interface Component extends Licensed {
  /** Package URL: what it is and where it is from. */
  readonly purl: string;
  /** As npm writes it; undefined if it is not known. */
  readonly integrity: string | undefined;
  /** Package URLs of what it needs itself. */
  readonly dependsOn: readonly string[];
}

/** What `deno info --json` says of a package. */
interface PackageInfo {
  readonly name: string;
  readonly version: string;
  /** Its folder in Deno's cache. */
  readonly localPath: string;
  /** Keys of others. */
  readonly dependencies: readonly string[];
}

/** Every npm package that main.ts can reach, with the integrity in deno.lock, by name. */
export async function reachablePackages(): Promise<Component[]> {
  const info = JSON.parse(new TextDecoder().decode(
    await outputOf(Deno.execPath(), ["info", "--json", "main.ts"], { cwd: ROOT }),
  ));
  const packages: Readonly<Record<string, PackageInfo>> = info.npmPackages;
  const lock = JSON.parse(Deno.readTextFileSync(join(ROOT, "deno.lock")));
  const used = info.modules.flatMap((module: { npmPackage?: string }) => module.npmPackage ?? []);
  const keys = closure(new Set<string>(used), (key) => packages[key]!.dependencies);
  const purlOf = (key: string) => npmPurl(packages[key]!.name, packages[key]!.version);
  return [...keys].toSorted().map((key) => ({
    name: packages[key]!.name,
    version: packages[key]!.version,
    purl: purlOf(key),
    integrity: lock.npm[key]?.integrity,
    licence: licenceIn(packages[key]!.localPath),
    licenceText: licenceTextIn(packages[key]!.localPath),
    dependsOn: packages[key]!.dependencies.map(purlOf),
  }));
}

/** What a package says about itself. */
function licenceIn(folder: string): string {
  const { license } = JSON.parse(Deno.readTextFileSync(join(folder, "package.json")));
  if (typeof license === "string") return license;
  throw new BuildFailure(`The package in "${folder}" does not say under which licence it is`);
}

/** A package URL on npm. */
export function npmPurl(name: string, version: string): string {
  return `pkg:npm/${name.replace("@", "%40")}@${version}`;
}

/** The bill as JSON; the same parts give the same bytes. */
export function renderBill(commit: string, components: readonly Component[]): string {
  const program = `pkg:generic/${project.name}@${project.version}`;
  const bill = {
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    version: 1,
    metadata: {
      component: {
        type: "application",
        "bom-ref": program,
        name: project.name,
        version: project.version,
        purl: program,
        properties: [{ name: "commit", value: commit }],
      },
    },
    components: components.map(({ name, version, purl, integrity, licence }) => ({
      type: "library",
      "bom-ref": purl,
      name,
      version,
      purl,
      ...(integrity && { hashes: [hashOf(integrity)] }),
      licenses: [{ expression: licence }],
    })),
    dependencies: [
      { ref: program, dependsOn: components.map(({ purl }) => purl) },
      ...components.map(({ purl, dependsOn }) => ({ ref: purl, dependsOn })),
    ],
  };
  const digest = createHash("sha256").update(JSON.stringify(bill)).digest("hex");
  return JSON.stringify({ ...bill, serialNumber: uuidOf(digest) }, null, 2) + "\n";
}

function hashOf(integrity: string) {
  const [algorithm, base64] = integrity.split("-", 2) as [string, string];
  return {
    alg: algorithm.replace("sha", "SHA-"),
    content: Buffer.from(base64, "base64").toString("hex"),
  };
}

/** A UUID of version 8, made of a digest [RFC 9562 §5.8]. */
function uuidOf(hex: string): string {
  const groups = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ];
  return `urn:uuid:${groups.join("-")}`;
}

function closure(from: Set<string>, next: (key: string) => readonly string[]): Set<string> {
  for (const key of from) for (const further of next(key)) from.add(further);
  return from;
}
