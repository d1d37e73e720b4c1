/** How a drawing lies on the pad, as a matrix `[a, b, c, d, e, f]` of a canvas: x' = a x + c y + e, y' = b x + d y + f. */

import { SIDE, STRAIGHT } from "./state.js";

export function matrixOf({ angle, scale, shear, x, y, pivot: [px, py] }) {
  const turn = (angle * Math.PI) / 180;
  const [cos, sin] = [scale * Math.cos(turn), scale * Math.sin(turn)];
  const [a, b, c, d] = [cos, sin, shear * cos - sin, shear * sin + cos];
  return [a, b, c, d, px + x * SIDE - a * px - c * py, py + y * SIDE - b * px - d * py];
}

export function apply([a, b, c, d, e, f], [x, y]) {
  return [a * x + c * y + e, b * x + d * y + f];
}

export function inverse([a, b, c, d, e, f]) {
  const determinant = a * d - b * c;
  const [ia, ib, ic, id] = [d / determinant, -b / determinant, -c / determinant, a / determinant];
  return [ia, ib, ic, id, -ia * e - ic * f, -ib * e - id * f];
}

/** Whether the drawing lies as it was drawn, without noise or clutter. */
export function isStraight(view) {
  return !isTurned(view) && ["x", "y", "noise", "clutter", "invert"].every((name) => view[name] === STRAIGHT[name]);
}

/**
 * The view with these changes, turned around the middle of what is on the pad.
 *
 * While something is turned its pivot stays: were it to follow new strokes, the old ones would jump.
 */
export function changed(view, changes, source) {
  return { ...view, ...changes, pivot: isTurned(view) ? view.pivot : middle(source) };
}

/** `[left, top, right, bottom]` of what is on the pad as it was drawn; null of an empty one. */
export function boundsOf(source) {
  if (source.kind === "picture") return [0, 0, SIDE, SIDE];
  if (!source.strokes.length) return null;
  const bounds = [Infinity, Infinity, -Infinity, -Infinity];
  for (const { width, points } of source.strokes) {
    points.forEach((value, index) => {
      const axis = index % 2;
      bounds[axis] = Math.min(bounds[axis], value - width / 2);
      bounds[axis + 2] = Math.max(bounds[axis + 2], value + width / 2);
    });
  }
  return bounds;
}

function isTurned(view) {
  return ["angle", "scale", "shear"].some((name) => view[name] !== STRAIGHT[name]);
}

function middle(source) {
  const bounds = boundsOf(source);
  return bounds ? [(bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2].map(Math.round) : STRAIGHT.pivot;
}
