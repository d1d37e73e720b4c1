/** What one drags a region by: a button per corner or control point, one for all of it, and the region itself. */

import { h } from "../dom.js";

const NAMES = ["upper left", "upper right", "lower right", "lower left"];
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
export const ALL = -1;

/**
 * Buttons on a stage. `onMove(index, point)` says where one was dragged to, in pixels of the picture, `ALL` for the middle
 * of the region; `onStart` and `onEnd` surround a drag. An arrow key moves by `step()` pixels, with Shift by ten times.
 */
export function createCorners(stage, inside, { onStart, onMove, onEnd, step }) {
  const middle = h("button.sight-handle.middle", { type: "button" });
  const buttons = [];
  let points = [];
  let view = { left: 0, top: 0, side: 1 };
  listen(middle, () => ALL);
  listen(inside, () => ALL);

  function listen(target, indexOf) {
    target.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      event.preventDefault();
      target.focus?.({ focusVisible: false });
      target.setPointerCapture(event.pointerId);
      follow(target, event, indexOf());
    });
    target.addEventListener("keydown", (event) => press(event, indexOf()));
  }

  function follow(target, start, index) {
    const [x, y] = place(index);
    const scale = view.side / stage.clientWidth;
    const move = ({ clientX, clientY }) =>
      onMove(index, [x + (clientX - start.clientX) * scale, y + (clientY - start.clientY) * scale]);
    const listeners = new AbortController();
    const end = () => {
      listeners.abort();
      onEnd();
    };
    onStart();
    target.addEventListener("pointermove", move, listeners);
    for (const name of ["pointerup", "pointercancel"]) target.addEventListener(name, end, listeners);
  }

  function press(event, index) {
    if (!(event.key in KEYS) || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const [x, y] = place(index);
    const far = step() * (event.shiftKey ? 10 : 1);
    onMove(index, [x + KEYS[event.key][0] * far, y + KEYS[event.key][1] * far]);
  }

  function place(index) {
    return index === ALL ? mean(points) : points[index];
  }

  /**
   * Lay the buttons over these points of the picture, of which `view` shows a part; `numbered` are the places of the
   * four corners among them. Without these there is only the button for all.
   */
  function show(wanted, shownPart, numbered) {
    [points, view] = [wanted, shownPart];
    const count = numbered ? points.length : 0;
    while (buttons.length > count) buttons.pop().remove();
    while (buttons.length < count) {
      const [index, button] = [buttons.length, h("button", { type: "button" })];
      listen(button, () => index);
      buttons.push(button);
      stage.append(button);
    }
    middle.hidden = points.length === 0;
    if (!points.length) return;
    if (!middle.isConnected) stage.append(middle);
    const centre = mean(points);
    lay(middle, centre);
    middle.ariaLabel = `Move the whole region, its middle is at ${told(centre)}`;
    buttons.forEach((button, k) => showOne(button, k, centre, numbered.indexOf(k)));
  }

  function showOne(button, k, [x, y], corner) {
    button.className = corner < 0 ? "sight-handle" : "sight-handle corner";
    button.dataset.number = corner + 1;
    const name = corner < 0 ? `Control point ${k + 1}` : `Corner ${corner + 1}, ${NAMES[corner]}`;
    button.ariaLabel = `${name}, at ${told(points[k])}`;
    const [dx, dy] = [points[k][0] - x, points[k][1] - y];
    const far = Math.hypot(dx, dy) || 1;
    button.style.setProperty("--x", dx / far); // the number stands outside the region
    button.style.setProperty("--y", dy / far);
    lay(button, points[k]);
  }

  function lay(button, [x, y]) {
    button.style.left = `${(100 * (x - view.left)) / view.side}%`;
    button.style.top = `${(100 * (y - view.top)) / view.side}%`;
  }

  return { show };
}

export function mean(points) {
  return [0, 1].map((axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length);
}

function told([x, y]) {
  return `${x.toFixed(1)}, ${y.toFixed(1)}`.replaceAll("-", "−");
}
