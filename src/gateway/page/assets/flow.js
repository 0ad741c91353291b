/** What the API says of the last hour, a value a minute. */

const MINUTES = 60;

/** The intervals that are over, summed up to minutes that end with the last one of them. */
export function minutesOf({ interval_seconds, end, ...arrays }) {
  const each = Math.max(1, Math.round(MINUTES / interval_seconds));
  const total = (values) => inMinutes(values, each, (some) => some.reduce((a, b) => a + b, 0));
  const most = (values) => inMinutes(values, each, (some) => Math.max(...some));
  return {
    end: end - interval_seconds,
    accepted: total(arrays.accepted),
    delivered: total(arrays.delivered),
    waiting: most(arrays.waiting),
    rejected: Object.fromEntries(
      Object.entries(arrays.rejected).map(([code, values]) => [code, total(values)]),
    ),
  };
}

/** Groups of so many values, from the end; a group with one that is not known is not known. */
function inMinutes(values, each, together) {
  const over = values.slice(0, -1);
  const groups = [];
  for (let to = over.length; to - each >= 0 && groups.length < MINUTES; to -= each) {
    const some = over.slice(to - each, to);
    groups.unshift(some.includes(null) ? null : together(some));
  }
  return groups;
}
