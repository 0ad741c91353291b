/** The contract's documents in docs/, and what their schemas say to a value. */

import { Ajv } from "ajv";
import { fileURLToPath } from "node:url";

/** Any JSON object. */
export type Json = { readonly [name: string]: Json };

/** One document: OpenAPI or AsyncAPI. */
export class Contract {
  readonly root: Json;
  readonly #ajv = new Ajv({ strict: false, allErrors: true });

  /** Reads it; `name` is its file's. */
  constructor(name: string) {
    const path = fileURLToPath(new URL(`../../docs/${name}`, import.meta.url));
    this.root = JSON.parse(Deno.readTextFileSync(path));
    this.#ajv.addSchema(this.root, "contract");
  }

  /** The value, or what its `$ref` names. */
  follow(value: Json): Json {
    const pointer = value["$ref"];
    if (typeof pointer !== "string") return value;
    const names = (pointer as string).split("/").slice(1);
    return this.follow(names.reduce((at, name) => at[name]!, this.root));
  }

  /** What is wrong with `value` by a schema of this document; empty if nothing is. */
  faults(schema: Json, value: unknown): string[] {
    const local = JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"contract#/'));
    const validate = this.#ajv.compile(local);
    validate(value);
    return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
  }

  /** What is wrong with an answer to an operation, by its status, its header fields and its body. */
  async faultsOfAnswer(operation: Json, response: Response): Promise<string[]> {
    const described = operation["responses"]![response.status];
    if (described === undefined) return [`${response.status} is not described`];
    const { headers = {}, content } = this.follow(described);
    const faults = Object.entries(headers).flatMap(([name, header]) => {
      const field = response.headers.get(name);
      const { schema, required } = this.follow(header);
      if (field === null) return required as unknown === true ? [`${name} is missing`] : [];
      const value = schema!["type"] as unknown === "integer" ? Number(field) : field;
      return this.faults(schema!, value).map((fault) => `${name}: ${fault}`);
    });
    const type = response.headers.get("content-type")?.split(";")[0] ?? "";
    const text = await response.text();
    if (content === undefined) return text === "" ? faults : [...faults, "there is a body"];
    if (content[type] === undefined) return [...faults, `a body of "${type}" is not described`];
    const body = type.endsWith("json") ? JSON.parse(text) : text;
    return [...faults, ...this.faults(content[type]!["schema"]!, body)];
  }
}
