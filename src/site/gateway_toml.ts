/** The gateway.toml that `init` writes: every setting, with what it does and its default. */

import { type ListedSetting, listSettings } from "../config/settings.ts";

/** What `init` decides for a site; everything else is in the file as a comment. */
interface SiteValues {
  readonly clientId: string;
  readonly backendUrl: string;
  readonly gatewayPort: number;
  readonly apiPort: number;
  /** Where devices find the broker. */
  readonly deviceHost: string;
  readonly devicePort: number;
}

const HEAD = `# Settings of this gateway. A line that begins with "#" shows the default.
# Each can be overridden by an environment variable: SECURE_IOT_GATEWAY_<SECTION>_<KEY>.
# Paths are taken from this folder. A duration has a unit: ms, s, m, h or d.
`;

/** The text of gateway.toml for a new site. */
export function renderGatewayToml(values: SiteValues): string {
  const chosen = new Map<string, string | number>([
    ["broker.client_id", values.clientId],
    ["broker.port", values.gatewayPort],
    ["backend.url", values.backendUrl],
    ["devices.host", values.deviceHost],
    ["devices.port", values.devicePort],
    ["api.port", values.apiPort],
  ]);
  let section = "";
  let toml = HEAD;
  for (const setting of listSettings()) {
    if (setting.section !== section) toml += `\n[${section = setting.section}]\n`;
    toml += renderSetting(setting, chosen.get(`${section}.${setting.key}`));
  }
  return toml;
}

function renderSetting(setting: ListedSetting, chosen: string | number | undefined): string {
  const comment = `# ${setting.purpose}\n`;
  return chosen === undefined
    ? `${comment}# ${setting.key} = ${JSON.stringify(setting.defaultValue)}\n`
    : `${comment}${setting.key} = ${JSON.stringify(chosen)}\n`;
}
