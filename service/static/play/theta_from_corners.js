/**
 * theta from where the handles of the sampled region are: the corners (upper left, upper right, lower right, lower left) or,
 * of the thin-plate spline, the control points. All in the network's input, −1 and +1 its outer edges.
 */

import { solve } from "./linear.js";
import { CORNERS } from "./transforms.js";

/** theta's numbers from the nearest matrix [A | t], of which A is [[a, b], [c, d]]. */
const FROM_MATRIX = {
  affine: ({ a, b, c, d, x, y }) => [a, b, x, c, d, y],
  attention: (matrix) => [nearest(matrix).cos, matrix.x, matrix.y],
  similarity: (matrix) => {
    const { cos, sin } = nearest(matrix);
    return [Math.hypot(cos, sin), Math.atan2(sin, cos), matrix.x, matrix.y];
  },
  rigid: (matrix) => {
    const { cos, sin } = nearest(matrix);
    return [Math.atan2(sin, cos), matrix.x, matrix.y];
  },
  translation: ({ x, y }) => [x, y],
};

/** theta's numbers with its handles here, as near as the transform gets; null where no transform has them so. */
export function thetaFromCorners(transform, handles) {
  const values = numbers(transform, handles);
  return values.every(Number.isFinite) ? values : null;
}

function numbers(transform, handles) {
  if (transform in FROM_MATRIX) return FROM_MATRIX[transform](matrixOfCorners(handles));
  return transform === "projective" ? homography(handles) : handles.flat();
}

/** A p + t nearest to these four corners. */
function matrixOfCorners(corners) {
  const sum = (axis, weights) => corners.reduce((total, corner, k) => total + weights[k] * corner[axis], 0) / 4;
  const [across, along] = [0, 1].map((axis) => CORNERS.map((corner) => corner[axis]));
  const all = [1, 1, 1, 1];
  return { a: sum(0, across), b: sum(0, along), c: sum(1, across), d: sum(1, along), x: sum(0, all), y: sum(1, all) };
}

/** scale · cos and scale · sin of the nearest turn. */
function nearest({ a, b, c, d }) {
  return { cos: (a + d) / 2, sin: (c - b) / 2 };
}

/**
 * The eight numbers that take the corners exactly there, from x · w = xx·u + xy·v + x0 and w = wx·u + wy·v + 1.
 * Corners that are not those of a convex quadrilateral have none: the picture would be torn at a horizon.
 */
function homography(corners) {
  const rows = corners.flatMap(([x, y], k) => {
    const [u, v] = CORNERS[k];
    return [[u, v, 1, 0, 0, 0, -x * u, -x * v], [0, 0, 0, u, v, 1, -y * u, -y * v]];
  });
  const theta = solve(rows, corners.flat().map((value) => [value])).map(([value]) => value);
  const nearestDivisor = Math.min(...CORNERS.map(([u, v]) => theta[6] * u + theta[7] * v + 1));
  return nearestDivisor > 0.02 ? theta : [NaN];
}
