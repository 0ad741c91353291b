/** Texts in the lines of a terminal. Pure. */

/** Characters of a line that fits every terminal. */
export const LINE_CHARS = 80;

/** A text in lines of at most `max` characters, broken at spaces; a longer word stays whole. */
export function wrapped(text: string, max: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > max) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
