/** Which part of the posted picture a unit of a layer looks at. */

import { frameOf, toPicture } from "./frame.js";
import { mapOf, thetaOf } from "./transforms.js";

const PIECES = 8;

/**
 * A polygon in pixels of the picture: the pixels of the input that the unit in row `i` and column `j` reads, or those of
 * the transformed picture, taken through theta to where they were sampled. Sampling also reads the neighbours of a point,
 * up to a pixel of the input further. `size` is [width, height] of the image that the layer looks at.
 */
export function seenBy({ of, sees }, [i, j], size, prediction, info) {
  const [[left, right], [top, bottom]] = [1, 0].map((axis) => spanOf(sees, [i, j], axis, size[1 - axis]));
  const ahead = [[left, top], [right, top], [right, bottom], [left, bottom]];
  const theta = of === "transformed" ? thetaOf(prediction) : null;
  const map = mapOf(theta);
  const frame = frameOf(prediction, info);
  return border(ahead, theta ? PIECES : 1).map(([x, y]) =>
    toPicture(frame, map([(2 * x) / size[0] - 1, (2 * y) / size[1] - 1])),
  );
}

/** From where to where, in pixels, cut to the image; all of it where it is not known. */
function spanOf(sees, unit, axis, side) {
  if (!sees) return [0, side];
  const start = sees.start[axis] + unit[axis] * sees.stride[axis];
  return [start, start + sees.size[axis]].map((value) => Math.max(0, Math.min(side, value)));
}

function border(corners, pieces) {
  return corners.flatMap(([x, y], k) => {
    const [nextX, nextY] = corners[(k + 1) % corners.length];
    return Array.from({ length: pieces }, (_, n) => [x + ((nextX - x) * n) / pieces, y + ((nextY - y) * n) / pieces]);
  });
}
