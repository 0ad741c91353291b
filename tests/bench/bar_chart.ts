/** A bar chart as SVG, readable on a light and on a dark page. */

/** One bar. */
export interface Bar {
  readonly label: string;
  readonly value: number;
  /** Written at its end. */
  readonly text: string;
}

const WIDTH = 760;
const LABEL_WIDTH = 150;
const TEXT_WIDTH = 210;
const ROW_HEIGHT = 34;
const BAR_HEIGHT = 20;
const TOP = 44;

const STYLE = `
  text { font: 14px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600 }
  .bar { fill: #8c959f }
  .bar.first { fill: #0969da }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .bar { fill: #6e7681 }
    .bar.first { fill: #58a6ff }
  }`;

/** Draws the bars below each other; the first is ours. */
export function barChart(title: string, bars: readonly Bar[]): string {
  const height = TOP + bars.length * ROW_HEIGHT;
  const longest = Math.max(1, ...bars.map(({ value }) => value));
  const perUnit = (WIDTH - LABEL_WIDTH - TEXT_WIDTH) / longest;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img">`,
    `<title>${escapeXml(title)}</title>`,
    `<style>${STYLE}</style>`,
    `<text class="title" x="8" y="24">${escapeXml(title)}</text>`,
    ...bars.map((bar, i) => drawBar(bar, { top: TOP + i * ROW_HEIGHT, perUnit, first: i === 0 })),
    "</svg>\n",
  ].join("\n");
}

function drawBar(
  { label, value, text }: Bar,
  { top, perUnit, first }: { top: number; perUnit: number; first: boolean },
): string {
  const width = Math.max(1, value * perUnit);
  const baseline = top + BAR_HEIGHT - 5;
  return [
    `<text x="${LABEL_WIDTH - 10}" y="${baseline}" text-anchor="end">${escapeXml(label)}</text>`,
    `<rect class="bar${first ? " first" : ""}" x="${LABEL_WIDTH}" y="${top}" ` +
    `width="${width.toFixed(1)}" height="${BAR_HEIGHT}" rx="3"/>`,
    `<text x="${(LABEL_WIDTH + width + 10).toFixed(1)}" y="${baseline}">${escapeXml(text)}</text>`,
  ].join("\n");
}

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
