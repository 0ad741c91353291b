/** Commands for a store on a server, and for the gateways that share it. */

import type { Command } from "commander";
import { port, repeatable, site } from "./option_types.ts";

/** Adds them. */
export function addSharedStoreCommands(program: Command): void {
  addStoreCommands(program);
  addNodeCommands(program);
  addListCommands(program);
}

function addStoreCommands(program: Command): void {
  const store = program.command("store").description("The store on a server, if there is one")
    .helpCommand(false);
  site(store.command("migrate").description("Make the store's tables, or bring them up to date"))
    .option("--json", "as JSON")
    .action(async (options) => (await import("./store.ts")).migrateStore(options));
  site(store.command("move").description("Move everything from the SQLite file to the server"))
    .option("--json", "as JSON")
    .action(async (options) => (await import("./store.ts")).moveStore(options));
}

function addNodeCommands(program: Command): void {
  const node = program.command("node").description("The gateways that share a store")
    .helpCommand(false);
  site(node.command("add <name>").description("Make the folder of a further gateway"))
    .addOption(
      repeatable("--host <name>", "name or address of its machine; may be repeated", "localhost"),
    )
    .option("--at <folder>", "where the folder will be on its machine")
    .option("--mqtt-port <port>", "its broker's port for devices", port)
    .option("--gateway-port <port>", "its broker's port for the gateway", port)
    .option("--api-port <port>", "its API's port", port)
    .option("--json", "as JSON")
    .action(async (name, options) => (await import("./node.ts")).addNode(name, options));
  site(node.command("list").description("Show them, with what they have to send"))
    .option("--json", "as JSON")
    .action(async (options) => (await import("./node.ts")).listNodes(options));
  site(node.command("remove <name>").description("Forget one that does not come back"))
    .option("--json", "as JSON")
    .action(async (name, options) => (await import("./node.ts")).removeNode(name, options));
}

function addListCommands(program: Command): void {
  const lists = program.command("lists").description("The brokers' lists, for gateways that share")
    .helpCommand(false);
  site(
    lists.command("follow").description(
      "Give this machine's broker the newest lists in the store, until SIGTERM or SIGINT",
    ),
  )
    .option("--once", "only what is there now; exit 0 if the broker was proved to use it")
    .option("--json", "as JSON Lines; with --once as JSON")
    .action(async (options) => (await import("./lists.ts")).followLists(options));
  site(lists.command("show").description("Show which there are, and which the broker uses"))
    .option("--json", "as JSON")
    .action(async (options) => (await import("./lists.ts")).showLists(options));
  site(lists.command("publish").description("Make them again, where device-ca.key is"))
    .option("--json", "as JSON")
    .action(async (options) => (await import("./lists.ts")).publishLists(options));
}
