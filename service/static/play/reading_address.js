/** What an address says of the state. */

import { VIEW } from "./address.js";
import { fromBase64Url } from "./base64.js";
import { drawing, EMPTY } from "./state.js";
import { unpackStrokes } from "./strokes.js";

const PIVOT = [-8192, 8192];
const NAME = /^[\w.-]{1,64}$/;
const LAYER = /^[\w.:*/-]{1,96}$/;
const NUMBER = /^-?\d+(\.\d+)?(e-?\d+)?$/;
const COPY = /^(png|webp)\.([\w-]{4,16384})$/;
const MOST_NUMBERS = 256;

/** An address that does not say what it should. */
export class BadAddress extends Error {}

/**
 * What of the state this query says. Where it says what is on the pad it says all; else only what it names.
 *
 * Of a picture `source` is `{file, copy}`, not yet decoded. Throws BadAddress.
 */
export function stateOf(query) {
  const changes = query.has("d") || query.has("p") ? { ...EMPTY } : {};
  for (const [name, text] of query) {
    if (!Object.hasOwn(READ, name)) throw new BadAddress(`it names ${name.slice(0, 32)}`);
    Object.assign(changes, READ[name](text, query));
  }
  return changes;
}

const READ = {
  d: (text) => ({ source: drawing(attempt(() => unpackStrokes(fromBase64Url(text)), "drawing")) }),
  p: (text) => ({ source: readCopy(text) }),
  v: (text) => ({ view: readView(text) }),
  model: (text, query) => ({ model: readModel(text, query.get("version")) }),
  version: (text, query) => query.has("model") ? {} : bad("model"),
  second: (text) => ({ second: readModel(...text.split("/", 2)) }),
  theta: (text) => ({ theta: text === "identity" ? text : numbers(text, "theta") }),
  compare: (text) => ({ compare: text === "1" }),
  grid: (text) => ({ grid: text === "1" }),
  inside: (text) => ({ inside: text === "1" }),
  layers: (text) => ({ inside: true, layers: text.split(",").map((name) => (LAYER.test(name) ? name : bad("layers"))) }),
  colours: (text) => ({ colours: text === "global" ? text : bad("colours") }),
};

function readView(text) {
  const given = numbers(text, "view");
  const bounds = [...Object.values(VIEW), PIVOT, PIVOT];
  const fits = ([least, most], at) => given[at] >= least && given[at] <= most;
  if (given.length !== bounds.length || !bounds.every(fits)) bad("view");
  const view = Object.fromEntries(Object.keys(VIEW).map((name, at) => [name, given[at]]));
  for (const name of ["clutter", "seed", "invert"]) view[name] = Math.round(view[name]);
  return { ...view, pivot: given.slice(-2) };
}

function readModel(name, version) {
  const wanted = { name, version: version ? Number(version) : null };
  return NAME.test(name) && (wanted.version === null || Number.isSafeInteger(wanted.version)) ? wanted : bad("model");
}

function readCopy(text) {
  const [, kind, letters] = text.match(COPY) ?? bad("picture");
  const bytes = attempt(() => fromBase64Url(letters), "picture");
  const file = new File([bytes], `picture.${kind}`, { type: `image/${kind}` });
  return { file, copy: { kind, bytes } };
}

function numbers(text, what) {
  const parts = text.split(",");
  if (parts.length > MOST_NUMBERS || !parts.every((part) => NUMBER.test(part))) bad(what);
  return parts.map(Number);
}

function attempt(read, what) {
  try {
    return read();
  } catch {
    return bad(what);
  }
}

function bad(what) {
  throw new BadAddress(`its ${what} cannot be read`);
}
