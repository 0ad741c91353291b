/** A number and what it counts, as a reader says it: "1 device", "2 devices". */
export function counted(count: number, noun: string, plural = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : plural}`;
}
