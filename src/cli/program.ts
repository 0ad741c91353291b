/** The command line: which commands there are, and the file that each runs. */

import { Argument, Command, Option } from "commander";
import { forgetProxies } from "../config/environment.ts";
import { COMMAND_STATES } from "../core/command_life.ts";
import { COMMIT, VERSION } from "../config/version.ts";
import { exitOf } from "./failure.ts";
import { days, keyType, port, repeatable, site } from "./option_types.ts";
import { addSharedStoreCommands } from "./store_commands.ts";
import { EXIT, type Exit } from "./terminal.ts";

/** Runs the program with its arguments; returns the exit code. */
export async function runProgram(args: readonly string[]): Promise<Exit> {
  forgetProxies();
  const outcome: Outcome = { exit: EXIT.ok };
  const program = createProgram(outcome);
  try {
    await program.parseAsync(args, { from: "user" });
    return outcome.exit;
  } catch (error) {
    return exitOf(error, typedCommand(program, args));
  }
}

/** The command that the first arguments name, as far as they do. */
function typedCommand(program: Command, args: readonly string[]): string {
  const names = [program.name()];
  let command: Command | undefined = program;
  for (const arg of args) {
    command = command.commands.find((one) => one.name() === arg);
    if (command === undefined) break;
    names.push(arg);
  }
  return names.join(" ");
}

/** What a command returns to the shell, if it does not fail. */
interface Outcome {
  exit: Exit;
}

/** Every command with its options, none of them run yet. */
export function createProgram(outcome: Outcome = { exit: EXIT.ok }): Command {
  const program = new Command("secure-iot-gateway")
    .description("Checks signed messages from devices and hands the clean payload to your backend")
    .version(COMMIT === undefined ? VERSION : `${VERSION} (${COMMIT})`, "--version")
    .helpCommand(false)
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({ writeErr: () => {}, outputError: () => {} });
  addSiteCommands(program);
  addUpgradeCommands(program);
  addDeviceCommands(program);
  addAuthorityCommands(program);
  addCertificateCommands(program);
  addCommandCommands(program);
  addOutboxCommands(program);
  addDeadLetterCommands(program);
  addKeyCommands(program);
  addSecretCommands(program);
  addSharedStoreCommands(program);
  addAuditCommands(program);
  addMonitorCommands(program);
  addFirmwareCommands(program, outcome);
  addServiceCommands(program);
  return program;
}

function addSiteCommands(program: Command): void {
  site(program.command("init").description("Make a site: authorities, broker, settings, API key"))
    .addOption(
      repeatable("--host <name>", "name or address of this machine; may be repeated", "localhost"),
    )
    .option("--backend <url>", "where readings go", "http://127.0.0.1:5000")
    .option("--mqtt-port <port>", "the broker's port for devices", port, 8883)
    .option("--gateway-port <port>", "the broker's port for the gateway", port, 8884)
    .option("--api-port <port>", "the port of the gateway's API", port, 8443)
    .option("--json", "as JSON")
    .action(async (options) => (await import("./init.ts")).init(options));
  site(program.command("run").description("Run the gateway until SIGTERM or SIGINT"))
    .action(async (options) => (await import("./run.ts")).run(options));
  site(
    program.command("doctor").description(
      "Check this site, attack it, and say how to fix what is wrong",
    ),
  )
    .option("--json", "as JSON")
    .option("--only-failed", "print only what did not pass")
    .option("--offline", "only what can be seen while nothing runs")
    .option("--no-message", "send no message to the backend")
    .action(async (options) => (await import("./doctor.ts")).doctor(options));
  site(program.command("command <id> <json>").description("Send a command to a device"))
    .option("--ttl <duration>", "keep it until the device is there, for at most that long")
    .option("--wait <duration>", "wait for what the device says; exit 0 only if that is done")
    .option("--key <text>", "its Idempotency-Key: asked again with it, it is the same command")
    .option("--json", "as JSON")
    .action(async (id, json, options) =>
      (await import("./command.ts")).sendCommand(id, json, options)
    );
  site(program.command("watch [id]").description("Show what happens now, until Ctrl+C"))
    .option("--payloads", "with the payloads of what is accepted")
    .option("--json", "as JSON Lines")
    .action(async (id, options) => (await import("./watch.ts")).watch(id, options));
  program.command("demo").description("Show the whole story in a temporary site")
    .option("--keep", "leave it running, with the addresses to try")
    .option("--nodes <count>", "the story of two gateways on one store: 2", Number)
    .option("--json", "as JSON: only what was checked")
    .action(async (options) => (await import("./demo.ts")).demo(options));
}

