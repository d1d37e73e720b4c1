/** Answers side by side: the network's own, with theta by hand, without the transformer, of another model. */

import { h } from "../dom.js";
import { percent, ranked } from "./guess.js";

const CRISP_UP_TO = 256;

/** Fill `root`; `update([{title, prediction, info}])` shows them, a null prediction as a place that is still empty. */
export function createComparison(root) {
  const list = h("ol.comparison");
  const items = [];
  root.replaceChildren(list);
  function update(answers) {
    while (items.length > answers.length) items.pop().root.remove();
    while (items.length < answers.length) {
      items.push(build());
      list.append(items.at(-1).root);
    }
    answers.forEach((answer, k) => show(items[k], answer));
  }
  return { update };
}

function build() {
  const title = h("h3");
  const image = h("img", { alt: "", hidden: true });
  const guesses = [guess("first"), guess("second")];
  const root = h("li", title, h("div.stage", image), ...guesses.map(({ row }) => row));
  return { root, title, image, guesses };
}

function guess(className) {
  const [name, fill, value] = ["name", "fill", "value"].map((part) => h(`span.${part}`));
  const row = h(`p.guess.${className}`, name, h("span.track", { ariaHidden: "true" }, fill), value);
  return { row, name, fill, value };
}

function show({ root, title, image, guesses }, { title: text, prediction, info }) {
  title.textContent = text;
  image.hidden = !prediction?.transformed;
  if (prediction?.transformed) {
    if (image.src !== prediction.transformed) image.src = prediction.transformed;
    image.alt = `What the class layers see: ${text}`;
    image.classList.toggle("crisp", Math.max(info.width, info.height) <= CRISP_UP_TO);
  }
  const best = prediction ? ranked(prediction) : [];
  guesses.forEach(({ row, name, fill, value }, k) => {
    const [label, probability] = best[k] ?? ["", null];
    name.textContent = label;
    name.title = label;
    fill.style.width = `${100 * (probability ?? 0)}%`;
    value.textContent = probability === null ? "" : percent(probability);
  });
  root.classList.toggle("waiting", !prediction);
}
