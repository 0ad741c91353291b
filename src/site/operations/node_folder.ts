/**
 * The folder of a further gateway that shares the site's store: a site of its own, but for what stays
 * where the site is administered.
 *
 * The rules are:
 * - the keys of the authorities stay here: the folder has certificates that they made;
 * - settings are the site's, but for the node's name, its client id and the host of its broker;
 * - it may be made for another path than it is written to: Mosquitto wants absolute ones.
 */

import { dirname, isAbsolute, join, relative } from "node:path";
import type { Config } from "../../config/config.ts";
import { readText } from "../../config/operator_file.ts";
import { hostName, nodeName } from "../../config/setting_types.ts";
import { withSetting } from "../../config/toml_edit.ts";
import { exists } from "../exists.ts";
import { type SiteLayout, siteLayout } from "../layout.ts";
import { isBrokerPath } from "../mosquitto/configuration.ts";
import { openAuthority } from "../pki/authority.ts";
import { certificatesOf, openIssuingAuthority } from "../pki/device_authorities.ts";
import { issueOwnProbe } from "./list_publication.ts";
import {
  brokerFiles,
  brokerUser,
  createClientId,
  handOver,
  isSystemError,
  machineFiles,
  makeFolderInside,
  makeSiteFolders,
  readable,
  secret,
  type SiteFile,
  takeAway,
  writeNew,
} from "./site_files.ts";

/** What is asked for. */
interface NodeOptions {
  /** The site that is administered here. */
  readonly layout: SiteLayout;
  readonly config: Config;
  readonly name: string;
  /** Where devices find the node's broker; the first goes into the settings. */
  readonly hosts: readonly string[];
  /** Where the folder will be on the node's machine; undefined: where it is written. */
  readonly at: string | undefined;
  readonly ports: { readonly mqtt: number; readonly gateway: number; readonly api: number };
  readonly nowMs: number;
}

/** Why there is no folder. */
export type NodeFault =
  /** The site's store is a file, which nobody else can use. */
  | { readonly kind: "store_not_shared" }
  | { readonly kind: "name_not_usable"; readonly allowed: string }
  | { readonly kind: "name_is_own"; readonly name: string }
  | { readonly kind: "host_not_usable"; readonly host: string }
  | { readonly kind: "path_not_usable"; readonly path: string }
  | { readonly kind: "folder_exists"; readonly path: string }
  | { readonly kind: "authority_not_usable"; readonly reason: string }
  | { readonly kind: "system_refused"; readonly reason: string };

/** The folder, or every reason why there is none. */
type NodeResult =
  | { readonly ok: true; readonly layout: SiteLayout }
  | { readonly ok: false; readonly faults: readonly NodeFault[] };

/** Makes the folder `nodes/NAME` of a site. */
export async function createNode(options: NodeOptions): Promise<NodeResult> {
  const directory = join(options.layout.directory, "nodes", options.name);
  const faults = await faultsOf(options, directory);
  if (faults.length > 0) return { ok: false, faults };
  const made: string[] = [];
  try {
    const layout = siteLayout(directory);
    const files = await nodeFiles(options, layout);
    if ("kind" in files) return { ok: false, faults: [files] };
    for (const folder of [dirname(directory), directory]) await makeFolderInside(folder, made);
    await makeSiteFolders(layout, made);
    for (const file of files) writeNew(file, made);
    const user = await brokerUser(layout);
    const at = options.at === undefined ? layout : siteLayout(options.at);
    const { mqtt: mqttPort, gateway: gatewayPort } = options.ports;
    for (const file of brokerFiles(layout, { layout: at, mqttPort, gatewayPort, user })) {
      // The devices that are refused by now are refused there too.
      const isList = file.path === layout.aclDevices;
      const text = isList ? await readText(options.layout.aclDevices) : file.text;
      writeNew({ ...file, text }, made);
    }
    await handOver(layout, user);
    return { ok: true, layout };
  } catch (error) {
    await takeAway(made);
    if (!isSystemError(error)) throw error;
    return { ok: false, faults: [{ kind: "system_refused", reason: error.message }] };
  }
}

