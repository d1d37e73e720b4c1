/** The elements of "What the network saw". */

import { button, h, svgElement } from "../dom.js";

/** Fill `root`, and return what is drawn on, by name. */
export function buildSight(root, onReset) {
  const parts = {
    inputSize: h("span.size"),
    outputSize: h("span.size"),
    picture: h("canvas.sight-picture", { role: "img", ariaLabel: "The network’s input: nothing yet", width: 1, height: 1 }),
    grid: h("canvas.sight-grid", { ariaHidden: "true" }),
    shade: svgElement("path", { class: "shade", "fill-rule": "evenodd" }),
    halo: svgElement("polygon", { class: "halo" }),
    curves: svgElement("path", { class: "curves" }),
    edge: svgElement("polygon", { class: "edge" }),
    inside: svgElement("polygon", { class: "inside" }),
    mark: svgElement("polygon", { class: "mark" }),
    reset: button("Back to the network’s own", onReset, { className: "small sight-reset", disabled: true }),
    hint: h("p.legend"),
    told: h("output.unseen"),
    transformed: h("img", { alt: "" }),
  };
  const { shade, halo, curves, edge, inside, mark } = parts;
  const lines = [shade, halo, curves, edge, inside, mark];
  parts.lines = svgElement("svg", { class: "sight-lines", "aria-hidden": "true" }, lines);
  parts.stage = h("div.stage.sight-stage", parts.picture, parts.grid, parts.lines);
  const numbers = [1, 2, 3, 4].map((k) => h(`span.sight-number.at-${k}`, { ariaHidden: "true" }, k));
  parts.frame = h("div.sight-frame", { hidden: true }, parts.transformed, ...numbers);
  parts.root = root;
  root.classList.add("sight");
  root.dataset.state = "empty";
  root.replaceChildren(
    h("figure",
      h("figcaption", h("b", "Input"), " ", parts.inputSize, parts.reset),
      parts.stage,
      parts.hint,
      parts.told,
    ),
    h("figure",
      h("figcaption", h("b", "Transformed"), " ", parts.outputSize),
      h("div.stage", parts.frame),
      h("p.legend", "What the class layers see"),
    ),
  );
  return parts;
}
