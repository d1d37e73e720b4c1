/** Answers side by side: the network's own, with theta by hand, without the transformer, of another model. */

import { element } from "../dom.js";

const CRISP_UP_TO = 256;

/** Fill `root`; `update([{title, prediction, info}])` shows them, a null prediction as a place that is still empty. */
export function createComparison(root) {
  const list = element("ol", { className: "comparison" });
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
  const title = element("h3", {});
  const image = element("img", { alt: "", hidden: true });
  const guesses = [guess("first"), guess("second")];
  const root = element("li", {}, title, element("div", { className: "stage" }, image), ...guesses.map(({ row }) => row));
  return { root, title, image, guesses };
}

function guess(className) {
  const [name, fill, value] = ["name", "fill", "value"].map((part) => element("span", { className: part }));
  const row = element("p", { className: `guess ${className}` }, name, element("span", { className: "track", ariaHidden: "true" }, fill), value);
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
  const best = mostProbable(prediction?.probabilities ?? {});
  guesses.forEach(({ row, name, fill, value }, k) => {
    const [label, probability] = best[k] ?? ["", null];
    name.textContent = label;
    name.title = label;
    fill.style.width = `${100 * (probability ?? 0)}%`;
    value.textContent = probability === null ? "" : percent(probability);
  });
  root.classList.toggle("waiting", !prediction);
}

function mostProbable(probabilities) {
  return Object.entries(probabilities).sort((a, b) => b[1] - a[1]).slice(0, 2);
}

function percent(probability) {
  if (probability >= 0.9995 && probability < 1) return ">99.9%";
  if (probability < 0.0005 && probability > 0) return "<0.1%";
  return `${(100 * probability).toFixed(1)}%`;
}
