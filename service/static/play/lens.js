/** The network's input, small, beside the layers: with the sampled region, and what the chosen unit looks at. */

import { h } from "../dom.js";
import { frameOf, toInput } from "./frame.js";
import { sharp } from "./pictures.js";

/** `node`, and `draw(image, points, prediction, info)`: points in pixels of the picture, or null; the image the input's. */
export function createLens() {
  const canvas = h("canvas", { width: 1, height: 1 });
  const root = h("div.layer-lens", { ariaHidden: "true", hidden: true }, canvas, h("p.legend", "What a unit looks at"));

  function draw(image, points, prediction, info) {
    root.hidden = !image;
    root.classList.toggle("chosen", Boolean(points));
    if (!image) return;
    canvas.style.aspectRatio = `${info.width} / ${info.height}`;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width) return; // not shown
    const context = sharp(canvas, width, height);
    context.imageSmoothingEnabled = false;
    context.drawImage(image, 0, 0, width, height);
    const frame = frameOf(prediction, info);
    const place = (point) => toInput(frame, point).map((value, axis) => ((value + 1) / 2) * [width, height][axis]);
    const { color, outlineColor } = getComputedStyle(canvas);
    trace(context, (prediction.outline ?? []).map(place), color);
    trace(context, (points ?? []).map(place), outlineColor, 0.35);
  }

  return { node: root, draw };
}

function trace(context, points, colour, filled = 0) {
  context.beginPath();
  for (const [x, y] of points) context.lineTo(x, y);
  context.closePath();
  Object.assign(context, { strokeStyle: colour, fillStyle: colour, lineWidth: 1.5, globalAlpha: filled });
  context.fill();
  context.globalAlpha = 1;
  context.stroke();
}
