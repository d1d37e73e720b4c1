/** What is on the pad, drawn: white ink on black, or a picture, as the view says. */

import { addNoise, clutterOf, noiseOf } from "./disturb.js";
import { toInk } from "./ink.js";
import { SIDE } from "./state.js";
import { matrixOf } from "./pose.js";

/** Draw it on a canvas of any size; noise comes in `cells` times `cells` squares, one for each pixel of the network. */
export function render(context, { source, view }, cells) {
  const { width, height } = context.canvas;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.fillStyle = "black";
  context.fillRect(0, 0, width, height);
  const unit = width / SIDE;
  const place = () => context.setTransform(unit, 0, 0, unit, 0, 0);
  place();
  context.transform(...matrixOf(view));
  if (source.kind === "picture") drawPicture(context, source.image, view.invert === 1);
  else drawStrokes(context, source.strokes);
  for (const piece of clutterOf(view)) {
    place();
    drawPiece(context, piece);
  }
  if (view.noise > 0) {
    const pixels = context.getImageData(0, 0, width, height);
    addNoise(pixels, noiseOf(view, cells * cells), cells);
    context.putImageData(pixels, 0, 0);
  }
}

export function drawStrokes(context, strokes) {
  Object.assign(context, { strokeStyle: "white", lineCap: "round", lineJoin: "round" });
  for (const { width, points } of strokes) {
    context.lineWidth = width;
    context.beginPath();
    context.moveTo(points[0], points[1]);
    if (points.length === 2) context.lineTo(points[0], points[1]);
    for (let at = 2; at < points.length; at += 2) context.lineTo(points[at], points[at + 1]);
    context.stroke();
  }
}

/** The picture, whole and in the middle. */
function drawPicture(context, image, inverted) {
  if (!image) return;
  context.imageSmoothingQuality = "high";
  context.drawImage(inverted ? inkOf(image) : image, ...placeOf(image));
}

const LARGEST = 512;
const inks = new WeakMap();

/** The ink of a picture of something written, as white on black. */
function inkOf(image) {
  if (inks.has(image)) return inks.get(image);
  const scale = Math.min(1, LARGEST / Math.max(image.width, image.height));
  const [width, height] = [image.width, image.height].map((side) => Math.max(1, Math.round(side * scale)));
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0, width, height);
  const pixels = context.getImageData(0, 0, width, height);
  toInk(pixels.data);
  context.putImageData(pixels, 0, 0);
  inks.set(image, canvas);
  return canvas;
}

/** `[left, top, width, height]` of a picture on the pad. */
export function placeOf({ width, height }) {
  const scale = SIDE / Math.max(width, height);
  return [(SIDE - width * scale) / 2, (SIDE - height * scale) / 2, width * scale, height * scale];
}

function drawPiece(context, { strokes, from: [x, y], by, side }) {
  context.save();
  context.translate(...by);
  context.beginPath();
  context.rect(x, y, side, side);
  context.clip();
  drawStrokes(context, strokes);
  context.restore();
}
