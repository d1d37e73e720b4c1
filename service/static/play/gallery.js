/** Drawings for those who cannot draw, or wish to see at once: each lies as no one would write it. */

import { SIDE, STRAIGHT } from "./state.js";

const WIDTH = 64;
/** Points between two that are given, along a curve. */
const BETWEEN = 6;

/** Of each digit its lines, as points (in hundredths of the pad) that a smooth curve runs through; "|" is a corner. */
const LINES = {
  0: ["50,22 38,32 34,50 39,69 50,78 61,69 66,50 62,32 50,22"],
  1: ["47,28 | 53,22 | 53,78"],
  2: ["35,36 40,25 52,22 64,30 62,43 50,57 35,77 | 67,77"],
  3: ["36,28 50,21 63,29 61,42 47,48 | 61,53 67,65 58,77 44,78 34,71"],
  4: ["54,22 | 34,58 | 68,58", "57,38 | 56,80"],
  5: ["64,23 | 42,23 | 39,46 52,43 65,52 65,68 53,78 36,73"],
  6: ["61,22 45,34 36,55 39,72 51,78 63,70 62,57 51,51 40,58"],
  7: ["34,24 | 67,24 | 54,50 46,79"],
  8: ["62,30 50,22 38,30 42,43 56,52 64,65 55,77 42,76 36,65 44,52 59,42 62,30"],
  9: ["64,34 53,23 40,28 38,42 48,50 60,45 64,34 | 62,55 55,79"],
};

/** How the entries lie, in turn: `[digit, angle, scale, shear, x, y]`. */
const ENTRIES = [
  [7, -38, 0.55, 0, 0.2, -0.18],
  [4, 36, 0.6, 0.2, -0.2, 0.17],
  [2, -25, 0.5, -0.3, -0.22, -0.2],
  [3, 42, 0.7, 0, 0.15, 0.12],
  [5, -40, 0.62, 0.25, -0.18, 0.16],
  [8, 30, 0.5, 0, 0.24, 0.2],
  [0, 20, 0.5, 0.45, -0.24, 0.05],
  [1, -35, 0.6, 0, 0.22, 0.1],
  [6, 33, 0.55, -0.2, 0.2, -0.2],
  [9, -30, 0.65, 0.15, -0.16, -0.14],
  [7, 44, 0.9, 0, 0.04, 0.05],
  [2, 38, 1.25, 0, 0, 0],
];

/** `{name, strokes, view}` of each. */
export const GALLERY = ENTRIES.map(([digit, angle, scale, shear, x, y]) => ({
  name: `A ${digit}, turned by ${Math.abs(angle)}° ${angle < 0 ? "anticlockwise" : "clockwise"}`,
  strokes: LINES[digit].map(stroke),
  view: Object.freeze({ ...STRAIGHT, angle, scale, shear, x, y }),
}));

function stroke(line) {
  const parts = line.split("|").map((part) => part.trim().split(" ").map((point) => point.split(",").map(Number)));
  const smooth = parts.flatMap((points, index) => curve(index ? [parts[index - 1].at(-1), ...points] : points));
  return { width: WIDTH, points: smooth.flat().map((value) => Math.round((value * SIDE) / 100)) };
}

/** Points of the curve through these (Catmull and Rom). */
function curve(points) {
  const at = (index) => points[Math.max(0, Math.min(points.length - 1, index))];
  const steps = points.length > 2 ? BETWEEN : 1;
  const inner = points.slice(1).flatMap((_, index) => {
    const [p, q, r, s] = [at(index - 1), at(index), at(index + 1), at(index + 2)];
    return Array.from({ length: steps }, (_, step) => between(p, q, r, s, step / steps));
  });
  return [...inner, points.at(-1)];
}

function between(p, q, r, s, t) {
  return [0, 1].map((axis) => {
    const slope = (r[axis] - p[axis]) / 2;
    const bend = p[axis] - 2.5 * q[axis] + 2 * r[axis] - s[axis] / 2;
    const twist = 1.5 * (q[axis] - r[axis]) + (s[axis] - p[axis]) / 2;
    return q[axis] + slope * t + bend * t ** 2 + twist * t ** 3;
  });
}