async function faultsOf(options: NodeOptions, directory: string): Promise<NodeFault[]> {
  const { config, name, hosts, at } = options;
  const { accepts, allowed } = nodeName();
  const isName = name !== "" && accepts(name) && name !== "." && name !== "..";
  const path = at ?? directory;
  return [
    config.store.server === undefined && { kind: "store_not_shared" } as const,
    !isName && { kind: "name_not_usable", allowed } as const,
    name === config.node.name && { kind: "name_is_own", name } as const,
    ...hosts.filter((host) => !hostName().accepts(host)).map((host) => (
      { kind: "host_not_usable", host } as const
    )),
    !(isAbsolute(path) && isBrokerPath(path)) && { kind: "path_not_usable", path } as const,
    isName && await exists(directory) && { kind: "folder_exists", path: directory } as const,
  ].filter((fault) => fault !== false);
}

async function nodeFiles(
  options: NodeOptions,
  layout: SiteLayout,
): Promise<SiteFile[] | NodeFault> {
  const { layout: site, hosts, nowMs } = options;
  const certificatePem = await readText(site.gatewayCa.certificate);
  const keyPem = await readText(site.gatewayCa.key);
  const opened = await openAuthority({ certificatePem, keyPem });
  if (!opened.ok) return { kind: "authority_not_usable", reason: opened.fault };
  const issuing = await openIssuingAuthority(site, { nowMs });
  if (!issuing.ok) return { kind: "authority_not_usable", reason: issuing.fault };
  const probe = await issueOwnProbe(issuing.authority, nowMs);
  return [
    readable(layout.configuration, await configurationOf(options)),
    // Only the certificates: an operator may have a key in the same file.
    readable(layout.deviceCa.certificate, await certificatesIn(site.deviceCa.certificate)),
    readable(layout.gatewayCa.certificate, await certificatesIn(site.gatewayCa.certificate)),
    ...await machineFiles(layout, opened.authority, { hosts, nowMs }),
    readable(layout.probe.certificate, probe.certificatePem),
    secret(layout.probe.key, probe.keyPem),
    readable(layout.revocationList, await readText(site.revocationList)),
    ...await copiedFiles(options, layout),
  ];
}

async function certificatesIn(path: string): Promise<string> {
  return certificatesOf(await readText(path)).join("");
}

/** What the settings name inside the site's folder, and the node needs as well. */
async function copiedFiles(
  { layout: site, config }: NodeOptions,
  layout: SiteLayout,
): Promise<SiteFile[]> {
  const { backend, store } = config;
  const { server } = store;
  const wanted = [
    ...[store.sealingKey.file, server?.ca, server?.passwordFile, backend.ca, backend.headersFile],
    ...[server?.pair?.certificate, server?.pair?.key, backend.signingKeyFile],
    ...[backend.pair?.certificate, backend.pair?.key],
  ].filter((path) => path !== undefined);
  const files: SiteFile[] = [];
  for (const path of new Set(wanted)) {
    const place = relative(site.directory, path);
    const isInside = !place.startsWith("..") && !isAbsolute(place);
    if (isInside && await exists(path)) {
      files.push(secret(join(layout.directory, place), await readText(path)));
    }
  }
  return files;
}

async function configurationOf({ layout, name, hosts, ports }: NodeOptions): Promise<string> {
  const changes = [
    { section: "node", key: "name", value: name },
    { section: "broker", key: "client_id", value: createClientId() },
    { section: "broker", key: "port", value: ports.gateway },
    { section: "devices", key: "host", value: hosts[0] ?? "localhost" },
    { section: "devices", key: "port", value: ports.mqtt },
    { section: "api", key: "port", value: ports.api },
  ];
  return changes.reduce(withSetting, await readText(layout.configuration));
}
