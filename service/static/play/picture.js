/** Pictures: the posted one with the outline of the sampled region, and the transformed one. */

import { byId, svgElement } from "../dom.js";

const LARGEST_CANVAS = 1600;
const CRISP_UP_TO = 256;

/** The decoded image behind a URL, upright as its EXIF data say. */
export async function decode(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}

/**
 * Draw the posted picture with the outline of the prediction.
 *
 * Where the browser has no such picture, `null` or one of other sides than the service read (Chromium does not turn a
 * WebP as its EXIF data say), the outline is drawn alone.
 */
export function showInput(image, { width, height, outline }, name) {
  const known = image?.naturalWidth === width && image?.naturalHeight === height;
  const side = visibleSide(width, height, outline);
  const left = (side - width) / 2;
  const top = (side - height) / 2;
  const canvas = byId("input");
  drawImage(canvas, known ? image : null, width, height);
  Object.assign(canvas.style, {
    left: percent(left / side),
    top: percent(top / side),
    width: percent(width / side),
    height: percent(height / side),
  });
  canvas.ariaLabel = `${name}; the outline marks the sampled region`;
  drawOutline(outline, { width, height, side, left, top });
  byId("input-size").textContent = `${width} × ${height}${known ? "" : ", not shown by this browser"}`;
  canvas.hidden = false;
  byId("outline").removeAttribute("hidden");
}

/** Show the transformed picture in a frame of the outline's colour. */
export function showTransformed(image) {
  const { naturalWidth: width, naturalHeight: height } = image;
  const shown = byId("transformed");
  shown.src = image.src;
  shown.alt = "The sampled region, straightened";
  shown.classList.toggle("crisp", Math.max(width, height) <= CRISP_UP_TO);
  const frame = byId("frame");
  frame.style.aspectRatio = `${width} / ${height}`;
  frame.style.width = percent(0.86 * Math.min(1, width / height));
  frame.hidden = false;
  byId("transformed-size").textContent = `${width} × ${height}`;
}

/** Take both pictures away. */
export function clearPictures() {
  byId("input").hidden = true;
  byId("outline").setAttribute("hidden", "");
  byId("frame").hidden = true;
  byId("input-size").textContent = byId("transformed-size").textContent = "";
}

/** Side of the square that is shown, centred on the picture: with the outline and a margin, within reason. */
function visibleSide(width, height, outline) {
  const reach = outline.map(([x, y]) => Math.max(Math.abs(x - width / 2), Math.abs(y - height / 2)));
  const largest = Math.max(width, height);
  return Math.min(Math.max(2.16 * Math.max(...reach), 1.16 * largest), 8 * largest);
}

function drawImage(canvas, image, width, height) {
  const scale = Math.min(1, LARGEST_CANVAS / Math.max(width, height));
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  canvas.classList.toggle("crisp", Math.max(width, height) <= CRISP_UP_TO);
  if (image) canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
}

/** The outline in pixels of the picture; the view box lays it over the canvas at any size of the page. */
function drawOutline(outline, { width, height, side, left, top }) {
  const points = outline.map((point) => point.join(",")).join(" ");
  const around = `M${-side},${-side}h${3 * side}v${3 * side}h${-3 * side}z`;
  const svg = byId("outline");
  svg.setAttribute("viewBox", `${-left} ${-top} ${side} ${side}`);
  svg.replaceChildren(
    svgElement("svg", { width, height, viewBox: `0 0 ${width} ${height}` }, [
      svgElement("path", { class: "shade", "fill-rule": "evenodd", d: `${around}M${points}z` }),
      svgElement("polygon", { class: "halo", points }),
    ]),
    svgElement("polygon", { class: "edge", points }),
    svgElement("path", { class: "corner", d: `M${outline[0]}h0` }),
  );
}

function percent(fraction) {
  return `${100 * fraction}%`;
}
