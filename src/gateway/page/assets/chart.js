/**
 * A chart of the last hour, as SVG, and its numbers as a table.
 *
 * The rules are:
 * - several series stand on each other, so that their top is the sum;
 * - a value that is not known is a gap, never a zero;
 * - what the pointer shows, the table has for everybody.
 */

import { useState } from "preact/hooks";
import { total } from "./flow.js";
import { html } from "./html.js";
import { Table } from "./table.js";
import { minute, number } from "./words.js";

const WIDTH = 600;
const HEIGHT = 120;

/** Where scales end, times a power of ten. */
const ROUND = [1, 1.5, 2, 3, 4, 5, 6, 8, 10];

/** `series`: `[{ name, values, color }]`, all of one length, a value a minute, the last ends at `end`. */
export function Chart({ title, series, end, summary }) {
  const [pointed, setPointed] = useState();
  const length = series[0]?.values.length ?? 0;
  const sums = sumsOf(series, length);
  const top = niceTop(Math.max(0, ...sums.filter((sum) => sum !== undefined)));
  const timeAt = (i) => end - (length - 1 - i) * 60;
  const point = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const i = Math.round((event.clientX - box.left) / box.width * (length - 1));
    setPointed(Math.min(length - 1, Math.max(0, i)));
  };
  const label = `${title}, the last hour: ${summary}`;
  return html`
    <figure class="chart">
      <figcaption>
        <h3>${title}</h3>
        <p>${pointed === undefined || pointed >= length
          ? summary
          : `${minute(timeAt(pointed))}: ${
            sums[pointed] === undefined ? "unknown" : number(sums[pointed])
          }`}</p>
      </figcaption>
      <div class="plot" onPointerMove=${point} onPointerLeave=${() => setPointed(undefined)}>
        <span class="top" aria-hidden="true">${number(top)}</span>
        <svg role="img" aria-label=${label} viewBox=${`0 0 ${WIDTH} ${HEIGHT}`}
          preserveAspectRatio="none">
          <path class="grid" d=${`M0 .5H${WIDTH}M0 ${HEIGHT / 2}H${WIDTH}M0 ${
            HEIGHT - .5
          }H${WIDTH}`} />
          ${layersOf(series, length).map(({ color, area, line }, i) =>
            html`
              <g key=${i} class=${color}>
                <path class="area" d=${area(top)} />
                <path class="line" d=${line(top)} />
              </g>
            `
          )}
          ${pointed !== undefined && length > 1 && html`
            <path class="pointer" d=${`M${xOf(pointed, length)} 0V${HEIGHT}`} />
          `}
        </svg>
      </div>
      <p class="axis" aria-hidden="true">
        <span>${minute(timeAt(0))}</span><span>${minute(
          timeAt((length - 1) / 2),
        )}</span><span>${minute(end)}</span>
      </p>
      ${series.length > 1 || series[0]?.isNamed
        ? html`<${Legend} series=${series} pointed=${pointed} />`
        : ""}
      <details>
        <summary>Numbers<span class="silent">: ${title}</span></summary>
        <${Numbers} title=${title} series=${series} timeAt=${timeAt} length=${length} />
      </details>
    </figure>
  `;
}

function Legend({ series, pointed }) {
  return html`
    <ul class="legend">
      ${series.map(({ name, values, color }) =>
        html`
          <li
            key=${name}><span class=${`swatch ${color}`} aria-hidden="true"></span>${name}${" "}<strong>${number(
              pointed === undefined ? total(values) : values[pointed] ?? 0,
            )}</strong></li>
        `
      )}
    </ul>
  `;
}

/** Newest first, without the minutes in which nothing was. */
function Numbers({ title, series, timeAt, length }) {
  const rows = Array.from({ length }, (_, i) => length - 1 - i)
    .filter((i) => series.some(({ values }) => values[i] !== null && values[i] !== 0));
  const columns = [
    { key: "time", label: "Minute until", cell: (i) => minute(timeAt(i)) },
    ...series.map(({ name, values }) => ({
      key: name,
      label: name,
      isNumber: true,
      cell: (i) => values[i] === null ? "unknown" : number(values[i]),
    })),
  ];
  return html`
    <div class="numbers" tabindex="0" role="group" aria-label=${`${title}, numbers`}>
      <${Table} caption=${`${title} in each minute`} columns=${columns} rows=${rows} keyOf=${(i) =>
        i}
        look="plain" empty="Nothing in the last hour" />
    </div>
  `;
}

/** What the highest series reaches at each place; undefined if one of them is not known there. */
function sumsOf(series, length) {
  return Array.from(
    { length },
    (_, i) =>
      series.some(({ values }) => values[i] === null)
        ? undefined
        : total(series.map(({ values }) => values[i])),
  );
}

/** The end of the scale: a round number, and at least 4. */
export function niceTop(most) {
  if (most <= 4) return 4;
  const power = 10 ** Math.floor(Math.log10(most));
  return ROUND.map((factor) => factor * power).find((top) => top >= most);
}

function xOf(i, length) {
  return length > 1 ? (i / (length - 1) * WIDTH).toFixed(1) : WIDTH;
}

function layersOf(series, length) {
  let floor = Array(length).fill(0);
  return series.map(({ values, color }) => {
    const below = floor;
    const above = values.map((value, i) => value === null ? null : below[i] + value);
    floor = above.map((value, i) => value ?? below[i]);
    const runs = knownRuns(above);
    const at = (heights, top) => (i) =>
      `${xOf(i, length)} ${(HEIGHT - 1 - heights[i] / top * (HEIGHT - 4)).toFixed(1)}`;
    const line = (top) => runs.map((run) => along(run, at(above, top))).join("");
    const area = (top) =>
      runs.map((run) => `${along(run, at(above, top))}L${back(run, at(below, top))}Z`).join("");
    return { color, line, area };
  }).toReversed();
}

/** A path through points; one alone is drawn as a dash. */
function along(run, pointAt) {
  return run.length > 1 ? `M${run.map(pointAt).join("L")}` : `M${pointAt(run[0])}m-10 0h10`;
}

/** From the end of that path to its beginning, along the points below. */
function back(run, pointAt) {
  return run.length > 1 ? run.toReversed().map(pointAt).join("L") : `${pointAt(run[0])}h-10`;
}

/** The places in a row that have a value. */
function knownRuns(values) {
  const runs = [];
  values.forEach((value, i) => {
    if (value === null) return;
    if (i > 0 && values[i - 1] !== null) runs.at(-1).push(i);
    else runs.push([i]);
  });
  return runs;
}
