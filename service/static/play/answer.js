/** The answer in words and numbers: class, probabilities, theta. */

import { byId, element } from "../dom.js";
import { describeMotion } from "./motion.js";

const MOST_BARS = 20;
const BARS_OF_MANY = 10;
const THETA_NOTE =
  "Theta maps points of the transformed picture to points of the input, A p + t where it is a matrix. " +
  "−1 and 1 are the outer edges of a picture.";

/** Class, its probability, and a bar for each class in the model's order. */
export function showClass(prediction, classNames) {
  const name = prediction.class;
  showHeadline(
    element("p", { className: name.length > 4 ? "class long" : "class" }, name),
    element("p", { className: "probability" }, `${percent(prediction.probability)} probability`),
  );
  showBars(prediction.probabilities, classNames, name);
}

/** Nothing is known yet: the classes of the model, each with an empty bar. */
export function showNoClass(classNames) {
  showHeadline(element("p", { className: "quiet" }, "Choose a picture to see its class."));
  showBars(null, classNames, null);
}

/** What went wrong with this file, in the place of its class. */
export function showFailure(name, message, classNames) {
  showHeadline(element("p", { className: "failed" }, name), element("p", { className: "reason" }, message));
  showBars(null, classNames, null);
}

/** theta by name, as a matrix, and in words; `sizes` are those of input and output, `[width, height]` each. */
export function showTheta(prediction, sizes) {
  const { theta } = prediction;
  byId("transform").hidden = false;
  byId("transform-name").textContent = theta?.transform ?? "";
  byId("theta").replaceChildren(...(theta ? thetaBlocks(prediction, sizes) : []));
  byId("theta-note").textContent = theta ? THETA_NOTE : "This model has no transformer: it sees the whole picture.";
}

export function hideTheta() {
  byId("transform").hidden = true;
}

function showHeadline(...children) {
  byId("headline").replaceChildren(...children);
}

/** All bars, or the most probable of many. The order comes from `classNames`: an object puts names like "10" first. */
function showBars(probabilities, classNames, best) {
  const many = classNames.length > MOST_BARS;
  const shown = many ? mostProbable(probabilities, classNames) : classNames;
  byId("bars").replaceChildren(...shown.map((name) => bar(name, probabilities?.[name], name === best)));
  byId("bars-note").textContent = many
    ? `The ${BARS_OF_MANY} most probable of ${classNames.length.toLocaleString("en")} classes`
    : "";
}

function mostProbable(probabilities, classNames) {
  const names = probabilities ? classNames.toSorted((a, b) => probabilities[b] - probabilities[a]) : classNames;
  return names.slice(0, BARS_OF_MANY);
}

function bar(name, probability, best) {
  const fill = element("span", { className: "fill" });
  fill.style.width = `${100 * (probability ?? 0)}%`;
  const value = probability === undefined ? "" : percent(probability);
  return element(
    "li",
    { className: best ? "best" : "" },
    element("span", { className: "name", title: name }, name),
    element("span", { className: "track", ariaHidden: "true" }, fill),
    element("data", { className: "value", value: probability ?? "" }, value),
  );
}

function thetaBlocks({ theta, outline, width, height }, sizes) {
  const parameters = Object.entries(theta.parameters).map(([name, value]) => [name, number(value)]);
  const blocks = [block("Parameters", pairs(parameters, "numbers"))];
  if (theta.matrix?.length === 3) blocks.push(block("Matrix, then divided by its third row", matrix(theta.matrix)));
  if (theta.matrix?.length === 2) {
    const words = describeMotion(theta.matrix, outline, { picture: [width, height], ...sizes });
    blocks.unshift(block("In words", pairs(words, "words")));
    blocks.push(block("Matrix [A | t]", matrix(theta.matrix)));
  }
  return blocks;
}

function block(title, content) {
  return element("div", {}, element("h3", {}, title), content);
}

function pairs(entries, className) {
  const rows = entries.map(([name, value]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, value)),
  );
  return element("dl", { className }, ...rows);
}

function matrix(rows) {
  const body = rows.map((row) => element("tr", {}, ...row.map((value) => element("td", {}, number(value)))));
  return element("table", { className: "matrix" }, element("tbody", {}, ...body));
}

function number(value) {
  return element("data", { value }, value.toFixed(4).replace("-", "−"));
}

function percent(probability) {
  if (probability >= 0.9995 && probability < 1) return ">99.9%";
  if (probability < 0.0005 && probability > 0) return "<0.1%";
  return `${(100 * probability).toFixed(1)}%`;
}
