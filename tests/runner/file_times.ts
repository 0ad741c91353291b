/** How long each file took in a process that ran several, from its report in JUnit's format. */

/** Seconds by path. */
export function fileTimes(junit: string): ReadonlyMap<string, number> {
  const suites = junit.matchAll(/<testsuite name="(?:\.\/)?([^"]+)"(.*?)<\/testsuite>/gs);
  return new Map([...suites].map(([, path, cases]) => {
    const times = [...cases!.matchAll(/<testcase name="([^"]*)"[^>]* time="([\d.]+)"/g)];
    const own = times.filter(([, name]) => !name!.includes(" &gt; ")); // a step is in its test's time
    return [path!, own.reduce((sum, [, , time]) => sum + Number(time), 0)];
  }));
}
