/** Nodes whose settings are in their files, and `lists follow` beside their brokers. */

import { withSetting } from "../../src/config/toml_edit.ts";
import { ChildProcess } from "../../src/demo/sandbox/child_process.ts";
import { programCommand } from "../../src/demo/sandbox/gateway_process.ts";
import type { LiveSite } from "./live_site.ts";
import { HAS_POSTGRES } from "./temporary_postgres.ts";
import { type TwoNodes, withTwoNodes } from "./two_nodes.ts";

/** The nodes. */
interface WithLists extends TwoNodes {
  /** Starts `lists follow` beside a node's broker; it ends with the test. */
  follow(node: LiveSite): ChildProcess;
}

/** A test of two nodes on which commands run as an operator runs them. */
export function testLists(name: string, work: (nodes: WithLists) => Promise<void>): void {
  const fn = () =>
    withTwoNodes(async (nodes) => {
      for (const node of [nodes.a, nodes.b]) await writeSettings(node);
      const followers: ChildProcess[] = [];
      const follow = ({ layout }: LiveSite) => {
        const follower = new ChildProcess(
          programCommand("lists", "follow", "--dir", layout.directory),
        );
        followers.push(follower);
        return follower;
      };
      try {
        await work({ ...nodes, follow });
      } finally {
        for (const follower of followers) await follower.stop();
      }
    });
  Deno.test({ name, ignore: !HAS_POSTGRES, fn });
}

/** Live sites have their settings in the environment; other programs read the file. */
async function writeSettings({ layout, config }: LiveSite): Promise<void> {
  const { hosts, user, database } = config.store.server!;
  const list = hosts.map(({ host, port }) => `${host}:${port}`).join();
  const changes = [
    { section: "store", key: "engine", value: "postgres" },
    { section: "store", key: "url", value: `postgres://${user}@${list}/${database}` },
    { section: "store", key: "durability", value: "local" },
    { section: "node", key: "name", value: config.node.name },
  ];
  const toml = changes.reduce(withSetting, await Deno.readTextFile(layout.configuration));
  await Deno.writeTextFile(layout.configuration, toml);
}
