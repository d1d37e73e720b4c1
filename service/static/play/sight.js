/** What the network saw: the input with the sampled region, which can be dragged, and the transformed picture. */

import { load } from "../lazy.js";
import { createCorners } from "./corners.js";
import { frameOf, toInput, toPicture } from "./frame.js";
import { decode } from "./pictures.js";
import { gridOf, outlineOf } from "./region.js";
import { drawGrid, drawLines, drawMark, drawPicture, showTransformed } from "./sight_drawing.js";
import { buildSight } from "./sight_parts.js";
import { handlesOf, isStraight, latticeOf, thetaOf } from "./transforms.js";
import { createView } from "./view.js";

const MOST_HANDLES = 64;
const STEP = 0.01; // of the larger side of the input, by an arrow key
const SAME = 1e-4;

/**
 * Fill `root` with both pictures. `onTheta(values)` says what theta is to be used, at most once per frame of the screen;
 * `onReset()` that it is to be the network's own, `fail(error)` that what drags did not come.
 *
 * - `update({picture, prediction, info, showGrid, given})`: `picture` is a decoded image or a canvas, shown where the answer
 *   has no `input`; `prediction` null for nothing yet; `info` the model's version; `given` whether theta is by hand. The
 *   promise is kept when it is drawn.
 * - `mark(points)`: show a polygon in pixels of the picture, or none for null.
 */
export function createSight(root, { onTheta, onReset, fail }) {
  const parts = buildSight(root, () => {
    held = null;
    onReset();
  });
  const viewOf = createView();
  const corners = createCorners(parts.stage, parts.inside, { onStart, onMove, onEnd, step });
  let shown = null;
  let view = null;
  let drag = null; // the handles when a drag began
  let held = null; // theta by hand, from when it is dragged until an answer has it
  let turn = 0;
  let sending = 0;

  async function update(state) {
    const mine = ++turn;
    const { prediction } = state;
    const [input, transformed] = await Promise.all([decode(prediction?.input), decode(prediction?.transformed)]);
    if (mine !== turn) return;
    showTransformed(parts, transformed);
    parts.reset.disabled = !state.given;
    root.dataset.state = prediction ? "shown" : "empty";
    shown = prediction ? { ...state, input, transformed, own: thetaOf(prediction) } : null;
    if (!shown) return corners.show([], view, null);
    if (!drag && held && (!state.given || same(held, shown.own))) held = null;
    draw();
  }

  function draw() {
    const { prediction, info, own, transformed, showGrid } = shown;
    const frame = frameOf(prediction, info);
    const theta = own && held?.length === own.values.length ? { ...own, values: held } : own;
    const outline = theta ? outlineOf(theta, frame) : [[-1, -1], [1, -1], [1, 1], [-1, 1]].map((p) => toPicture(frame, p));
    Object.assign(shown, { frame, theta });
    view = drag && view ? view : viewOf(prediction, outline, theta === own ? 1.12 : 1.01);
    drawPicture(parts, shown, frame, view);
    drawLines(parts, { ...shown, outline }, frame, view);
    const size = transformed && [transformed.naturalWidth, transformed.naturalHeight];
    drawGrid(parts, showGrid && size ? gridOf(theta === own ? prediction : {}, theta, frame, size) : null, view);
    const handles = theta ? handlesOf(theta).map((point) => toPicture(frame, point)) : [];
    corners.show(handles, view, cornersOf(theta));
    describe(theta, outline);
  }

  function describe(theta, outline) {
    const at = outline.map((point) => point.map((value) => value.toFixed(0)).join(", "));
    parts.picture.ariaLabel =
      theta && isStraight(theta)
        ? `The network’s input. The sampled region has its corners at ${at.join("; ")}.`
        : `The network’s input. ${theta ? "The sampled region is bent." : "All of it is used."}`;
    parts.hint.textContent = theta
      ? `Drag ${isStraight(theta) ? "a corner" : "a point"} to take over, or the inside to shift it`
      : "This model has no transformer: it uses the whole input";
  }

  function onStart() {
    drag = handlesOf(shown.theta);
    root.classList.add("dragging-region");
  }

  function onEnd() {
    drag = null;
    root.classList.remove("dragging-region");
    if (shown) draw();
  }

  async function onMove(index, point) {
    if (!shown) return;
    const { frame, theta } = shown;
    const handles = drag ?? handlesOf(theta);
    const dragging = await load(() => import("./dragging.js")).catch(fail);
    if (!dragging || !shown) return;
    const values = dragging.drag(theta.transform, handles, index, toInput(frame, point));
    if (!values) return; // no theta has the handles there; it stays as it was
    held = values;
    draw();
    if (!drag) parts.told.textContent = parts.stage.ownerDocument.activeElement.ariaLabel ?? "";
    cancelAnimationFrame(sending);
    sending = requestAnimationFrame(() => onTheta(held ?? values));
  }

  function step() {
    return 2 * STEP * Math.max(...shown.frame.half);
  }

  new ResizeObserver(() => shown?.showGrid && draw()).observe(parts.stage);
  return { update, mark: (points) => drawMark(parts, points) };
}

/** The places of the corners among the handles, clockwise from the upper left; null where there are too many handles. */
function cornersOf(theta) {
  if (!theta || isStraight(theta)) return [0, 1, 2, 3];
  const [rows, columns] = latticeOf(theta);
  return rows * columns > MOST_HANDLES ? null : [0, columns - 1, rows * columns - 1, (rows - 1) * columns];
}

function same(a, theta) {
  const near = (value, k) => Math.abs(value - theta.values[k]) < SAME * (1 + Math.abs(value));
  return theta?.values.length === a.length && a.every(near);
}
