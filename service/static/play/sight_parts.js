/** The elements of "What the network saw". */

import { element, svgElement } from "../dom.js";

const NUMBERS = [1, 2, 3, 4];

/** Fill `root`, and return what is drawn on, by name. */
export function buildSight(root, onReset) {
  const parts = {
    inputSize: element("span", { className: "size" }),
    outputSize: element("span", { className: "size" }),
    picture: element("canvas", { className: "sight-picture", role: "img", ariaLabel: "The network’s input: nothing yet", width: 1, height: 1 }),
    grid: element("canvas", { className: "sight-grid", ariaHidden: "true" }),
    shade: svgElement("path", { class: "shade", "fill-rule": "evenodd" }),
    halo: svgElement("polygon", { class: "halo" }),
    curves: svgElement("path", { class: "curves" }),
    edge: svgElement("polygon", { class: "edge" }),
    inside: svgElement("polygon", { class: "inside" }),
    mark: svgElement("polygon", { class: "mark" }),
    reset: element("button", { type: "button", className: "sight-reset", disabled: true }, "Back to the network’s own"),
    hint: element("p", { className: "legend" }),
    told: element("output", { className: "unseen" }),
    transformed: element("img", { alt: "" }),
  };
  parts.reset.addEventListener("click", onReset);
  const { shade, halo, curves, edge, inside, mark } = parts;
  const lines = [shade, halo, curves, edge, inside, mark];
  parts.lines = svgElement("svg", { class: "sight-lines", "aria-hidden": "true" }, lines);
  parts.stage = element("div", { className: "stage sight-stage" }, parts.picture, parts.grid, parts.lines);
  const numbers = NUMBERS.map((number) => element("span", { className: `sight-number at-${number}`, ariaHidden: "true" }, number));
  parts.frame = element("div", { className: "sight-frame", hidden: true }, parts.transformed, ...numbers);
  parts.root = root;
  root.classList.add("sight");
  root.replaceChildren(
    element(
      "figure",
      {},
      element("figcaption", {}, element("b", {}, "Input"), " ", parts.inputSize, parts.reset),
      parts.stage,
      parts.hint,
      parts.told,
    ),
    element(
      "figure",
      {},
      element("figcaption", {}, element("b", {}, "Transformed"), " ", parts.outputSize),
      element("div", { className: "stage" }, parts.frame),
      element("p", { className: "legend" }, "What the class layers see"),
    ),
  );
  return parts;
}
