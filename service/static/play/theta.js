/** theta in words, as numbers with what they mean, and as a matrix. */

import { element } from "../dom.js";
import { isStraight, latticeOf, thetaOf } from "./transforms.js";
import { describeTheta } from "./words.js";

const MEANINGS = {
  xx: "x, one step right", xy: "x, one step down", x0: "x of the middle",
  yx: "y, one step right", yy: "y, one step down", y0: "y of the middle",
  wx: "divisor, one step right", wy: "divisor, one step down",
  scale: "size of the region", angle: "its turn, in radians",
};
const NOTE =
  "Theta maps points of the transformed picture to points of the input. −1 and 1 are the outer edges of a picture, " +
  "so a step of 1 is half its side.";

/** Fill `root`; `update({prediction, given})` shows theta of an answer, with `info` of the model; null for nothing yet. */
export function createTheta(root) {
  const [name, blocks, note] = [element("span", { className: "size" }), element("div", { className: "theta" }), element("p", { className: "legend" })];
  root.replaceChildren(element("h2", {}, "Theta ", name), blocks, note);
  function update({ prediction, info, given }) {
    const theta = prediction && thetaOf(prediction);
    name.textContent = theta ? `${theta.transform.replaceAll("_", "-")}${given ? ", by hand" : ""}` : "";
    blocks.replaceChildren(...(theta ? blocksOf(theta, prediction, info) : []));
    if (prediction) note.textContent = theta ? NOTE : "This model has no transformer: it sees the whole picture.";
  }
  return { update };
}

function blocksOf(theta, prediction, info) {
  const { matrix } = prediction.theta;
  const numbers = isStraight(theta) ? pairs(theta) : points(theta);
  return [
    block("In words", words(describeTheta(theta, prediction, info))),
    block(isStraight(theta) ? "Parameters" : "Where the control points go, (x, y)", numbers),
    ...(matrix ? [block(matrix.length === 3 ? "Matrix, then divided by its third row" : "Matrix [A | t]", table(matrix))] : []),
  ];
}

function block(title, content) {
  return element("div", {}, element("h3", {}, title), content);
}

function words(entries) {
  return list("words", entries.map(([name, text]) => [name, [text]]));
}

function pairs({ names, values }) {
  const entries = names.map((name, k) => [
    name,
    [number(values[k]), element("span", { className: "meaning" }, MEANINGS[name] ?? "")],
  ]);
  return list("numbers", entries);
}

function list(className, entries) {
  const rows = entries.map(([name, children]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, ...children)),
  );
  return element("dl", { className }, ...rows);
}

/** The points of a spline as they lie: a row of the lattice in a row. */
function points(theta) {
  const [rows, columns] = latticeOf(theta);
  const cell = (k) => element("td", {}, number(theta.values[2 * k], 2), ", ", number(theta.values[2 * k + 1], 2));
  const body = Array.from({ length: rows }, (_, row) =>
    element("tr", {}, ...Array.from({ length: columns }, (_, column) => cell(row * columns + column))),
  );
  return element("div", { className: "lattice", tabIndex: 0, role: "region", ariaLabel: "Control points" }, element("table", {}, element("tbody", {}, ...body)));
}

function table(rows) {
  const body = rows.map((row) => element("tr", {}, ...row.map((value) => element("td", {}, number(value)))));
  return element("table", { className: "matrix" }, element("tbody", {}, ...body));
}

function number(value, digits = 4) {
  return element("data", { value }, value.toFixed(digits).replace("-", "−"));
}
