/** Controls for the fields of a JSON Schema: each kind that is known has one of its own, and all others are JSON. */

import { h } from "./html.js";
import { upper } from "./words.js";

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
export const unitOf = ({ description = "" }) => /\bin (degrees|pixels|seconds)\b/.exec(description)?.[1] ?? /^GiB\b/.exec(description)?.[0] ?? "";

/** What the schema says of the range, in words. */
export function rangeOf({ prefixItems, items, ...schema }) {
  const { minimum, maximum, exclusiveMinimum: above, exclusiveMaximum: below } = { ...items, ...prefixItems?.[0], ...schema };
  const words = { "at least": minimum, "more than": above, "at most": maximum, "less than": below };
  return Object.entries(words).filter(([, value]) => value !== undefined).map((pair) => pair.join(" ")).join(", ");
}

/** `{node, kind, inputs, read(), write(value)}`. `read` throws an Error for what cannot be sent. */
export function createControl({ path, schema, nullable }, id) {
  const { type, prefixItems, items, minItems, maxItems } = schema;
  const parts = prefixItems ?? (minItems && minItems === maxItems && items ? Array(minItems).fill(items) : null);
  if (schema.enum) return choice(schema.enum, nullable, id);
  if (type === "boolean") return nullable ? choice([true, false], true, id) : yesOrNo(id);
  if (parts?.every(isNumber)) return severalNumbers(parts, nullable, id, labelOf(path));
  if (isNumber(schema)) return oneInput("number", numberInput(schema, nullable, id), nullable, readNumber, String);
  const input = h("input", { id, type: "text", autocomplete: "off", spellcheck: false, placeholder: nullable ? "default" : "" });
  if (type === "string") return oneInput("text", input, nullable, ({ value }) => value, String);
  if (type === "array" && items && isNumber(items)) return oneInput("list", input, nullable, readList, (value) => value.join(", "));
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
  const inputs = parts.map((part, index) => numberInput(part, nullable, index ? `${id}-${index}` : id));
  inputs.slice(1).forEach((input, index) => (input.ariaLabel = `${label}, number ${index + 2}`));
  const isEmpty = () => nullable && inputs.every(({ value, validity }) => value === "" && !validity.badInput);
  const write = (value) => inputs.forEach((input, index) => (input.value = value?.[index] ?? ""));
  return { kind: "numbers", node: h("span.row", inputs), inputs, read: () => (isEmpty() ? null : inputs.map(readNumber)), write };
}

function numberInput({ type, minimum, maximum }, nullable, id) {
  const limits = { ...(minimum !== undefined && { min: minimum }), ...(maximum !== undefined && { max: maximum }) };
  return h("input", { id, type: "number", step: type === "integer" ? "1" : "any", placeholder: nullable ? "default" : "", ...limits });
}

function readNumber({ value, validity }) {
  if (value === "" || validity.badInput) throw new Error("needs a number");
  return Number(value);
}

function readList({ value }) {
  const numbers = value.split(/[\s,]+/).filter(Boolean).map(Number);
  if (!numbers.every(Number.isFinite)) throw new Error("needs numbers with commas between them");
  return numbers;
}

function readJson({ value }) {
  try {
    return JSON.parse(value);
  } catch {
    throw new Error("needs JSON");
  }
}
