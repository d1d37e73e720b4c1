/** The state as the query of an address; see reading_address.js for the way back. */

import { toBase64Url } from "./base64.js";
import { EMPTY, STRAIGHT } from "./state.js";
import { packStrokes } from "./strokes.js";

/** What of a view stands in an address, in this order, each between two bounds; then the two numbers of its pivot. */
export const VIEW = {
  angle: [-180, 180], scale: [0.1, 4], shear: [-2, 2], x: [-2, 2], y: [-2, 2],
  noise: [0, 1], clutter: [0, 64], seed: [0, 2 ** 32 - 1], invert: [0, 1],
};

/** The query of this state, without what is as ever. Of a picture it holds the copy, where there is one. */
export function queryOf({ source, view, model, second, theta, compare, grid, inside, layers, colours }) {
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
    inside: inside && "1",
    layers: layers.join(),
    colours: colours !== EMPTY.colours && colours,
  };
  const given = Object.entries(fields).filter(([, value]) => value);
  return given.map(([name, value]) => `${name}=${encodeURIComponent(value).replaceAll("%2C", ",")}`).join("&");
}

function viewText(view) {
  return [...Object.keys(VIEW).map((name) => short(view[name])), ...view.pivot.map(short)].join();
}

function short(number) {
  return String(Number(number.toPrecision(6)));
}
