/** Where the secret of a device is for its owner to fetch: in its folder or its one file. */

import { readText } from "../../config/operator_file.ts";
import { createOwnedFile, ensureOwnedFolder, makeOwnedFolder } from "../../config/owned_file.ts";
import { draftPath, draftReplacement, isDraftName, type Replacement } from "../atomic_write.ts";
import { exists } from "../exists.ts";
import { deviceFolder, deviceFolderAt, type SiteLayout } from "../layout.ts";
import { DRAFT_PREFIX, pemPath, SECRET_LINE } from "./device_bundle.ts";

/** A secret beside its place, or the file that has no line for it. */
type SecretDraft =
  | { readonly ok: true; readonly path: string; readonly replacement: Replacement }
  | { readonly ok: false; readonly path: string };

/** Writes a device's secret beside its place; makes the folder if the device has no bundle here. */
export async function draftSecret(
  layout: SiteLayout,
  deviceId: string,
  secret: string,
): Promise<SecretDraft> {
  const { directory, secret: path } = deviceFolder(layout, deviceId);
  const file = pemPath(directory);
  if (!await exists(directory) && await exists(file)) return await draftInFile(file, secret);
  if (!await exists(directory)) {
    return { ok: true, path, replacement: draftFolder(layout, directory, secret) };
  }
  await removeDrafts(directory);
  const replacement = await exists(path)
    ? await draftReplacement(path, secret)
    : draftFile(path, secret);
  return { ok: true, path, replacement };
}

/** A folder for nothing but the secret. */
function draftFolder(
  { devicesFolder }: SiteLayout,
  directory: string,
  secret: string,
): Replacement {
  const draft = `${devicesFolder}/${DRAFT_PREFIX}${crypto.randomUUID()}`;
  ensureOwnedFolder(devicesFolder);
  makeOwnedFolder(draft);
  createOwnedFile(deviceFolderAt(draft).secret, secret, { mode: 0o600 });
  return replacementOf(draft, directory);
}

function draftFile(path: string, secret: string): Replacement {
  const draft = draftPath(path);
  createOwnedFile(draft, secret, { mode: 0o600 });
  return replacementOf(draft, path);
}

function replacementOf(draft: string, path: string): Replacement {
  return {
    place: () => Deno.rename(draft, path),
    discard: () => Deno.remove(draft, { recursive: true }),
  };
}

async function draftInFile(path: string, secret: string): Promise<SecretDraft> {
  const lines = (await readText(path)).split("\n");
  const at = lines.findIndex((line) => line.startsWith(SECRET_LINE));
  if (at === -1) return { ok: false, path };
  const text = lines.with(at, `${SECRET_LINE}${secret}`).join("\n");
  return { ok: true, path, replacement: await draftReplacement(path, text) };
}

/** Those of a run that broke off. */
async function removeDrafts(directory: string): Promise<void> {
  for await (const { name } of Deno.readDir(directory)) {
    if (isDraftName(name)) await Deno.remove(`${directory}/${name}`);
  }
}
