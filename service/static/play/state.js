/**
 * What is shown, in one place, and what can be undone of it.
 *
 * A state is never changed: `set` replaces it by one with some fields of its own. A drawing is its strokes, in units of the
 * pad, whose side has `SIDE`: they are drawn anew whenever the view turns, so that nothing is lost.
 */

/** The side of the pad; strokes have whole coordinates. */
export const SIDE = 1024;

/**
 * How the drawing lies on the pad: turned by `angle` degrees clockwise, made larger by `scale` and slanted by `shear` around
 * `pivot`, then moved by `x` and `y`, parts of the pad's side. Noise and clutter follow from `seed`. With `invert` 1
 * a picture's dark ink becomes white, its paper black.
 */
export const STRAIGHT = Object.freeze({
  angle: 0, scale: 1, shear: 0, x: 0, y: 0, noise: 0, clutter: 0, seed: 1, invert: 0,
  pivot: Object.freeze([SIDE / 2, SIDE / 2]),
});

let subjects = 0;

/** A drawing of these strokes, `{width, points: [x, y, x, y, ...]}` each: another one, or one that goes on (`subject`). */
export function drawing(strokes, subject = ++subjects) {
  return Object.freeze({ kind: "drawing", strokes, subject });
}

/** A picture: its file, the decoded image (null where this browser has none) and a small copy for links, or null. */
export function picture(file, image, copy) {
  return Object.freeze({ kind: "picture", file, image, copy, subject: ++subjects });
}

export const EMPTY = Object.freeze({
  /** A `drawing` or a `picture`. */
  source: drawing(Object.freeze([])),
  view: STRAIGHT,
  /** `{name, version}`; null for the default one. */
  model: null,
  /** Another one beside it. */
  second: null,
  /** Numbers in the order of the model's parameters, "identity", or null for the network's own. */
  theta: null,
  compare: false,
  grid: false,
  /** Whether the layers are open. */
  inside: false,
  /** Names of the layers whose activations are shown. */
  layers: Object.freeze([]),
  colours: "local",
});

export function isEmpty({ source }) {
  return source.kind === "drawing" && source.strokes.length === 0;
}

/** `get`, `set(changes)`, `subscribe(listener)`; `keep`, `undo`, `redo` of the drawing and how it lies. */
export function createStore(initial = EMPTY) {
  let state = initial;
  let kept = drawingOf(state);
  let past = [];
  let future = [];
  const listeners = new Set();

  function set(changes) {
    const before = state;
    state = Object.freeze({ ...state, ...changes });
    tell(before);
  }

  function tell(before) {
    for (const listener of listeners) listener(state, before);
  }

  /** What is on the pad now is a step of its own: `undo` leads back to what was at the last step. */
  function keep() {
    const now = drawingOf(state);
    if (now.source === kept.source && now.view === kept.view) return;
    past.push(kept);
    future = [];
    kept = now;
    tell(state);
  }

  function step(from, to) {
    keep();
    if (!from().length) return;
    to().push(kept);
    kept = from().pop();
    set({ source: kept.source, view: kept.view });
  }

  return {
    get: () => state,
    set,
    keep,
    undo: () => step(() => past, () => future),
    redo: () => step(() => future, () => past),
    canUndo: () => past.length > 0,
    canRedo: () => future.length > 0,
    subscribe: (listener) => listeners.add(listener),
  };
}

function drawingOf({ source, view }) {
  return { source, view };
}
