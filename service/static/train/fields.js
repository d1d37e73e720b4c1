/** Controls for the fields of a JSON Schema: each kind that is known has one of its own, and all others are JSON. */

import { h } from "../dom.js";
import { number, upper } from "./words.js";

/** The leaves of a schema: `path` is its names with dots, `group` the names around it, `nullable` whether it may be null. */
export function leaves(root, schema = root, group = "") {
  return Object.entries(schema.properties ?? {}).flatMap(([name, value]) => {
    const { nullable, ...inner } = resolved(root, value);
    const path = group ? `${group}.${name}` : name;
    return inner.properties && !nullable ? leaves(root, inner, path) : [{ path, group, nullable, schema: inner }];
  });
}

/** A schema with what it refers to, and whether null is another choice; where others are left to choose from, it stays. */
function resolved(root, { $ref, ...schema }) {
  if ($ref) return resolved(root, { ...$ref.slice(2).split("/").reduce((at, key) => at[key], root), ...schema });
  const choices = schema.anyOf ?? schema.oneOf ?? schema.allOf ?? [];
  const others = choices.filter(({ type }) => type !== "null");
  const nullable = others.length < choices.length;
  const { anyOf, oneOf, allOf, ...rest } = schema;
  return others.length === 1 ? { ...resolved(root, others[0]), ...rest, nullable } : { ...schema, nullable };
}

/** `trainer.max_epochs` as words. */
export const labelOf = (path) => upper(path.split(".").at(-1).replaceAll("_", " "));

/** In what a number is counted, as its description says. */
export function unitOf({ description = "" }) {
  const [unit = ""] = /(?<=\bin )(degrees|pixels|seconds)\b|^GiB\b/.exec(description) ?? [];
  return unit;
}

/** The rules that the schema has for a number, and what they are called. */
const RULES = [
  ["minimum", "at least", (value, least) => value >= least],
  ["exclusiveMinimum", "more than", (value, least) => value > least],
  ["maximum", "at most", (value, most) => value <= most],
  ["exclusiveMaximum", "less than", (value, most) => value < most],
];

/** What the schema says of the range of a number, or of each of several, in words. */
export function rangeOf({ prefixItems, items, ...schema }) {
  const part = { ...items, ...prefixItems?.[0], ...schema };
  if ("minimum" in part && "maximum" in part) return `from ${number(part.minimum)} to ${number(part.maximum)}`;
  return RULES.filter(([rule]) => rule in part).map(([rule, words]) => `${words} ${number(part[rule])}`).join(", ");
}

/** The number, where it is one that the schema allows. */
function checked(value, schema) {
  if (schema.type === "integer" && !Number.isInteger(value)) throw new Error("must be a whole number");
  if (RULES.some(([rule, , holds]) => rule in schema && !holds(value, schema[rule]))) {
    throw new Error(`must be ${rangeOf(schema)}`);
  }
  return value;
}

/** `{node, kind, inputs, read(), write(value)}`. `read` throws an Error for what cannot be sent. */
export function createControl({ path, schema, nullable }, id) {
  const { type, prefixItems, items, minItems, maxItems } = schema;
  const parts = prefixItems ?? (minItems && minItems === maxItems && items ? Array(minItems).fill(items) : null);
  if (schema.enum) return choice(schema.enum, nullable, id);
  if (type === "boolean") return nullable ? choice([true, false], true, id) : yesOrNo(id);
  if (parts?.every(isNumber)) return severalNumbers(parts, nullable, id, labelOf(path));
  const placeholder = nullable ? "default" : "";
  if (isNumber(schema)) {
    return oneInput("number", numberInput(schema, placeholder, id), nullable, (input) => readNumber(input, schema), String);
  }
  const input = h("input", { id, type: "text", autocomplete: "off", spellcheck: false, placeholder });
  if (type === "string") return oneInput("text", input, nullable, ({ value }) => readText(value, schema), String);
  if (type === "array" && items && isNumber(items)) {
    return oneInput("list", input, nullable, ({ value }) => readList(value, items), (value) => value.join(", "));
  }
  return oneInput("json", input, nullable, readJson, JSON.stringify);
}

const isNumber = ({ type }) => type === "number" || type === "integer";

function oneInput(kind, input, nullable, parse, format) {
  const isEmpty = () => nullable && input.value.trim() === "" && !input.validity.badInput;
  const write = (value) => (input.value = value === null ? "" : format(value));
  return { kind, node: input, inputs: [input], read: () => (isEmpty() ? null : parse(input)), write };
}

function choice(values, nullable, id) {
  const options = values.map((value) => new Option(value, JSON.stringify(value)));
  const select = h("select", { id }, nullable && new Option("default", "null"), options);
  const write = (value) => (select.value = JSON.stringify(value));
  return { kind: "choice", node: select, inputs: [select], read: () => JSON.parse(select.value || "null"), write };
}

function yesOrNo(id) {
  const box = h("input", { id, type: "checkbox" });
  return { kind: "yesno", node: box, inputs: [box], read: () => box.checked, write: (value) => (box.checked = value) };
}

function severalNumbers(parts, nullable, id, label) {
  const placeholder = nullable ? "default" : "";
  const inputs = parts.map((part, index) => numberInput(part, placeholder, index ? `${id}-${index}` : id));
  inputs.slice(1).forEach((input, index) => (input.ariaLabel = `${label}, number ${index + 2}`));
  const isEmpty = () => nullable && inputs.every(({ value, validity }) => value === "" && !validity.badInput);
  const write = (value) => inputs.forEach((input, index) => (input.value = value?.[index] ?? ""));
  const read = () => (isEmpty() ? null : inputs.map((input, index) => readNumber(input, parts[index])));
  return { kind: "numbers", node: h("span.row", inputs), inputs, read, write };
}

function numberInput({ type, ...schema }, placeholder, id) {
  const [min, max] = ["inimum", "aximum"].map((end) => schema[`m${end}`] ?? schema[`exclusiveM${end}`] ?? "");
  return h("input", { id, type: "number", step: type === "integer" ? "1" : "any", placeholder, min, max });
}

function readNumber({ value, validity }, schema) {
  if (value === "" || validity.badInput) throw new Error("needs a number");
  return checked(Number(value), schema);
}

function readText(value, { pattern }) {
  if (pattern && !new RegExp(pattern).test(value)) throw new Error("must be 1 to 64 letters, digits, - and _");
  return value;
}

function readList(value, schema) {
  const numbers = value.split(/[\s,]+/).filter(Boolean).map(Number);
  if (!numbers.every(Number.isFinite)) throw new Error("needs numbers with commas between them");
  return numbers.map((one) => checked(one, schema));
}

function readJson({ value }) {
  try {
    return JSON.parse(value);
  } catch {
    throw new Error("needs JSON");
  }
}
