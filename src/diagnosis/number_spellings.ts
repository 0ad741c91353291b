/** How languages write numbers. */

import { respell, type Respelling } from "./json_tokens.ts";

const VERY_TEXT = "sign the very text that is sent";

/** Every way to write the numbers of a payload; a fraction has a point or an exponent. */
export const NUMBER_SPELLINGS: readonly Respelling[] = [
  numbers("as JavaScript and Go write them", (value) => JSON.stringify(value)),
  fractions("as Python writes them", pythonFloat),
  fractions("as Java writes them", javaDouble),
  numbers("all as fractions (Gson reads numbers as Double)", javaDouble),
  numbers("all as fractions, 60 as 60.0", pythonFloat),
  ...[1, 2, 3, 6].map((digits) =>
    fractions(`with ${digits} digits after the point`, (value) => value.toFixed(digits))
  ),
  numbers("as printf's %g writes them", (value) => shortest(value, 6)),
  numbers("with 17 digits", (value) => shortest(value, 17)),
  fractions("rounded to a float of 32 bits", (value) => JSON.stringify(Math.fround(value))),
  numbers("with exponents", (value) => paddedExponent(value.toExponential())),
  numbers("with exponents", (value) => value.toExponential()),
  {
    respell: (text) => respell(text, { number: (token) => token.replace(".", ",") }),
    mistake: "The signed payload has a decimal comma: format numbers without the system's locale",
  },
];

function numbers(
  how: string,
  write: (value: number) => string,
  isMeant = (_token: string) => true,
): Respelling {
  return {
    respell: (text) =>
      respell(text, { number: (token) => isMeant(token) ? written(token, write) : token }),
    mistake: (sent, signed) =>
      `The signed payload has its numbers ${how} (${sent} is sent, ${signed} is signed): ` +
      VERY_TEXT,
  };
}

function fractions(how: string, write: (value: number) => string): Respelling {
  return numbers(how, write, (token) => /[.eE]/.test(token));
}

function written(token: string, write: (value: number) => string): string {
  const value = Number(token);
  return Number.isFinite(value) ? write(value) : token;
}

function pythonFloat(value: number): string {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e16)) return paddedExponent(value.toExponential());
  return withPoint(plainDecimal(value));
}

function javaDouble(value: number): string {
  const size = Math.abs(value);
  if (size === 0 || (size >= 1e-3 && size < 1e7)) return withPoint(plainDecimal(value));
  const [digits, exponent] = value.toExponential().split("e");
  return `${withPoint(digits!)}E${exponent!.replace("+", "")}`;
}

/** As C writes it: no zeros at the end, an exponent below 1e-4 and from 10 to the `digits`th. */
function shortest(value: number, digits: number): string {
  const size = Math.abs(value);
  if (size === 0 || (size >= 1e-4 && size < 10 ** digits)) {
    const text = value.toPrecision(digits);
    return text.includes("e") ? text : text.replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
  }
  const [head, exponent] = value.toExponential(digits - 1).split("e");
  return paddedExponent(`${head!.replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "")}e${exponent}`);
}

/** Two digits in an exponent at least: 1e+09. */
function paddedExponent(text: string): string {
  return text.replace(/e([+-])(\d)$/, "e$10$2");
}

function withPoint(text: string): string {
  return text.includes(".") ? text : `${text}.0`;
}

/** Without an exponent; the sizes that come here need at most 20 digits after the point. */
function plainDecimal(value: number): string {
  const text = Object.is(value, -0) ? "-0" : String(value);
  return text.includes("e") ? value.toFixed(20).replace(/0+$/, "") : text;
}
