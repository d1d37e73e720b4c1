/** Handles on the drawing: its inside moves it, a corner makes it larger, another slants it, the knob above turns it. */

import { byId, h, svgElement } from "../dom.js";
import { apply, boundsOf, changed, matrixOf } from "./pose.js";
import { SIDE } from "./state.js";

const KNOB = 90; // units of the pad above the drawing
const ROOM = 24;
const EDGE = 44;
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** `update(state)` lays them, while the tool Move is chosen. */
export function createHandles(store) {
  const box = svgElement("polygon", {});
  const stem = svgElement("path", {});
  const frame = svgElement("svg", { viewBox: `0 0 ${SIDE} ${SIDE}`, "aria-hidden": "true" }, [box, stem]);
  const parts = {
    move: handle("move", "Move: drag, or press an arrow key", moved),
    turn: handle("turn", "Turn: drag, or press an arrow key", turned),
    size: handle("size", "Make larger or smaller: drag, or press an arrow key", sized),
    slant: handle("slant", "Slant: drag, or press an arrow key", slanted),
  };
  const root = byId("handles");
  root.replaceChildren(frame, ...Object.values(parts));
  follow(root, moved);

  /** `change(view, from, to)` gives the view after a pointer went from here to there, in units of the pad. */
  function handle(name, label, change) {
    const made = h(`button.handle.${name}`, { type: "button", ariaLabel: label, title: label });
    follow(made, change);
    made.addEventListener("keydown", (event) => {
      const [dx, dy] = KEYS[event.key] ?? [0, 0];
      if (!dx && !dy) return;
      event.preventDefault();
      step(KEY_STEPS[name], dx, dy, event.shiftKey ? 10 : 1);
    });
    made.addEventListener("keyup", (event) => event.key in KEYS && store.keep());
    return made;
  }

  function step(change, dx, dy, times) {
    const { view, source } = store.get();
    store.set({ view: changed(view, bounded(change(view, dx * times, dy * times)), source) });
  }

  function follow(target, change) {
    let from = null;
    target.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.target !== target) return;
      event.preventDefault();
      target.focus?.();
      target.setPointerCapture(event.pointerId);
      from = { at: place(event), view: store.get().view, pointer: event.pointerId };
    });
    target.addEventListener("pointermove", (event) => {
      if (event.pointerId !== from?.pointer) return;
      const { source } = store.get();
      const pivoted = changed(from.view, {}, source);
      store.set({ view: changed(pivoted, bounded(change(pivoted, from.at, place(event))), source) });
    });
    for (const kind of ["pointerup", "pointercancel"]) {
      target.addEventListener(kind, () => {
        from = null;
        store.keep();
      });
    }
  }

  function place({ clientX, clientY }) {
    const { left, top, width } = root.getBoundingClientRect();
    return [((clientX - left) * SIDE) / width, ((clientY - top) * SIDE) / width];
  }

  return {
    update({ source, view }) {
      const bounds = boundsOf(source);
      root.hidden = !bounds || (source.kind === "picture" && !source.image);
      if (root.hidden) return;
      const [left, top, right, bottom] = bounds.map((value, side) => value + (side < 2 ? -ROOM : ROOM));
      const matrix = matrixOf(view);
      const corners = [[left, top], [right, top], [right, bottom], [left, bottom]].map((point) => apply(matrix, point));
      const above = middleOf(corners.slice(0, 2));
      const centre = middleOf(corners);
      const length = Math.hypot(above[0] - centre[0], above[1] - centre[1]) || 1;
      const knob = above.map((value, axis) => value + (KNOB * (value - centre[axis])) / length);
      box.setAttribute("points", corners.join(" "));
      stem.setAttribute("d", `M${above}L${knob}`);
      lay(parts.move, centre);
      lay(parts.turn, knob);
      lay(parts.size, corners[2]);
      lay(parts.slant, corners[3]);
    },
  };
}

const KEY_STEPS = {
  move: (view, dx, dy) => ({ x: view.x + dx / 200, y: view.y + dy / 200 }),
  turn: (view, dx, dy) => ({ angle: view.angle + dx + dy }),
  size: (view, dx, dy) => ({ scale: view.scale * 1.02 ** (dx - dy) }),
  slant: (view, dx, dy) => ({ shear: view.shear + (dx - dy) / 100 }),
};

function moved(view, [x, y], [toX, toY]) {
  return { x: view.x + (toX - x) / SIDE, y: view.y + (toY - y) / SIDE };
}

function turned(view, from, to) {
  const [before, after] = [from, to].map((point) => Math.atan2(...difference(point, view).toReversed()));
  return { angle: Math.round(view.angle + ((after - before) * 180) / Math.PI) };
}

function sized(view, from, to) {
  const [before, after] = [from, to].map((point) => Math.hypot(...difference(point, view)));
  return { scale: (view.scale * after) / (before || 1) };
}

/** What is held goes along the drawing's own lines from left to right, as far as the pointer does. */
function slanted(view, from, to) {
  const turn = (view.angle * Math.PI) / 180;
  const [cos, sin] = [Math.cos(turn), Math.sin(turn)];
  const [x, y] = difference(from, view);
  const along = (to[0] - from[0]) * cos + (to[1] - from[1]) * sin;
  return { shear: view.shear + along / (y * cos - x * sin || 1) };
}

/** From where the pivot lies on the pad. */
function difference([x, y], view) {
  return [x - view.pivot[0] - view.x * SIDE, y - view.pivot[1] - view.y * SIDE];
}

/** Angles between −180 and 180, sizes and places that an address and the sliders know. */
function bounded(changes) {
  const within = (value, least, most) => Math.max(least, Math.min(most, value));
  const known = {
    angle: (value) => ((((value + 180) % 360) + 360) % 360) - 180,
    scale: (value) => within(Number(value.toFixed(3)), 0.2, 2),
    shear: (value) => within(Number(value.toFixed(3)), -1, 1),
    x: (value) => within(Number(value.toFixed(4)), -0.5, 0.5),
    y: (value) => within(Number(value.toFixed(4)), -0.5, 0.5),
  };
  return Object.fromEntries(Object.entries(changes).map(([name, value]) => [name, known[name](value)]));
}

function middleOf(points) {
  return [0, 1].map((axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length);
}

/** Within the pad, however far the drawing is: a handle that cannot be reached is none. */
function lay(part, point) {
  const [left, top] = point.map((value) => Math.max(EDGE, Math.min(SIDE - EDGE, value)) / SIDE);
  Object.assign(part.style, { left: `${100 * left}%`, top: `${100 * top}%` });
}
