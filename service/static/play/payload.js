/** What is posted of a state: the chosen file itself, or what is on the pad at the size that the network reads. */

import { png } from "./png.js";
import { render } from "./render.js";
import { isStraight } from "./pose.js";

const scratch = document.createElement("canvas").getContext("2d", { willReadFrequently: true });

/** `{body, type, name}`; a name only of a file. */
export function payloadOf({ source, view }, info) {
  const { file } = source;
  if (file && isStraight(view)) {
    return { body: file, type: file.type.startsWith("image/") ? file.type : "application/octet-stream", name: file.name };
  }
  const side = cellsOf(info);
  Object.assign(scratch.canvas, { width: side, height: side });
  render(scratch, { source, view }, side);
  return { body: png(scratch.getImageData(0, 0, side, side), source.kind === "drawing"), type: "image/png" };
}

/** How many pixels of the network lie along the side of the pad. */
export function cellsOf(info) {
  return Math.max(info.width, info.height);
}
