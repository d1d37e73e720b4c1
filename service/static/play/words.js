/** theta in words: what it does to the picture, as it is seen. */

import { frameOf, toPicture } from "./frame.js";
import { CORNERS, controlPoints, isStraight, latticeOf, mapOf } from "./transforms.js";

/** Pairs of name and text, e.g. ["Rotation", "9.8° clockwise"]; of a bent region those of the straight one nearest to it. */
export function describeTheta(theta, prediction, info) {
  const frame = frameOf(prediction, info);
  const map = mapOf(theta);
  const at = (points) => points.map((point) => toPicture(frame, map(point)));
  const points = theta.transform === "thin_plate_spline" ? controlPoints(latticeOf(theta)) : ENDS;
  const straight = nearestStraight(points, at(points));
  const words = describeStraight(straight, frame, prediction);
  if (theta.transform === "projective") words.push(["Perspective", perspective(at(CORNERS))]);
  if (!isStraight(theta)) words.push(...describeBend(points, at(points), straight, frame));
  return words;
}

/** Around the middle: there a perspective is nearly straight. */
const ENDS = [[-0.001, 0], [0.001, 0], [0, -0.001], [0, 0.001]];

/** The vectors of a step right and down and the middle, nearest to the map of these points, which lie evenly around 0. */
function nearestStraight(points, mapped) {
  const along = (axis) => {
    const square = points.reduce((sum, point) => sum + point[axis] ** 2, 0);
    return [0, 1].map((k) => points.reduce((sum, point, n) => sum + point[axis] * mapped[n][k], 0) / square);
  };
  const middle = [0, 1].map((k) => mapped.reduce((sum, point) => sum + point[k], 0) / points.length);
  return { right: along(0), down: along(1), middle };
}

/** A turn, then widths and heights, then a shear: the matrix as a product of these. */
function describeStraight({ right, down, middle }, { half }, { width, height }) {
  const length = Math.hypot(...right);
  const area = right[0] * down[1] - right[1] * down[0];
  const [across, along] = [half[0] / length, (half[1] * length) / Math.abs(area)];
  const shear = Math.atan2(right[0] * down[0] + right[1] * down[1], Math.abs(area));
  const turned = turn(Math.atan2(right[1], right[0]));
  return [
    ["Rotation", area < 0 ? `${turned}, upside down` : turned],
    ["Scale", Number.isFinite(across) && Number.isFinite(along) ? scale(across, along) : "to a line or a point"],
    ["Shear", degrees(shear) === "0.0" ? "none" : `${degrees(shear)}° to the ${shear > 0 ? "right" : "left"}`],
    ["Shift", shift(middle[0] - width / 2, middle[1] - height / 2)],
  ];
}

function scale(across, along) {
  const [wide, high] = [across, along].map((value) => value.toFixed(2));
  return wide === high ? `${wide}×` : `${wide}× wide, ${high}× high`;
}

function turn(angle) {
  return degrees(angle) === "0.0" ? "none" : `${degrees(angle)}° ${angle > 0 ? "anticlockwise" : "clockwise"}`;
}

function degrees(angle) {
  return ((Math.abs(angle) * 180) / Math.PI).toFixed(1);
}

/** Where the middle of the region lies, in pixels of the picture: the picture moves the other way. */
function shift(x, y) {
  const words = [step(x, "left", "right"), step(y, "up", "down")].filter(Boolean);
  return words.length ? `region ${words.join(", ")}` : "none";
}

function step(pixels, before, after) {
  const distance = Math.abs(pixels).toFixed(1);
  return distance === "0.0" ? "" : `${distance} px ${pixels < 0 ? before : after}`;
}

function perspective(corners) {
  const [top, right, bottom, left] = corners.map((corner, k) => distance(corner, corners[(k + 1) % 4]));
  return `sides left : right ${(left / right).toFixed(2)}, top : bottom ${(top / bottom).toFixed(2)}`;
}

function describeBend(points, mapped, { right, down, middle }, frame) {
  const moves = points.map((point, k) => distance(mapped[k], toPicture(frame, point)));
  const bends = points.map(([x, y], k) =>
    distance(mapped[k], [0, 1].map((axis) => middle[axis] + x * right[axis] + y * down[axis])),
  );
  const mean = moves.reduce((sum, value) => sum + value, 0) / moves.length;
  return [
    ["Points", `moved by ${mean.toFixed(1)} px on average, ${Math.max(...moves).toFixed(1)} at most`],
    ["Bend", `at most ${Math.max(...bends).toFixed(1)} px from straight lines`],
  ];
}

function distance([ax, ay], [bx, by]) {
  return Math.hypot(ax - bx, ay - by);
}
