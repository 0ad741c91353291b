/** `GET /ui/api/commands`: what devices were asked, the newest first. */

import { COMMAND_STATES } from "../../core/command_life.ts";
import { commandRecord } from "../../core/command_record.ts";
import type { ApiKey } from "../../store/api_keys.ts";
import { devicesOf } from "./dead_letter_lists.ts";
import { cursorOf, type PageQuery } from "./page_query.ts";
import type { PageSources } from "./page_sources.ts";

/** A page of them as JSON; what a device said is in it byte for byte. */
export async function commandPage(
  query: PageQuery,
  { store: { commands } }: Pick<PageSources, "store">,
  key: ApiKey,
): Promise<string> {
  const [before] = query.cursor("number") ?? [];
  const { commands: found, next } = await commands.newest({
    deviceIds: devicesOf(key, query.text("device")),
    state: query.word("state", COMMAND_STATES),
    before,
    limit: query.limit,
  });
  const records = found.map((command) => {
    const record = new TextDecoder().decode(commandRecord(command));
    return `${record.slice(0, -1)},"key":${JSON.stringify(command.keyName)}}`;
  });
  const cursor = next === undefined ? null : cursorOf(next);
  return `{"commands":[${records.join(",")}],"next":${JSON.stringify(cursor)}}`;
}