function addUpgradeCommands(program: Command): void {
  const files = program.command("site").description("The files of this site").helpCommand(false);
  site(
    files.command("upgrade").description(
      "Add what the broker's files of an older version lack, after showing it",
    ),
  )
    .option("--dry-run", "only show it")
    .option("--json", "as JSON")
    .action(async (options) => (await import("./site_upgrade.ts")).upgradeSite(options));
}

function addServiceCommands(program: Command): void {
  program.command("install").description("Write the systemd files that run the gateway")
    .option("--print", "on stdout")
    .option("--json", "as JSON")
    .option("--prefix <folder>", "below this folder, / for this machine")
    .option("--dir <folder>", "the site folder", "/var/lib/secure-iot-gateway")
    .option("--program <file>", "path of this program", "/usr/local/bin/secure-iot-gateway")
    .action(async (options) => (await import("./install.ts")).install(options));
}

function addDeviceCommands(program: Command): void {
  const device = program.command("device").description("The registry of devices")
    .helpCommand(false);
  site(device.command("add <id>").description("Register a device and write its folder"))
    .option("--secret-file <file>", "take its secret from a file instead of making one")
    .option("--csr <file>", "a certificate request: the device keeps its key")
    .addOption(keyType("of its key; rsa for devices that know no EC"))
    .option("--valid-days <days>", "how many days its certificate is valid", days)
    .option("--pem", "one file devices/ID.pem instead of a folder")
    .option("--json", "as JSON")
    .action(async (id, options) => (await import("./device_add.ts")).addDevice(id, options));
  site(device.command("import <file>").description("Register all devices of a CSV or JSONL file"))
    .addOption(keyType("of their keys; rsa for devices that know no EC"))
    .option("--valid-days <days>", "how many days their certificates are valid", days)
    .option("--pem", "one file devices/ID.pem for each instead of a folder")
    .option("--json", "as JSON")
    .action(async (file, options) =>
      (await import("./device_add.ts")).importDevices(file, options)
    );
  site(device.command("adopt <file>").description("Register all devices of an existing registry"))
    .option("--json", "as JSON")
    .action(async (file, options) =>
      (await import("./device_adopt.ts")).adoptDevices(file, options)
    );
  site(device.command("list").description("List all devices"))
    .option("--silent <duration>", "only those not revoked that have not been seen for that long")
    .option("--json", "as JSON")
    .action(async (options) => (await import("./device_list.ts")).listDevices(options));
  site(device.command("show <id>").description("Show one device"))
    .option("--json", "as JSON")
    .action(async (id, options) => (await import("./device_show.ts")).showDevice(id, options));
  site(device.command("rotate <id>").description("Give a device a new secret or certificate"))
    .option("--secret", "a new secret; the previous one stays valid until the overlap ends")
    .option("--secret-file <file>", "with --secret: take it from a file instead of making one")
    .option("--overlap <duration>", "how long both secrets are valid", "7d")
    .option("--certificate", "a new key and certificate; the previous ones stay valid")
    .option("--csr <file>", "with --certificate: a request, the device keeps its key")
    .addOption(keyType("with --certificate: of the key; rsa for devices that know no EC"))
    .option("--valid-days <days>", "with --certificate: how many days it is valid", days)
    .option("--finish", "the device has the new ones: end the overlap, revoke the previous ones")
    .option("--force", "with --finish: even if the device has not used its new secret yet")
    .option("--json", "as JSON")
    .action(async (id, options) => (await import("./device_rotate.ts")).rotateDevice(id, options));
  site(
    device.command("revoke <id>").description(
      "Revoke a device immediately and verify it at the broker",
    ),
  )
    .option("--json", "as JSON")
    .option("--reason <text>", "why, for the audit log")
    .action(async (id, options) => (await import("./device_revoke.ts")).revokeDevice(id, options));
  site(device.command("restore <id>").description("Take a revocation back"))
    .option("--json", "as JSON")
    .action(async (id, options) => (await import("./device_revoke.ts")).restoreDevice(id, options));
  site(
    device.command("remove <id>").description(
      "Remove a device, also at the broker, with its folder",
    ),
  )
    .option("--json", "as JSON")
    .action(async (id, options) => (await import("./device_remove.ts")).removeDevice(id, options));
}

