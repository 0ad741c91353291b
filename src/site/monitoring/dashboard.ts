/** The dashboard as Grafana imports it, JSON. */

import { DASHBOARD_ROWS, type DashboardRow, type Panel } from "./dashboard_rows.ts";

const TITLE = "SecureIoTGateway";
const SOURCE = { type: "prometheus", uid: "${source}" };
const ROW_WIDTH = 24;
const PANEL_HEIGHT = { stat: 4, graph: 8, table: 8 } as const;
const TYPES = { stat: "stat", graph: "timeseries", table: "table" } as const;

/** The file's text. */
export function renderDashboard(): string {
  const dashboard = {
    uid: "secure-iot-gateway",
    title: TITLE,
    tags: ["secure-iot-gateway"],
    schemaVersion: 38,
    editable: true,
    refresh: "30s",
    time: { from: "now-1h", to: "now" },
    templating: { list: variables() },
    panels: panelsOf(DASHBOARD_ROWS),
  };
  return JSON.stringify(dashboard, null, 2) + "\n";
}

function variables() {
  const query = { type: "query", datasource: SOURCE, refresh: 2, sort: 1 };
  return [
    { name: "source", label: "Prometheus", type: "datasource", query: "prometheus" },
    {
      ...query,
      ...{ name: "job", label: "Job" },
      query: "label_values(secure_iot_gateway_build_info, job)",
    },
    {
      ...query,
      ...{ name: "instance", label: "Gateway" },
      query: 'label_values(secure_iot_gateway_build_info{job="$job"}, instance)',
      ...{ multi: true, includeAll: true, allValue: ".*" },
      current: { text: "All", value: "$__all" },
    },
  ];
}

/** Every row with its panels below it, from left to right. */
function panelsOf(rows: readonly DashboardRow[]) {
  let id = 0;
  let y = 0;
  return rows.flatMap(({ question, panels }) => {
    const head = {
      id: ++id,
      ...{ type: "row", title: question, collapsed: false, panels: [] },
      gridPos: { x: 0, y: y++, w: ROW_WIDTH, h: 1 },
    };
    let x = 0;
    let height = 0;
    const placed = panels.map((panel) => {
      if (x + panel.width > ROW_WIDTH) {
        y += height;
        x = height = 0;
      }
      const h = PANEL_HEIGHT[panel.kind];
      const gridPos = { x, y, w: panel.width, h };
      x += panel.width;
      height = Math.max(height, h);
      return { id: ++id, ...panelOf(panel), gridPos };
    });
    y += height;
    return [head, ...placed];
  });
}

function panelOf({ title, help = "", kind, queries, ...shown }: Panel) {
  return {
    ...{ type: TYPES[kind], title, description: help, datasource: SOURCE },
    targets: queries.map(({ expr, legend }, place) => ({
      refId: String.fromCharCode("A".charCodeAt(0) + place),
      ...{ datasource: SOURCE, expr, legendFormat: legend },
      ...(kind === "graph" ? { range: true } : { instant: true, range: false }),
      ...(kind === "table" && { format: "table" }),
    })),
    fieldConfig: { defaults: fieldsOf({ kind, ...shown }), overrides: [] },
    options: optionsOf(kind),
  };
}

function fieldsOf({ kind, unit, thresholds }: Pick<Panel, "kind" | "unit" | "thresholds">) {
  const { orange, red } = thresholds ?? {};
  return {
    unit,
    ...(kind === "graph" && { custom: { axisSoftMin: 0, fillOpacity: 10, showPoints: "never" } }),
    ...(thresholds && {
      color: { mode: "thresholds" },
      thresholds: {
        mode: "absolute",
        steps: [
          { color: "green", value: null },
          ...(orange === undefined ? [] : [{ color: "orange", value: orange }]),
          { color: "red", value: red },
        ],
      },
    }),
  };
}

function optionsOf(kind: Panel["kind"]) {
  switch (kind) {
    case "graph":
      return { legend: { displayMode: "list", placement: "bottom" }, tooltip: { mode: "multi" } };
    case "stat":
      return {
        colorMode: "background",
        graphMode: "none",
        reduceOptions: { calcs: ["lastNotNull"] },
      };
    case "table":
      return { showHeader: true };
    default:
      return kind satisfies never;
  }
}
