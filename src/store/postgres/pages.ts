/** Reading many rows page by page, so that neither side holds more than one in memory. */

import type { Row } from "./driver.ts";

/** Most rows that are read at one time. */
export const PAGE_MAX = 256;

/** Every row: `read` gives the page behind a row, of `PAGE_MAX` rows but for the last. */
export async function* inPages(
  read: (after: Row | undefined) => Promise<readonly Row[]>,
): AsyncGenerator<Row> {
  let page: readonly Row[] = [];
  do {
    page = await read(page.at(-1));
    yield* page;
  } while (page.length === PAGE_MAX);
}
