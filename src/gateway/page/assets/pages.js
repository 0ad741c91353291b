/** The lists that the API gives out in pages, by cursors, and where somebody is in one. */

import { useEffect, useState } from "preact/hooks";
import { query, useApi } from "./api.js";

/** Rows in a page. */
const PAGE_SIZE = 100;

/**
 * A page of the list at `path`, asked again every `seconds`: `{ list, pages }`; `selected` are the
 * parameters that say what it is of. The page before is shown until the next one is there.
 */
export function useList(path, selected, { seconds }) {
  const pages = usePages(query(selected));
  const asked = query({ ...selected, limit: pages.size, cursor: pages.cursor });
  return { list: useApi(`${path}${asked}`, { seconds, keep: true }), pages };
}

/** `selection` is what the list is of: with another one the first page is shown. */
function usePages(selection) {
  const [trail, setTrail] = useState({ selection, cursors: [undefined] });
  const cursors = trail.selection === selection ? trail.cursors : [undefined];
  useEffect(() => setTrail({ selection, cursors }), [selection]);
  const go = (cursors) => {
    setTrail({ selection, cursors });
    scrollTo(0, 0);
  };
  return {
    size: PAGE_SIZE,
    number: cursors.length,
    cursor: cursors.at(-1),
    forth: (next) => go([...cursors, next]),
    back: () => go(cursors.slice(0, -1)),
  };
}
