/** theta in words, as numbers with what they mean, and as a matrix. */

import { h } from "../dom.js";
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
  const [name, blocks, note] = [h("span.size"), h("div.theta"), h("p.legend")];
  root.replaceChildren(h("h2", "Theta ", name), blocks, note);
  function update({ prediction, info, given }) {
    const theta = prediction && thetaOf(prediction);
    name.textContent = theta ? `${theta.transform.replaceAll("_", "-")}${given ? ", by hand" : ""}` : "";
    blocks.replaceChildren(...(theta ? blocksOf(theta, prediction, info) : []));
    root.hidden = !prediction;
    if (prediction) note.textContent = theta ? NOTE : "This model has no transformer: it sees the whole picture.";
  }
  return { update };
}

function blocksOf(theta, prediction, info) {
  const { matrix } = prediction.theta;
  const numbers = isStraight(theta) ? pairs(theta) : points(theta);
  const kind = matrix?.length === 3 ? "Matrix, then divided by its third row" : "Matrix [A | t]";
  return [
    block("In words", list("words", describeTheta(theta, prediction, info))),
    block(isStraight(theta) ? "Parameters" : "Where the control points go, (x, y)", numbers),
    ...(matrix ? [block(kind, table("table.matrix", matrix.map((row) => row.map((value) => number(value)))))] : []),
  ];
}

function block(title, content) {
  return h("div", h("h3", title), content);
}

function pairs({ names, values }) {
  return list("numbers", names.map((name, k) => [name, [number(values[k]), h("span.meaning", MEANINGS[name] ?? "")]]));
}

function list(className, entries) {
  return h("dl", { className }, entries.map(([name, content]) => h("div", h("dt", name), h("dd", content))));
}

/** The points of a spline as they lie: a row of the lattice in a row. */
function points(theta) {
  const [rows, columns] = latticeOf(theta);
  const cell = (k) => [number(theta.values[2 * k], 2), ", ", number(theta.values[2 * k + 1], 2)];
  const cells = Array.from({ length: rows }, (_, row) => Array.from({ length: columns }, (_, k) => cell(row * columns + k)));
  return h("div.lattice", { tabIndex: 0, role: "region", ariaLabel: "Control points" }, table("table", cells));
}

function table(tag, rows) {
  return h(tag, h("tbody", rows.map((row) => h("tr", row.map((cell) => h("td", cell))))));
}

function number(value, digits = 4) {
  return h("data", { value }, value.toFixed(digits).replace("-", "−"));
}
