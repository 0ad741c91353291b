/** Where somebody is in a list that the API gives out in pages, by cursors. */

import { useEffect, useState } from "preact/hooks";

/** Rows in a page. */
const PAGE_SIZE = 100;

/** `selection` is what the list is of: with another one the first page is shown. */
export function usePages(selection, { size = PAGE_SIZE } = {}) {
  const [trail, setTrail] = useState({ selection, cursors: [undefined] });
  const cursors = trail.selection === selection ? trail.cursors : [undefined];
  useEffect(() => setTrail({ selection, cursors }), [selection]);
  const go = (cursors) => {
    setTrail({ selection, cursors });
    scrollTo(0, 0);
  };
  return {
    size,
    number: cursors.length,
    cursor: cursors.at(-1),
    forth: (next) => go([...cursors, next]),
    back: () => go(cursors.slice(0, -1)),
  };
}
