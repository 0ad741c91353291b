/** A server that is reached by TLS only, with a client certificate and a password. */

import assert from "node:assert/strict";
import type { PostgresServer } from "../../../src/demo/sandbox/postgres_server.ts";
import { openStore } from "../../../src/store/open_store.ts";
import type { PostgresPlace } from "../../../src/store/store_place.ts";
import { poll } from "../../../src/time/poll.ts";
import { HAS_POSTGRES, withPostgres } from "../../support/temporary_postgres.ts";
import { withFolder } from "../../support/with_folder.ts";

const PASSWORD = `a "password" & ümlauts`;

/** Two authorities; certificates for the server, here and elsewhere, and for who connects. */
async function makeCertificates(folder: string): Promise<void> {
  const script = `
    set -e; cd "${folder}"
    for ca in ca other; do
      openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \\
        -subj "/CN=$ca" -keyout $ca.key -out $ca.crt
    done
    make() {
      openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$2" \\
        -addext "subjectAltName=$3" -keyout $1.key -out $1.csr
      openssl x509 -req -in $1.csr -CA $4.crt -CAkey $4.key -days 2 -copy_extensions copy -out $1.crt
    }
    make server localhost IP:127.0.0.1 ca
    make elsewhere localhost DNS:elsewhere.example ca
    make client app DNS:app ca
    make stranger app DNS:app other
    make somebody somebody DNS:somebody ca`;
  const { success, stderr } = await new Deno.Command("bash", { args: ["-c", script] }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
}

/** From now on the role `app` gets in by TLS only, with a certificate of its own and its password. */
async function requireTls(server: PostgresServer, database: string, folder: string): Promise<void> {
  const data = await server.sql("SHOW data_directory");
  const { uid, gid } = await Deno.stat(data);
  for (const name of ["ca.crt", "server.crt", "server.key", "elsewhere.crt", "elsewhere.key"]) {
    await Deno.copyFile(`${folder}/${name}`, `${data}/${name}`);
    await Deno.chown(`${data}/${name}`, uid, gid);
    await Deno.chmod(`${data}/${name}`, 0o600);
  }
  await Deno.writeTextFile(
    await server.sql("SHOW hba_file"),
    "host all gateway 127.0.0.1/32 trust\n" +
      "hostssl all app 127.0.0.1/32 scram-sha-256 clientcert=verify-full\n",
  );
  await server.sql(`CREATE ROLE app LOGIN PASSWORD '${PASSWORD}'`);
  await server.sql(`ALTER DATABASE ${database} OWNER TO app`);
  await server.sql("ALTER SYSTEM SET ssl_ca_file = 'ca.crt'");
  await useCertificate(server, "server");
}

async function useCertificate(server: PostgresServer, name: string): Promise<void> {
  await server.sql(`ALTER SYSTEM SET ssl_cert_file = '${name}.crt'`);
  await server.sql(`ALTER SYSTEM SET ssl_key_file = '${name}.key'`);
  await server.sql("ALTER SYSTEM SET ssl = on");
  await server.sql("SELECT pg_reload_conf()");
  await poll("the server's certificate", async () => {
    return await server.sql("SHOW ssl") === "on" &&
      await server.sql("SHOW ssl_cert_file") === `${name}.crt`;
  });
}

Deno.test({
  name:
    "a server is believed only with its authority's certificate for its name, and asks for ours",
  ignore: !HAS_POSTGRES,
  fn: () =>
    withFolder((folder) =>
      withPostgres(async (postgres) => {
        await makeCertificates(folder);
        const plain = await postgres.place();
        await requireTls(postgres.server, plain.database, folder);
        const read = (name: string) => Deno.readTextFileSync(`${folder}/${name}`);
        const tls = {
          ca: read("ca.crt"),
          certificate: read("client.crt"),
          key: read("client.key"),
        };
        const place = { ...plain, user: "app", password: PASSWORD, tls };
        const open = async (over: Partial<PostgresPlace> = {}) => {
          const store = await openStore({ ...place, ...over }, { author: "command", create: true });
          try {
            return await store.registry.revision();
          } finally {
            await store.close();
          }
        };
        assert.equal(await open(), 0);
        const certified = (name: string) => ({
          tls: { ...tls, certificate: read(`${name}.crt`), key: read(`${name}.key`) },
        });
        const refused: [string, Partial<PostgresPlace>, RegExp][] = [
          ["without TLS", { tls: undefined }, /no pg_hba.conf entry|no encryption/],
          [
            "another authority's",
            { tls: { ...tls, ca: read("other.crt") } },
            /certificate|issuer/i,
          ],
          [
            "no certificate",
            { tls: { ...tls, certificate: undefined, key: undefined } },
            /certificate/,
          ],
          [
            "an unknown authority's client",
            certified("stranger"),
            /certificate|authority|handshake|unknown ?ca/i,
          ],
          ["somebody else's certificate", certified("somebody"), /authentication failed/],
          ["a wrong password", { password: "guess" }, /password authentication failed/],
        ];
        for (const [what, over, reason] of refused) {
          const error = await open(over).then(() => undefined, (error: Error) => error);
          assert.match(`${error?.message}`, reason, `${what}: ${error?.message}`);
          assert.ok(!`${error?.message}`.includes(PASSWORD), "the password is told to nobody");
        }
        await useCertificate(postgres.server, "elsewhere");
        await assert.rejects(open(), /altnames|127\.0\.0\.1|NotValidForName/i);
      })
    ),
});
