/** What the API says of the last hour, a value a minute. */

const MINUTES = 60;

/**
 * The intervals that are over, summed up to minutes that end with the last one of them. What was before
 * `started` (Unix seconds) is not known, unless something is there: null.
 */
export function minutesOf({ interval_seconds, end, ...arrays }, { started = 0 } = {}) {
  const each = Math.max(1, Math.round(MINUTES / interval_seconds));
  const { accepted, delivered, waiting, rejected } = arrays;
  const all = [accepted, delivered, waiting, ...Object.values(rejected)];
  const known = accepted.map((_, i) =>
    end - (accepted.length - 1 - i) * interval_seconds > started ||
    all.some((values) => values[i] > 0)
  );
  const minutes = (values, together) => inMinutes(values, { each, known, together });
  return {
    end: end - interval_seconds,
    accepted: minutes(accepted, total),
    delivered: minutes(delivered, total),
    waiting: minutes(waiting, most),
    rejected: Object.fromEntries(
      Object.entries(rejected).map(([code, values]) => [code, minutes(values, total)]),
    ),
  };
}

/** Groups of `each` values, from the end: always as many; what is not known is left out. */
function inMinutes(values, { each, known, together }) {
  const last = values.length - 1; // it is not over
  return Array.from({ length: MINUTES }, (_, i) => {
    const to = last - (MINUTES - 1 - i) * each;
    const from = Math.max(0, to - each);
    const some = values.slice(from, Math.max(0, to)).filter((_, k) => known[from + k]);
    return some.length === 0 ? null : together(some);
  });
}

/** The sum; what is not known is left out. */
export function total(values) {
  return values.reduce((sum, value) => sum + (value ?? 0), 0);
}

function most(values) {
  return Math.max(...values);
}
