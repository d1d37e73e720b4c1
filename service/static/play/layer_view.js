/** One layer: a switch, its tiles, their legend, and what the unit under the pointer or the cursor keys is worth. */

import { h } from "../dom.js";
import { coloursOf } from "./colours.js";
import { describeShape } from "./layer_entries.js";
import { layOut, paint, placeOf, tileScale, unitAt, valuesOf } from "./tiles.js";

const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

/** `onToggle(shown)` and `onUnit(layer, unit)`, null for none; `node` and `draw` are for the list. */
export function createLayerView({ onToggle, onUnit }) {
  const parts = build(onToggle);
  const { canvas, unit: frame, told } = parts;
  let drawn = null; // {layer, layout, valueAt, local, dark}
  let chosen = null; // {tile, i, j}

  function draw(layer, image, { shown, local, dark, width }) {
    const available = Boolean(layer.values || image);
    describe(parts, layer, shown, available);
    if (!shown || !available) return choose(null);
    const valueAt = valuesOf(layer, image);
    const layout = layOut(layer, width);
    drawn = { layer, layout, valueAt, local, dark };
    paint(canvas, layer, layout, valueAt, image, { local, dark });
    if (chosen && chosen.tile >= layout.count) chosen = null;
    show();
  }

  function choose(unit) {
    const before = chosen;
    chosen = unit;
    if (drawn) show();
    if (before || unit) onUnit(drawn?.layer, unit);
  }

  function show() {
    const { layer, layout, valueAt } = drawn;
    drawLegend(parts, drawn, chosen);
    frame.hidden = !chosen;
    told.textContent = chosen ? `${nameOf(layer, chosen)}: ${number(valueAt(chosen.tile, chosen.i, chosen.j))}` : "";
    if (!chosen) return;
    const [x, y] = placeOf(layout, chosen.tile);
    const [high, wide] = [layout.side[1] / layout.cells[0], layout.side[0] / layout.cells[1]];
    const box = { left: x + chosen.j * wide, top: y + chosen.i * high, width: wide, height: high };
    for (const [name, value] of Object.entries(box)) frame.style[name] = `${value}px`;
  }

  function press(event) {
    if (event.key === "Escape") return choose(null);
    if (!(event.key in STEPS) || !drawn) return;
    event.preventDefault();
    choose(chosen ? moved(drawn.layout, chosen, STEPS[event.key]) : { tile: 0, i: 0, j: 0 });
  }

  const point = ({ offsetX, offsetY }) => drawn && choose(unitAt(drawn.layout, offsetX, offsetY));
  canvas.addEventListener("pointermove", point);
  canvas.addEventListener("pointerdown", point);
  canvas.addEventListener("pointerleave", ({ pointerType }) => pointerType === "mouse" && choose(null));
  canvas.addEventListener("keydown", press);
  canvas.addEventListener("focus", () => {
    if (!chosen && drawn && canvas.matches(":focus-visible")) choose({ tile: 0, i: 0, j: 0 });
  });
  canvas.addEventListener("blur", () => choose(null));
  return { node: parts.root, draw };
}

function build(onToggle) {
  const parts = {
    toggle: h("input", { type: "checkbox", role: "switch" }),
    title: h("span"),
    shape: h("span.size"),
    canvas: h("canvas", { tabIndex: 0, role: "application" }),
    unit: h("div.layer-unit", { hidden: true }),
    low: h("span"),
    bar: h("canvas", { width: 256, height: 1, ariaHidden: "true" }),
    high: h("span"),
    told: h("output"),
    waiting: h("p.quiet", { hidden: true }),
  };
  parts.toggle.addEventListener("change", () => onToggle(parts.toggle.checked));
  const label = h("label.switch", parts.toggle, h("span.unseen", "Show "), parts.title);
  const legend = h("p.layer-legend", parts.low, parts.bar, parts.high, parts.told);
  parts.body = h("div", { hidden: true }, h("div.layer-tiles", parts.canvas, parts.unit), legend);
  const head = h("div.layer-head", label, parts.shape);
  parts.root = h("li.layer", head, parts.waiting, parts.body);
  return parts;
}

function describe({ toggle, title, shape, body, canvas, waiting }, layer, shown, available) {
  toggle.checked = shown;
  title.textContent = layer.title;
  shape.textContent = describeShape(layer);
  shape.title = layer.name;
  body.hidden = !shown || !available;
  waiting.hidden = !shown || available;
  waiting.textContent = layer.absent ?? "Comes with the next answer.";
  canvas.ariaLabel = `${layer.title}: ${describeShape(layer)}. Arrow keys move over its units.`;
}

/** The colours from the least to the most, of the chosen tile where each has its own. */
function drawLegend({ bar, low, high }, { layer, local, dark }, chosen) {
  const own = local && Boolean(layer.ranges);
  const scale = tileScale(layer, chosen?.tile ?? 0, own);
  const table = coloursOf(scale.kind, dark);
  const pixels = new ImageData(256, 1);
  for (let k = 0; k < 256; k++) pixels.data.set([...table.subarray(3 * k, 3 * k + 3), 255], 4 * k);
  bar.getContext("2d").putImageData(pixels, 0, 0);
  const each = own && !chosen;
  low.textContent = !each ? number(scale.low) : scale.kind === "diverging" ? "−most of each" : "least of each";
  high.textContent = each ? "most of each" : number(scale.high);
}

/** One unit on; from the edge of a tile to the next tile. */
function moved({ columns, count, cells }, { tile, i, j }, [down, right]) {
  const [row, column] = [Math.floor(tile / columns) * cells[0] + i + down, (tile % columns) * cells[1] + j + right];
  const [nextRow, nextColumn] = [Math.floor(row / cells[0]), Math.floor(column / cells[1])];
  const next = nextRow * columns + nextColumn;
  if (row < 0 || column < 0 || nextColumn >= columns || next >= count) return { tile, i, j };
  return { tile: next, i: row % cells[0], j: column % cells[1] };
}

function nameOf({ kind, names, shape }, { tile, i, j }) {
  if (kind === "picture") return `pixel (${i}, ${j})`;
  if (names) return names[tile];
  return shape.length === 1 ? `unit ${tile}` : `unit (${i}, ${j}) of channel ${tile}`;
}

function number(value) {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toFixed(digits).replace("-", "−");
}
