/**
 * CSV as spreadsheets write it: RFC 4180 and its relatives. Pure.
 *
 * The rules are:
 * - a first line `sep=;` names the separator; otherwise it is the first tab, semicolon or comma that
 *   is outside quotes in the header;
 * - a cell in quotes is taken as it is, may hold separators and doubled quotes, and ends on its line;
 *   another one loses the blanks around it;
 * - a row in which every cell is empty is no row; empty cells beyond the header are none.
 */

/** A line of a text, counted from 1. */
export interface NumberedLine {
  readonly line: number;
  readonly content: string;
}

/** One row with as many cells as the header, or what is wrong with it. */
interface CsvRow {
  readonly line: number;
  readonly cells: readonly string[] | string;
}

/** The header's cells and the rows below it. */
interface CsvTable {
  readonly header: CsvRow;
  readonly rows: readonly CsvRow[];
}

const SEPARATOR_LINE = /^"?sep=([;,|\t])"?$/i;

/** The lines of a text that are not blank, whatever ends a line in it. */
export function numberedLines(text: string): NumberedLine[] {
  return text.split(/\r\n|\r|\n/).map((content, i) => ({ line: i + 1, content }))
    .filter(({ content }) => content.trim() !== "");
}

/** Reads a table; undefined if there is no header. */
export function readCsv(lines: readonly NumberedLine[]): CsvTable | undefined {
  const named = SEPARATOR_LINE.exec(lines[0]?.content.trim() ?? "")?.[1];
  const [header, ...rows] = named === undefined ? lines : lines.slice(1);
  if (header === undefined) return undefined;
  const separator = named ?? separatorOf(header.content);
  const names = cellsOf(header.content, separator);
  return {
    header: { line: header.line, cells: names },
    rows: rows.map(({ line, content }) => ({
      line,
      cells: fitted(cellsOf(content, separator), names.length),
    })).filter(({ cells }) => typeof cells === "string" || cells.some((cell) => cell !== "")),
  };
}

function separatorOf(header: string): string {
  return /[\t;,]/.exec(header.replaceAll(/"[^"]*"/g, ""))?.[0] ?? ",";
}

/** A spreadsheet leaves out empty cells at a row's end, or adds some. */
function fitted(cells: string[] | string, count: number): string[] | string {
  if (typeof cells === "string") return cells;
  const used = cells.findLastIndex((cell) => cell !== "") + 1;
  if (used > count) return `there are ${used} fields, and ${count} in the header`;
  return Array.from({ length: count }, (_, i) => cells[i] ?? "");
}

function cellsOf(content: string, separator: string): string[] | string {
  const cells: string[] = [];
  const [end, plain] = separator === "|" ? ["\\|", "|"] : [separator, separator];
  const cell = new RegExp(`[ ]*"((?:[^"]|"")*)"[ ]*(${end}|$)|([^"${plain}]*)(${end}|$)`, "y");
  for (;;) {
    const match = cell.exec(content);
    if (!match) return "a quote is not closed, or is inside an unquoted field";
    const [, quoted, afterQuoted, unquoted = "", afterUnquoted] = match;
    cells.push(quoted === undefined ? unquoted.trim() : quoted.replaceAll('""', '"'));
    if ((afterQuoted ?? afterUnquoted) === "") return cells;
  }
}