function addAuthorityCommands(program: Command): void {
  site(program.command("rotate-authority").description("Move to a new authority for the devices"))
    .option("--finish", "every device has a new certificate: stop trusting the old authority")
    .option("--force", "with --finish: even if devices or brokers do not have the new one")
    .option("--json", "as JSON")
    .action(async (options) => (await import("./rotate_authority.ts")).rotateAuthority(options));
}

function addCertificateCommands(program: Command): void {
  const certificate = program.command("certificate")
    .description("The certificates of broker, gateway and API").helpCommand(false);
  site(
    certificate.command("list").description(
      "List every certificate of this site, the soonest to end first",
    ),
  )
    .option("--json", "as JSON")
    .action(async (options) => (await import("./certificate_list.ts")).certificateList(options));
  site(
    certificate.command("renew").description("Make a new key and certificate, without a gap")
      .addArgument(new Argument("<of>", "whose").choices(["broker", "gateway", "api"])),
  )
    .addOption(
      repeatable("--host <name>", "a name or address, in place of those it has", "they stay"),
    )
    .addOption(repeatable("--add-host <name>", "a name or address more", "none"))
    .addOption(repeatable("--remove-host <name>", "a name or address less", "none"))
    .option("--valid-days <days>", "how many days it is valid", days)
    .option("--json", "as JSON")
    .action(async (of, options) =>
      (await import("./certificate_renew.ts")).certificateRenew(of, options)
    );
}

function addDeadLetterCommands(program: Command): void {
  const dead = program.command("dead").description("Dead letters: accepted, but not delivered")
    .helpCommand(false);
  site(dead.command("list").description("List all dead letters"))
    .option("--json", "as JSON")
    .action(async (options) => (await import("./dead.ts")).listDeadLetters(options));
  site(dead.command("show <sequence>").description("Show one dead letter with its payload"))
    .option("--json", "as JSON")
    .action(async (id, options) => (await import("./dead.ts")).showDeadLetter(id, options));
  site(dead.command("retry [sequence]").description("Put dead letters back into the outbox"))
    .option("--json", "as JSON")
    .option("--device <id>", "all of one device")
    .option("--all", "all there are")
    .action(async (id, options) => (await import("./dead.ts")).retryDeadLetters(id, options));
  site(dead.command("drop [sequence]").description("Drop dead letters permanently"))
    .option("--json", "as JSON")
    .option("--device <id>", "all of one device")
    .option("--all", "all there are")
    .action(async (id, options) => (await import("./dead.ts")).dropDeadLetters(id, options));
}

function addCommandCommands(program: Command): void {
  const commands = program.command("commands").description("What became of commands to devices")
    .helpCommand(false);
  site(commands.command("list [id]").description("List commands, of one device or of all"))
    .addOption(new Option("--state <state>", "only those in this state").choices(COMMAND_STATES))
    .option("--json", "as JSON")
    .action(async (id, options) => (await import("./commands.ts")).listCommands(id, options));
  site(commands.command("show <message-id>").description("Show one command with its state"))
    .option("--json", "as JSON")
    .action(async (id, options) => (await import("./commands.ts")).showCommand(id, options));
  site(commands.command("cancel <message-id>").description("Send no further copy of one command"))
    .option("--json", "as JSON")
    .action(async (id, options) => (await import("./commands.ts")).cancelCommand(id, options));
}

function addOutboxCommands(program: Command): void {
  const outbox = program.command("outbox").description(
    "Accepted readings that wait for the backend",
  )
    .helpCommand(false);
  site(outbox.command("list").description("List what waits, the oldest first"))
    .option("--json", "as JSON")
    .option("--device <id>", "of one device")
    .action(async (options) => (await import("./outbox.ts")).listOutbox(options));
  site(outbox.command("show <sequence>").description("Show one entry with its payload"))
    .option("--json", "as JSON")
    .action(async (id, options) => (await import("./outbox.ts")).showOutboxEntry(id, options));
  site(outbox.command("drop <sequence>").description("Make one entry a dead letter"))
    .option("--json", "as JSON")
    .action(async (id, options) => (await import("./outbox.ts")).dropOutboxEntry(id, options));
}

