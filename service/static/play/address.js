/** The state as the query of an address, and back. */

import { fromBase64Url, toBase64Url } from "./base64.js";
import { drawing, EMPTY, STRAIGHT } from "./state.js";
import { packStrokes, unpackStrokes } from "./strokes.js";

/** What of a view stands in an address, in this order, each between two bounds; then the two numbers of its pivot. */
const VIEW = {
  angle: [-180, 180], scale: [0.1, 4], shear: [-2, 2], x: [-2, 2], y: [-2, 2],
  noise: [0, 1], clutter: [0, 64], seed: [0, 2 ** 32 - 1], invert: [0, 1],
};
const PIVOT = [-8192, 8192];
const NAME = /^[\w.-]{1,64}$/;
const LAYER = /^[\w.:*/-]{1,96}$/;
const NUMBER = /^-?\d+(\.\d+)?(e-?\d+)?$/;
const COPY = /^(png|webp)\.([\w-]{4,16384})$/;
const MOST_NUMBERS = 256;

/** An address that does not say what it should. */
export class BadAddress extends Error {}

/** The query of this state, without what is as ever. Of a picture it holds the copy, where there is one. */
export function queryOf({ source, view, model, second, theta, compare, grid, layers, colours }) {
  const fields = {
    d: source.kind === "drawing" && toBase64Url(packStrokes(source.strokes)),
    p: source.kind === "picture" && source.copy && `${source.copy.kind}.${toBase64Url(source.copy.bytes)}`,
    v: view !== STRAIGHT && viewText(view) !== viewText(STRAIGHT) && viewText(view),
    model: model?.name,
    version: model?.version,
    second: second && `${second.name}/${second.version}`,
    theta: Array.isArray(theta) ? theta.map(short).join() : theta,
    compare: compare && "1",
    grid: grid && "1",
    layers: layers.join(),
    colours: colours !== EMPTY.colours && colours,
  };
  const given = Object.entries(fields).filter(([, value]) => value);
  return given.map(([name, value]) => `${name}=${encodeURIComponent(value).replaceAll("%2C", ",")}`).join("&");
}

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
  layers: (text) => ({ layers: text.split(",").map((name) => (LAYER.test(name) ? name : bad("layers"))) }),
  colours: (text) => ({ colours: text === "global" ? text : bad("colours") }),
};

function viewText(view) {
  return [...Object.keys(VIEW).map((name) => short(view[name])), ...view.pivot.map(short)].join();
}

function short(number) {
  return String(Number(number.toPrecision(6)));
}

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
