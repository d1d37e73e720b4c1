/** The sampled region on the pad itself, as it follows the drawing. */

import { byId, svgElement } from "../dom.js";
import { placeOf } from "./render.js";

/** Show the outline of this prediction; none for null. */
export function showFollowing(prediction) {
  const svg = byId("follow");
  if (!prediction?.outline) return svg.replaceChildren();
  const [left, top, width] = placeOf(prediction);
  const unit = width / prediction.width;
  const points = prediction.outline.map(([x, y]) => `${(left + x * unit).toFixed(1)},${(top + y * unit).toFixed(1)}`);
  svg.replaceChildren(
    svgElement("polygon", { points: points.join(" ") }),
    svgElement("path", { d: `M${points[0]}h0` }),
  );
}
