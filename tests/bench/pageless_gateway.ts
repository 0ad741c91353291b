/** This gateway as it would be without the page: its paths and what it remembers are left out. */

import { ROOT } from "../../src/build/bundle.ts";
import { type Contender, gateway } from "./contender.ts";
import { packedCommand } from "./packed_gateway.ts";
import { makeTemporaryFolder } from "./temporary_folder.ts";

/** What a program is bundled from. */
const SOURCES = ["main.ts", "src", "docs", "kits", "mosquitto", "deno.json", "deno.lock"];

/** What stands for the files by which the page is in the gateway. */
const STUBS: Readonly<Record<string, string>> = {
  "page_routes.ts": "export function addPageRoutes() {}\n",
  "page_memory.ts": "export class PageMemory {\n  flow = { wait() {} };\n  take() {}\n}\n",
};

/** Makes it; its folder is gone at the end of the bench. */
export async function pagelessGateway(): Promise<Contender> {
  const root = await makeTemporaryFolder();
  await Deno.symlink(`${ROOT}/node_modules`, `${root}/node_modules`);
  const args = ["-r", ...SOURCES.map((name) => `${ROOT}/${name}`), root];
  const { success, stderr } = await new Deno.Command("/bin/cp", { args }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  for (const [name, text] of Object.entries(STUBS)) {
    const path = `${root}/src/gateway/page/${name}`;
    await Deno.lstat(path); // it has its name still
    await Deno.writeTextFile(path, text);
  }
  return {
    ...gateway({}, "without the page"),
    command: ({ layout }) => packedCommand(["run", "--dir", layout.directory], root),
  };
}
