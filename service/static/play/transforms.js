/**
 * The transforms by name, as in `stn/transforms`: theta maps points of the transformed picture to points of the network's
 * input. A point is [x, y]; −1 and +1 are the outer edges of a picture's pixels.
 */

import { solve } from "./linear.js";

const NEAREST_DIVISOR = 2 ** -10;

/** Corners of the transformed picture: upper left, upper right, lower right, lower left. */
export const CORNERS = [[-1, -1], [1, -1], [1, 1], [-1, 1]];

/** The 3×3 matrix of theta, row by row. */
const MATRICES = {
  affine: (theta) => [...theta, 0, 0, 1],
  projective: (theta) => [...theta, 1],
  attention: ([scale, x0, y0]) => turned(scale, 0, x0, y0),
  similarity: ([scale, angle, x0, y0]) => turned(scale, angle, x0, y0),
  rigid: ([angle, x0, y0]) => turned(1, angle, x0, y0),
  translation: ([x0, y0]) => turned(1, 0, x0, y0),
};

function turned(scale, angle, x0, y0) {
  const [cos, sin] = [scale * Math.cos(angle), scale * Math.sin(angle)];
  return [cos, -sin, x0, sin, cos, y0, 0, 0, 1];
}

/** theta of an answer as `{transform, names, values}`, or null where the model has no transformer. */
export function thetaOf({ theta }) {
  if (!theta) return null;
  return { transform: theta.transform, names: Object.keys(theta.parameters), values: Object.values(theta.parameters) };
}

/** Whether straight lines stay straight. */
export function isStraight({ transform }) {
  return transform in MATRICES;
}

/** The 3×3 matrix, row by row, where the transform is one. */
export function matrixOf({ transform, values }) {
  return MATRICES[transform](values);
}

/** The map from the transformed picture to the network's input, as a function of a point; without theta points stay. */
export function mapOf(theta) {
  if (!theta) return (point) => point;
  if (!isStraight(theta)) return splineOf(theta);
  const [a, b, c, d, e, f, g, h, i] = matrixOf(theta);
  return ([x, y]) => {
    const w = g * x + h * y + i;
    const divisor = w < 0 ? Math.min(w, -NEAREST_DIVISOR) : Math.max(w, NEAREST_DIVISOR);
    return [(a * x + b * y + c) / divisor, (d * x + e * y + f) / divisor];
  };
}

/** Where theta takes the corners, or the control points: what the region is dragged by. */
export function handlesOf(theta) {
  if (isStraight(theta)) return CORNERS.map(mapOf(theta));
  return Array.from({ length: theta.values.length / 2 }, (_, k) => theta.values.slice(2 * k, 2 * k + 2));
}

// The thin-plate spline

/** Rows and columns of its control points: the last parameter's name is y{rows − 1}_{columns − 1}. */
export function latticeOf({ names }) {
  return names.at(-1).slice(1).split("_").map((last) => Number(last) + 1);
}

/** The control points in the transformed picture, row by row; theta says where each goes. */
export function controlPoints([rows, columns]) {
  const along = (count) => Array.from({ length: count }, (_, i) => (2 * i + 1 - count) / (count - 1));
  return along(rows).flatMap((y) => along(columns).map((x) => [x, y]));
}

let known = { key: "", control: [], weights: [] };

/** p + the sum of what each control point is moved by, times a function that is 1 there and 0 at the others. */
function splineOf(theta) {
  const { control, weights } = systemOf(latticeOf(theta));
  const moved = control.map(([x, y], k) => [theta.values[2 * k] - x, theta.values[2 * k + 1] - y]);
  const [wx, wy] = [0, 1].map((axis) =>
    weights.map((row) => moved.reduce((sum, move, k) => sum + row[k] * move[axis], 0)),
  );
  return ([x, y]) => {
    const basis = radial(x, y, control);
    const along = (weight) => basis.reduce((sum, value, q) => sum + weight[q] * value, 0);
    return [x + along(wx), y + along(wy)];
  };
}

function systemOf(lattice) {
  const key = lattice.join();
  if (known.key === key) return known;
  const control = controlPoints(lattice);
  const count = control.length;
  const rows = control.map(([x, y]) => radial(x, y, control));
  for (let axis = 0; axis < 3; axis++) rows.push([...control.map((_, k) => rows[k][count + axis]), 0, 0, 0]);
  const unit = rows.map((_, i) => control.map((_, k) => (i === k ? 1 : 0)));
  known = { key, control, weights: solve(rows, unit) };
  return known;
}

/** r² log r² of the distances to the control points, then 1, x and y. */
function radial(x, y, control) {
  const values = control.map((point) => {
    const square = (x - point[0]) ** 2 + (y - point[1]) ** 2;
    return square > 0 ? square * Math.log(square) : 0;
  });
  return [...values, 1, x, y];
}
