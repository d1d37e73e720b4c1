/** Sliders that turn, move and disturb what is on the pad. */

import { button, byId, h } from "../dom.js";
import { changed, isStraight } from "./pose.js";
import { STRAIGHT } from "./state.js";

const degrees = (value) => `${Math.round(value)}°`.replace("-", "−");
const hundredths = (value) => `${Math.round(100 * value)}\u00a0%`.replace("-", "−");
const times = (value) => `${value.toFixed(2)}×`;
const pieces = (value) => String(value);

const SLIDERS = [
  ["angle", "Rotate", -180, 180, 1, degrees],
  ["scale", "Scale", 0.2, 2, 0.01, times],
  ["shear", "Shear", -1, 1, 0.01, hundredths],
  ["x", "Shift right", -0.5, 0.5, 0.005, hundredths],
  ["y", "Shift down", -0.5, 0.5, 0.005, hundredths],
  ["noise", "Noise", 0, 1, 0.01, hundredths],
  ["clutter", "Clutter", 0, 16, 1, pieces],
];

export function createSliders(store) {
  const rows = SLIDERS.map(([name, label, least, most, step, words]) => {
    const range = h("input", { type: "range", id: `view-${name}`, min: least, max: most, step });
    const output = h("output", { htmlFor: range.id });
    range.addEventListener("input", () => {
      const { view, source } = store.get();
      store.set({ view: changed(view, { [name]: Number(range.value) }, source) });
    });
    range.addEventListener("change", store.keep);
    return { name, range, output, words, row: h("div", h("label", { htmlFor: range.id }, label), range, output) };
  });
  /** A button that is a step of its own. */
  const step = (text, viewOf) =>
    button(text, () => {
      store.set({ view: viewOf(store.get()) });
      store.keep();
    });
  const invert = h("input", { type: "checkbox", id: "view-invert" });
  invert.addEventListener("change", () => {
    store.set({ view: { ...store.get().view, invert: Number(invert.checked) } });
    store.keep();
  });
  const inverted = h("label.check", invert, "Dark ink on light paper");
  const straighten = step("Reset", () => STRAIGHT);
  const shake = step("Shake", shaken);
  byId("sliders").replaceChildren(...rows.map(({ row }) => row), h("div.buttons", shake, straighten, inverted));

  return {
    update({ view, source }) {
      const unseen = source.kind === "picture" && !source.image;
      for (const { name, range, output, words } of rows) {
        if (Number(range.value) !== view[name]) range.value = view[name];
        range.disabled = unseen;
        range.ariaValueText = output.textContent = words(view[name]);
      }
      inverted.hidden = source.kind !== "picture" || unseen;
      invert.checked = view.invert === 1;
      straighten.ariaDisabled = String(isStraight(view));
      shake.disabled = unseen;
    },
  };
}

/** Another way to lie, by chance. */
function shaken({ view, source }) {
  const between = (least, most) => least + Math.random() * (most - least);
  const changes = {
    angle: Math.round(between(-45, 45)),
    scale: Number(between(0.5, 1).toFixed(2)),
    shear: Number(between(-0.3, 0.3).toFixed(2)),
    x: Number(between(-0.2, 0.2).toFixed(2)),
    y: Number(between(-0.2, 0.2).toFixed(2)),
    seed: Math.floor(between(1, 1e6)),
  };
  return changed({ ...STRAIGHT, noise: view.noise, clutter: view.clutter, invert: view.invert }, changes, source);
}