function addKeyCommands(program: Command): void {
  const key = program.command("key").description("The keys of the gateway's API")
    .helpCommand(false);
  site(key.command("add <name>").description("Make a key and print it once"))
    .addOption(repeatable("--device <id>", "for this device only; may be repeated", "every device"))
    .option("--view", "no commands, but looking at everything: for the page at /ui")
    .option("--operate", "as --view, and retry, drop and cancel")
    .option("--metrics-only", "no commands at all, only GET /metrics")
    .option("--json", "as JSON")
    .action(async (name, options) => (await import("./key.ts")).addKey(name, options));
  site(key.command("list").description("List all keys, by name"))
    .option("--json", "as JSON")
    .action(async (options) => (await import("./key.ts")).listKeys(options));
  site(key.command("remove <name>").description("Remove a key; it is refused from now on"))
    .option("--json", "as JSON")
    .action(async (name, options) => (await import("./key.ts")).removeKey(name, options));
}

function addSecretCommands(program: Command): void {
  const secrets = program.command("secrets").description("Secrets in the database: sealed or not")
    .helpCommand(false);
  site(secrets.command("seal").description("Seal all secrets in the database under secrets.key"))
    .option("--json", "as JSON")
    .action(async (options) => (await import("./secrets.ts")).seal(options));
  site(secrets.command("unseal").description("Store all secrets unsealed again"))
    .option("--json", "as JSON")
    .action(async (options) => (await import("./secrets.ts")).unseal(options));
  site(secrets.command("rotate-key").description("Seal all secrets under a new key"))
    .option("--json", "as JSON")
    .action(async (options) => (await import("./secrets.ts")).rotateKey(options));
}

function addAuditCommands(program: Command): void {
  const audit = program.command("audit").description("What was changed, and what was refused")
    .helpCommand(false);
  site(audit.command("verify").description("Prove that no entry was altered, removed or moved"))
    .option("--json", "as JSON")
    .option("--head <hash>", "a head that an earlier run printed; it must still be in the log")
    .action(async (options) => (await import("./audit.ts")).verifyAudit(options));
  site(audit.command("export").description("Print the entries as JSON Lines"))
    .option("--since <time>", "a date, a time, or how long ago: 24h, 7d")
    .option("--json", "as one JSON array")
    .action(async (options) => (await import("./audit.ts")).exportAudit(options));
}

function addMonitorCommands(program: Command): void {
  const monitor = program.command("monitor").description("Files for Prometheus and Grafana")
    .helpCommand(false);
  monitor.command("rules").description("Print Prometheus' alerting rules").option(
    "--json",
    "as JSON",
  )
    .action(async (options) => (await import("./monitor.ts")).printRules(options));
  monitor.command("dashboard").description("Print a dashboard for Grafana")
    .option("--json", "as JSON, as a text in it")
    .action(async (options) => (await import("./monitor.ts")).printDashboard(options));
  site(monitor.command("scrape").description("Print how Prometheus scrapes this gateway"))
    .option("--host <name>", "name or address of this machine, as Prometheus reaches it")
    .option("--ca-file <file>", "there: the gateway's authority", "/etc/prometheus/gateway-ca.crt")
    .option("--key-file <file>", "there: an API key", "/etc/prometheus/gateway.key")
    .option("--json", "as JSON")
    .action(async (options) => (await import("./monitor.ts")).printScrape(options));
}

function addFirmwareCommands(program: Command, outcome: Outcome): void {
  site(program.command("sign <id> <json>").description("Make a signed message"))
    .option("--secret-file <file>", "sign with this secret; then no site is needed")
    .option("--timestamp <seconds>", "Unix seconds instead of now")
    .option("--message-id <uuid>", "instead of a random one")
    .option("--json", "as JSON, with the signed text")
    .action(async (id, json, options) => (await import("./sign.ts")).sign(id, json, options));
  site(program.command("verify <id> <file>"))
    .description("Explain why a message is accepted or rejected; - reads it from stdin")
    .option("--secret-file <file>", "verify with this secret; then no site is needed")
    .option("--at <seconds>", "judge it at this time, Unix seconds, instead of now")
    .option("--retained", "judge it as one that was published with the retain flag")
    .option("--json", "as JSON")
    .action(async (id, file, options) => {
      outcome.exit = await (await import("./verify.ts")).verify(id, file, options);
    });
}
