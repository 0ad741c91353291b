/**
 * Tables that are read on a desk, on a phone and by a screen reader.
 *
 * On a narrow screen each row becomes a card, by CSS alone; the roles are written out, since browsers
 * forget them with another `display`. `columns`: `{ key, label, cell, isNumber, isLong, isQuiet, sort }`;
 * `sort` names the order that the API is asked for.
 */

import { All, html } from "./html.js";

/**
 * A table with a caption; `order` is `{ by, isDown, choose }` if it can be sorted; `look` is "plain" for
 * no cards, "feed" for cards without labels; `below` says what is shown below a row, as wide as all.
 */
export function Table({ caption, columns, rows, keyOf, below, order, look, empty = "Nothing" }) {
  if (rows.length === 0) return html`<p class="empty">${empty}</p>`;
  return html`
    <div class=${`table ${look ?? ""}`}>
      ${order && html`<${OrderChoice} columns=${columns} order=${order} />`}
      <table role="table">
        <caption class="silent">${caption}</caption>
        <thead role="rowgroup">
          <tr role="row">
            ${columns.map((column) =>
              html`<${HeadCell} key=${column.key} column=${column} order=${order} />`
            )}
          </tr>
        </thead>
        <tbody role="rowgroup">
          ${rows.map((row) =>
            html`<${Row} key=${keyOf(row)} row=${row} columns=${columns} below=${below?.(row)} />`
          )}
        </tbody>
      </table>
    </div>
  `;
}

function HeadCell({ column: { label, sort, isNumber, isQuiet }, order }) {
  const kind = isNumber ? "number" : undefined;
  if (sort === undefined || order === undefined) {
    const text = isQuiet ? html`<span class="silent">${label}</span>` : label;
    return html`<th role="columnheader" scope="col" class=${kind}>${text}</th>`;
  }
  const isBy = order.by === sort;
  const sorted = isBy ? (order.isDown ? "descending" : "ascending") : undefined;
  const sign = isBy ? (order.isDown ? "▼" : "▲") : "";
  return html`
    <th role="columnheader" scope="col" class=${kind} aria-sort=${sorted}>
      <button type="button" class="sort" onClick=${() =>
        order.choose(sort, isBy ? !order.isDown : Boolean(isNumber))}>
        ${label}<span class="sign" aria-hidden="true">${sign}</span>
      </button>
    </th>
  `;
}

function Row({ row, columns, below }) {
  return html`
    <${All}>
    <tr role="row">
      ${columns.map(({ key, label, cell, isNumber, isQuiet, isLong }, i) =>
        html`
          <${i === 0 ? "th" : "td"} key=${key} role=${i === 0 ? "rowheader" : "cell"}
            scope=${i === 0 ? "row" : undefined} class=${isNumber
              ? "number"
              : isLong
              ? "long"
              : undefined}
            data-label=${isQuiet ? undefined : label}>
            <div class="cell">${cell(row)}</div>
            <//>
        `
      )}
    </tr>
    ${below && html`
      <tr role="row" class="below">
        <td role="cell" colspan=${columns.length}>${below}</td>
      </tr>
    `}
    <//>
  `;
}

/** For narrow screens, where there are no heads to press. */
function OrderChoice({ columns, order }) {
  const choose = ({ target }) => {
    const [by, direction] = target.value.split(" ");
    order.choose(by, direction === "down");
  };
  const orders = columns.filter(({ sort }) => sort !== undefined);
  const chosen = `${order.by} ${order.isDown ? "down" : "up"}`;
  return html`
    <label class="order">Sort by
      <select value=${chosen} onChange=${choose}>
        ${orders.flatMap(({ sort, label }) =>
          ["up", "down"].map((way) =>
            html`<option key=${sort + way} value=${`${sort} ${way}`}>${label} ${
              way === "up" ? "▲" : "▼"
            }</option>`
          )
        )}
      </select>
    </label>
  `;
}

/** The way through pages: `pages` is of `useList`. */
export function Pager({ pages, next, total, shown }) {
  const isOnly = pages.number === 1 && !next;
  const from = pages.number === 1 ? 1 : (pages.number - 1) * pages.size + 1;
  const range = shown === 0 ? "" : `${from} to ${from + shown - 1}`;
  const text = (total ?? undefined) === undefined
    ? range
    : `${range} of ${total.toLocaleString("en-GB")}`;
  if (isOnly) return html`<p class="muted pager" role="status">${shown > 0 && text}</p>`;
  return html`
    <nav class="pager row" aria-label="Pages">
      <${PageButton} name="Previous" isOff=${pages.number === 1} go=${pages.back} />
      <span class="muted" role="status">${text}</span>
      <${PageButton} name="Next" isOff=${!next} go=${() => pages.forth(next)} />
    </nav>
  `;
}

/** It keeps the focus at the last page, as a disabled one would not. */
function PageButton({ name, isOff, go }) {
  return html`
    <button type="button" aria-disabled=${isOff ? "true" : undefined} onClick=${isOff
      ? undefined
      : go}>
      ${name}
    </button>
  `;
}
