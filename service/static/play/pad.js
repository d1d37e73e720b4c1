/** The pad: what is drawn with mouse, pen or finger, kept as strokes. */

import { byId } from "../dom.js";
import { apply, inverse, matrixOf } from "./pose.js";
import { render } from "./render.js";
import { drawing, isEmpty, SIDE, STRAIGHT } from "./state.js";
import { fromSegment, simplify } from "./strokes.js";

const NEAREST = 6; // units of the pad between points
const MOST_PIXELS = 840;

/** `tool()` is "draw", "erase" or "move"; `width()` that of a stroke. */
export function createPad(store, { tool, width }) {
  const canvas = byId("pad");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  let gesture = null;
  let frame = 0;
  let cells = 42;

  function paint() {
    frame = 0;
    const side = Math.min(MOST_PIXELS, Math.round(canvas.clientWidth * devicePixelRatio)) || 560;
    if (canvas.width !== side) Object.assign(canvas, { width: side, height: side });
    render(context, store.get(), cells);
  }

  /** Points of the drawing under the pointer, as it lay when the stroke began. */
  function pointsOf(event) {
    const box = canvas.getBoundingClientRect();
    const events = event.getCoalescedEvents?.() ?? [];
    return (events.length ? events : [event]).map(({ clientX, clientY }) => {
      const onPad = [((clientX - box.left) * SIDE) / box.width, ((clientY - box.top) * SIDE) / box.height];
      return apply(inverse(matrixOf(store.get().view)), onPad).map(Math.round);
    });
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (tool() === "move" || event.button !== 0 || gesture) return;
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    gesture = { pointer: event.pointerId, act: tool() === "draw" ? beginStroke() : erase };
    gesture.act(pointsOf(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (gesture?.pointer === event.pointerId) gesture.act(pointsOf(event));
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(kind, (event) => {
      if (gesture?.pointer !== event.pointerId) return;
      gesture.act.end?.();
      gesture = null;
      store.keep();
    });
  }

  function beginStroke() {
    const { source, view } = store.get();
    const before = source.kind === "drawing" ? source.strokes : [];
    const first = before.length === 0;
    const { subject } = first ? drawing([]) : source;
    if (first) store.set({ view: disturbed(view) });
    let stroke = { width: Math.max(1, Math.round(width() / (first ? 1 : view.scale))), points: [] };
    const show = () => store.set({ source: drawing([...before, stroke], subject) });
    const act = (points) => {
      stroke = { ...stroke, points: extended(stroke.points, points) };
      show();
    };
    act.end = () => {
      stroke = simplify(stroke);
      show();
    };
    return act;
  }

  function erase(points) {
    const { source } = store.get();
    if (source.kind !== "drawing") return;
    const strokes = source.strokes.filter((stroke) => !points.some((point) => touches(stroke, point)));
    if (strokes.length < source.strokes.length) store.set({ source: drawing(strokes, source.subject) });
  }

  new ResizeObserver(() => (frame ||= requestAnimationFrame(paint))).observe(canvas);
  return {
    update(state, size) {
      cells = size;
      canvas.ariaLabel = describe(state);
      frame ||= requestAnimationFrame(paint);
    },
  };
}

/** A first stroke lies as it is drawn; what disturbs it stays. */
function disturbed({ noise, clutter, seed }) {
  return { ...STRAIGHT, noise, clutter, seed };
}

function extended(points, more) {
  const all = [...points];
  for (const [x, y] of more) {
    const [lastX, lastY] = all.slice(-2);
    if (!all.length || Math.hypot(x - lastX, y - lastY) >= NEAREST) all.push(x, y);
  }
  return all;
}

function touches({ width, points }, [x, y]) {
  const reach = width / 2 + 12;
  if (points.length === 2) return Math.hypot(points[0] - x, points[1] - y) <= reach;
  for (let at = 0; at < points.length - 2; at += 2) {
    if (fromSegment(x, y, ...points.slice(at, at + 4)) <= reach) return true;
  }
  return false;
}

function describe(state) {
  if (isEmpty(state)) return "Pad: nothing is on it. Draw a number here, or take one from the gallery";
  const { source } = state;
  if (source.kind === "picture") return `Pad: the picture ${source.file.name}`;
  const count = source.strokes.length;
  return `Pad: a drawing of ${count} stroke${count === 1 ? "" : "s"}`;
}
