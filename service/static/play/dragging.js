/** What dragging a handle does to the others, so that the transform can follow. Loaded when one is dragged. */

import { ALL, mean } from "./corners.js";
import { thetaFromCorners } from "./theta_from_corners.js";

const SMALLEST = 0.02;

/** theta's numbers after a handle, or the middle of all, was dragged to a point; null where no theta has them so. */
export function drag(transform, handles, index, point) {
  const moved = index === ALL ? shift(handles, difference(point, mean(handles))) : dragHandle(transform, handles, index, point);
  return thetaFromCorners(transform, moved);
}

/**
 * The handles after one was dragged to a point.
 *
 * - projective and spline: that one moves alone.
 * - affine: the opposite corner stays and the neighbours go half the way, so that the other diagonal keeps its length and
 *   direction: the two diagonals together reach every parallelogram.
 * - similarity: turned and scaled about the opposite corner. rigid: turned about the middle.
 * - attention: scaled with the opposite corner where it is. translation: all are shifted.
 */
export function dragHandle(transform, handles, index, point) {
  const free = () => handles.map((handle, k) => (k === index ? point : handle));
  return (DRAGS[transform] ?? free)(handles, index, point);
}

function shift(handles, [dx, dy]) {
  return handles.map(([x, y]) => [x + dx, y + dy]);
}

const DRAGS = {
  affine(corners, index, point) {
    const [dx, dy] = difference(point, corners[index]);
    const share = [1, 0.5, 0, 0.5];
    return corners.map(([x, y], k) => {
      const part = share[(k - index + 4) % 4];
      return [x + part * dx, y + part * dy];
    });
  },
  similarity(corners, index, point) {
    const fixed = corners[(index + 2) % 4];
    return turnAbout(corners, fixed, difference(corners[index], fixed), difference(point, fixed));
  },
  rigid(corners, index, point) {
    const middle = [0, 1].map((axis) => (corners[0][axis] + corners[2][axis]) / 2);
    const [before, after] = [difference(corners[index], middle), difference(point, middle)];
    const factor = Math.hypot(...before) / Math.hypot(...after);
    return turnAbout(corners, middle, before, after.map((value) => value * factor));
  },
  attention(corners, index, point) {
    const fixed = corners[(index + 2) % 4];
    const [bx, by] = difference(corners[index], fixed);
    const [ax, ay] = difference(point, fixed);
    const factor = Math.max((ax * bx + ay * by) / (bx * bx + by * by), SMALLEST);
    return corners.map((corner) => {
      const [x, y] = difference(corner, fixed);
      return [fixed[0] + factor * x, fixed[1] + factor * y];
    });
  },
  translation: (corners, index, point) => shift(corners, difference(point, corners[index])),
};

/** All turned and scaled about a point by what takes one difference to the other: a quotient of complex numbers. */
function turnAbout(corners, centre, [bx, by], [ax, ay]) {
  const square = bx * bx + by * by;
  const [cos, sin] = [(ax * bx + ay * by) / square, (ay * bx - ax * by) / square];
  return corners.map((corner) => {
    const [x, y] = difference(corner, centre);
    return [centre[0] + cos * x - sin * y, centre[1] + sin * x + cos * y];
  });
}

function difference(a, b) {
  return [a[0] - b[0], a[1] - b[1]];
}
