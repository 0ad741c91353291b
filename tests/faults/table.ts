/** The table of figures: Markdown that also reads well as it is. */

import type { Findings } from "./scenario.ts";

const COLUMNS = [
  "fault",
  "sent",
  "answered",
  "lost",
  "doubled",
  "out of order",
  "replays forwarded",
  "note",
];

/** One line for each scenario, and one with the sums. */
export function tableOf(rows: readonly (readonly [name: string, findings: Findings])[]): string {
  const lines = rows.map(([name, findings]) => [name, ...countsOf([findings]), findings.note]);
  const sums = ["all", ...countsOf(rows.map(([, findings]) => findings)), ""];
  const cells = rows.length > 1 ? [COLUMNS, ...lines, sums] : [COLUMNS, ...lines];
  const widths = COLUMNS.map((_, column) => Math.max(...cells.map((line) => line[column]!.length)));
  const rule = widths.map((width, column) =>
    isCount(column) ? `${"-".repeat(width - 1)}:` : "-".repeat(width)
  );
  const [head, ...body] = cells.map((line) =>
    line.map((cell, column) =>
      isCount(column) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)
    )
  );
  return [head!, rule, ...body].map((line) => `| ${line.join(" | ")} |`).join("\n");
}

function countsOf(all: readonly Findings[]): string[] {
  const sum = (of: (findings: Findings) => number) =>
    String(all.reduce((total, findings) => total + of(findings), 0));
  return [
    sum(({ sent }) => sent),
    sum(({ answered }) => answered),
    sum(({ lost }) => lost),
    sum(({ doubled }) => doubled),
    sum(({ outOfOrder }) => outOfOrder),
    sum(({ replaysForwarded }) => replaysForwarded),
  ];
}

function isCount(column: number): boolean {
  return column > 0 && column < COLUMNS.length - 1;
}
