/** A layer as tiles on a canvas: where each stands, what it is worth, and its colours. Sizes are CSS pixels. */

import { coloursOf, levelOf, scaleOf } from "./colours.js";
import { pixelsOf, sharp } from "./pictures.js";

const GAP = 3;
const MOST_TILES = 256;
const MOST_UNITS = 1024;
const NARROW = 40;

/** Where the tiles stand in a width: `{count, columns, width, height, side: [x, y], cells: [rows, columns]}`. */
export function layOut({ kind, shape }, width) {
  const [channels, rows, columns] = kind === "picture" ? [1, shape[1], shape[2]] : [shape[0], shape[1] ?? 1, shape[2] ?? 1];
  const count = Math.min(channels, shape.length === 1 ? MOST_UNITS : MOST_TILES);
  const wanted = sideOf(kind, count, shape);
  const least = shape.length === 3 && kind !== "picture" ? Math.min(wanted, Math.max(width / 6, NARROW)) : wanted;
  const fitting = Math.max(1, Math.floor((width + GAP) / (least + GAP)));
  const perRow = Math.min(count, fitting);
  const across = count > fitting && shape.length === 3 ? (width + GAP) / fitting - GAP : Math.min(least, width);
  const down = kind === "picture" || shape.length === 3 ? (across * rows) / columns : across;
  const lines = Math.ceil(count / perRow);
  return {
    ...{ count, columns: perRow, cells: [rows, columns], side: [across, down] },
    ...{ width: perRow * (across + GAP) - GAP, height: lines * (down + GAP) - GAP },
  };
}

function sideOf(kind, count, shape) {
  if (kind === "picture") return 168;
  if (shape.length === 1) return kind === "output" ? (count > 64 ? 20 : 36) : count > 256 ? 12 : 20;
  return count > 64 ? 48 : count > 24 ? 64 : 84;
}

/** Upper left corner of a tile. */
export function placeOf({ columns, side }, tile) {
  return [(tile % columns) * (side[0] + GAP), Math.floor(tile / columns) * (side[1] + GAP)];
}

/** The unit `{tile, i, j}` at a point, or null between tiles. */
export function unitAt(layout, x, y) {
  const { columns, count, side, cells } = layout;
  const [column, row] = [Math.floor(x / (side[0] + GAP)), Math.floor(y / (side[1] + GAP))];
  const tile = row * columns + column;
  if (column < 0 || column >= columns || row < 0 || tile >= count) return null;
  const [left, top] = placeOf(layout, tile);
  const [i, j] = [Math.floor(((y - top) / side[1]) * cells[0]), Math.floor(((x - left) / side[0]) * cells[1])];
  return i < cells[0] && j < cells[1] ? { tile, i, j } : null;
}

/** What the units are worth, as `(tile, i, j) => value`, from the picture of a layer or from its values. */
export function valuesOf(layer, image) {
  if (layer.values) return (tile) => layer.values[tile] ?? 0;
  const { data, width } = pixelsOf(image);
  if (layer.kind === "picture") return (_, i, j) => brightness(data, 4 * (i * width + j));
  const [, rows, columns] = layer.shape;
  return (tile, i, j) => {
    const [y, x] = [Math.floor(tile / layer.columns) * rows + i, (tile % layer.columns) * columns + j];
    const [low, high] = layer.ranges[tile];
    return low + (data[4 * (y * width + x)] / 255) * (high - low);
  };
}

/** The mean of red, green and blue. */
function brightness(data, at) {
  return (data[at] + data[at + 1] + data[at + 2]) / (3 * 255);
}

/** The scale of a tile's colours: of its own range, or of the layer's. */
export function tileScale(layer, tile, local) {
  if (layer.kind === "picture") return { kind: "grey", low: 0, high: 1 };
  const all = [layer.minimum, layer.maximum];
  return scaleOf(local && layer.ranges ? layer.ranges[tile] : all, all);
}

/** Draw all tiles. */
export function paint(canvas, layer, layout, valueAt, image, { local, dark }) {
  const context = sharp(canvas, layout.width, layout.height);
  Object.assign(canvas.style, { width: `${layout.width}px`, height: `${layout.height}px` });
  context.imageSmoothingEnabled = false;
  if (layer.kind === "picture") return context.drawImage(image, 0, 0, ...layout.side);
  const [rows, columns] = layout.cells;
  const sheet = new OffscreenCanvas(columns, rows * layout.count);
  const pixels = new ImageData(columns, rows * layout.count);
  for (let tile = 0; tile < layout.count; tile++) {
    const scale = tileScale(layer, tile, local);
    colour(pixels.data, tile * rows * columns, valueAt, tile, layout.cells, scale, coloursOf(scale.kind, dark));
  }
  sheet.getContext("2d").putImageData(pixels, 0, 0);
  for (let tile = 0; tile < layout.count; tile++) {
    context.drawImage(sheet, 0, tile * rows, columns, rows, ...placeOf(layout, tile), ...layout.side);
  }
  if (layer.kind === "output" && layout.side[0] > 30) label(context, layer, layout, dark);
}

function colour(bytes, start, valueAt, tile, [rows, columns], scale, table) {
  let at = 4 * start;
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++, at += 4) {
      const level = 3 * levelOf(valueAt(tile, i, j), scale);
      for (let part = 0; part < 3; part++) bytes[at + part] = table[level + part];
      bytes[at + 3] = 255;
    }
  }
}

/** The classes' names in their tiles. */
function label(context, { names, values }, layout, dark) {
  context.font = `600 13px ${getComputedStyle(document.body).fontFamily}`;
  Object.assign(context, { textAlign: "center", textBaseline: "middle" });
  names.slice(0, layout.count).forEach((name, tile) => {
    const [x, y] = placeOf(layout, tile);
    context.fillStyle = values[tile] < 0.5 === dark ? "#fff" : "#000"; // against the tile, which is far from the page's
    context.fillText(name.length > 4 ? `${name.slice(0, 3)}…` : name, x + layout.side[0] / 2, y + layout.side[1] / 2);
  });
}
