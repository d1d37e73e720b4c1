/** How "What the network saw" is drawn. All points are pixels of the picture; `view` is the part of the plane shown. */

import { toPicture } from "./frame.js";
import { sharp } from "./pictures.js";
import { curvesOf } from "./region.js";

const LARGEST_CANVAS = 1600;
const CRISP_UP_TO = 256;

/** The picture as the network reads it, or as it was posted where that is not known. */
export function drawPicture({ picture: canvas, inputSize }, { picture, input, prediction, info }, frame, view) {
  const source = input ?? picture;
  const [from, to] = pictureIn(prediction, input, frame);
  const size = input ? [info.width, info.height] : to;
  const scale = Math.min(1, LARGEST_CANVAS / Math.max(...size));
  [canvas.width, canvas.height] = size.map((side) => Math.max(1, Math.round(side * scale)));
  canvas.classList.toggle("crisp", Math.max(...size) <= CRISP_UP_TO);
  canvas.style.left = percent((from[0] - view.left) / view.side);
  canvas.style.top = percent((from[1] - view.top) / view.side);
  canvas.style.width = percent((to[0] - from[0]) / view.side);
  canvas.style.height = percent((to[1] - from[1]) / view.side);
  if (source) canvas.getContext("2d").drawImage(source, 0, 0, canvas.width, canvas.height);
  inputSize.textContent = `${info.width} × ${info.height}`;
}

/** Upper left and lower right corner of what is drawn: the network's input, or the picture. */
function pictureIn({ width, height }, input, frame) {
  return input ? [[-1, -1], [1, 1]].map((point) => toPicture(frame, point)) : [[0, 0], [width, height]];
}

/** The border of the region, curves through a spline's control points, and in shade what is not of the picture. */
export function drawLines(parts, { outline, theta, given, input, prediction }, frame, { left, top, side }) {
  const border = written(outline);
  for (const name of ["halo", "edge", "inside"]) parts[name].setAttribute("points", border);
  parts.inside.classList.toggle("still", !theta);
  const curves = theta ? curvesOf(theta, frame) : [];
  parts.curves.setAttribute("d", curves.map((line) => `M${line.join("L")}`).join(""));
  const [from, to] = pictureIn(prediction, input, frame);
  parts.shade.setAttribute("d", `M${left},${top}h${side}v${side}h${-side}zM${from}H${to[0]}V${to[1]}H${from[0]}z`);
  parts.lines.setAttribute("viewBox", `${left} ${top} ${side} ${side}`);
  parts.lines.classList.toggle("given", Boolean(given));
}

/** The region a unit looks at, or none. */
export function drawMark({ mark }, points) {
  mark.setAttribute("points", written(points ?? []));
}

function written(points) {
  return points.map((point) => point.join()).join(" ");
}

/** Every sampled point, and the lines that join neighbours; `rows` are of points, or null. */
export function drawGrid({ grid: canvas, stage }, rows, view) {
  canvas.hidden = !rows;
  if (!rows) return;
  const side = stage.clientWidth;
  const context = sharp(canvas, side, side);
  const scale = side / view.side;
  const laid = rows.map((row) => row.map(([x, y]) => [(x - view.left) * scale, (y - view.top) * scale]));
  context.strokeStyle = context.fillStyle = getComputedStyle(canvas).color;
  context.globalAlpha = 0.45;
  context.lineWidth = 0.75;
  context.beginPath();
  for (const line of [...laid, ...laid[0].map((_, k) => laid.map((row) => row[k]))]) {
    line.forEach(([x, y], k) => (k ? context.lineTo(x, y) : context.moveTo(x, y)));
  }
  context.stroke();
  context.globalAlpha = 1;
  const dot = laid.length > 64 ? 1 : 2;
  for (const [x, y] of laid.flat()) context.fillRect(x - dot / 2, y - dot / 2, dot, dot);
}

/** The transformed picture in its frame. */
export function showTransformed({ transformed, frame, outputSize }, image) {
  frame.hidden = !image;
  if (!image) return;
  const { naturalWidth: width, naturalHeight: height } = image;
  if (transformed.src !== image.src) transformed.src = image.src;
  transformed.alt = "The sampled region, straightened";
  transformed.classList.toggle("crisp", Math.max(width, height) <= CRISP_UP_TO);
  frame.style.aspectRatio = `${width} / ${height}`;
  frame.style.width = percent(0.77 * Math.min(1, width / height));
  outputSize.textContent = `${width} × ${height}`;
}

function percent(fraction) {
  return `${100 * fraction}%`;
}
