/** Lines of the sampled region, in pixels of the picture. */

import { toPicture } from "./frame.js";
import { isStraight, latticeOf, mapOf } from "./transforms.js";

const PIECES = 16;
const MOST_CURVES = 9;
const MOST_GRID_LINES = 128;

/** The border, clockwise from what becomes the upper left corner: its corners, or more points where it is bent. */
export function outlineOf(theta, frame) {
  const count = isStraight(theta) ? 1 : PIECES;
  const along = Array.from({ length: count }, (_, i) => (2 * i - count) / count);
  const border = [
    ...along.map((t) => [t, -1]),
    ...along.map((t) => [1, t]),
    ...along.map((t) => [-t, 1]),
    ...along.map((t) => [-1, -t]),
  ];
  return through(border, theta, frame);
}

/** The lines through the control points of a spline, those of the border left out; none where all lines are straight. */
export function curvesOf(theta, frame) {
  if (isStraight(theta)) return [];
  const ends = Array.from({ length: 2 * PIECES + 1 }, (_, i) => i / PIECES - 1);
  const [rows, columns] = latticeOf(theta).map(between);
  return [
    ...rows.map((y) => ends.map((x) => [x, y])),
    ...columns.map((x) => ends.map((y) => [x, y])),
  ].map((line) => through(line, theta, frame));
}

/** The sampled point of every pixel of the transformed picture, as rows; of one too large, of some of them. */
export function gridOf({ grid }, theta, frame, [width, height]) {
  if (grid) return thinned(grid).map(thinned);
  const centres = (count) => thinned(Array.from({ length: count }, (_, i) => (2 * i + 1 - count) / count));
  const map = mapOf(theta);
  return centres(height).map((y) => centres(width).map((x) => toPicture(frame, map([x, y]))));
}

function thinned(values) {
  const every = Math.ceil(values.length / MOST_GRID_LINES);
  return values.filter((_, i) => i % every === 0);
}

function between(count) {
  const lines = Math.min(count, MOST_CURVES + 2) - 1;
  return Array.from({ length: lines - 1 }, (_, i) => (2 * (i + 1)) / lines - 1);
}

function through(points, theta, frame) {
  const map = mapOf(theta);
  return points.map((point) => toPicture(frame, map(point)));
}
