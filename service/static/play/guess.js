/** First guess, second guess, and a bar for each class. */

import { byId, h } from "../dom.js";

/** A guess less probable than this is none. */
const SURE = 0.5;
const MOST_BARS = 20;
const BARS_OF_MANY = 10;
/** The guess is said aloud once it has stood for so many milliseconds: not at every movement. */
const PAUSE = 700;

let rows = new Map();
let saying = 0;

/** The classes of a prediction by falling probability: `[[name, probability], ...]`. */
export function ranked({ probabilities }) {
  return Object.entries(probabilities).sort(([, a], [, b]) => b - a);
}

export function showGuess(prediction, classNames) {
  const [[first, most], [second, less] = []] = ranked(prediction);
  const sure = most >= SURE;
  const big = sure ? h(first.length > 4 ? "p.class.long" : "p.class", first) : notSure();
  const unsure = `at best ${first}, ${percent(most)}: less than ${percent(SURE, 0)}`;
  const line = h("p.probability", sure ? `${percent(most)} probability` : unsure);
  const other = h("p.probability.runner-up");
  if (second !== undefined) other.append("Second guess: ", h("b", second), `, ${percent(less)}`);
  byId("headline").replaceChildren(big, line, other);
  byId("headline").dataset.first = first;
  byId("headline").dataset.second = second ?? "";
  showBars(prediction.probabilities, classNames, sure ? first : null);
  say([big, line, other].map((part) => part.textContent).filter(Boolean).join(". "));
}

/** There is nothing to guess from. */
export function showNotSure(classNames) {
  byId("headline").replaceChildren(notSure(), h("p.probability", "Nothing is on the pad."));
  showBars(null, classNames, null);
  say("");
}

/** What went wrong, in the place of the guess. */
export function showFailure(name, message, classNames) {
  const title = name ? [h("p.failed", name)] : [];
  byId("headline").replaceChildren(...title, h("p.reason", message));
  showBars(null, classNames, null);
  say(message);
}

const notSure = () => h("p.class.unsure", "Not sure");

export function percent(probability, digits = 1) {
  if (probability >= 0.9995 && probability < 1) return ">99.9\u00a0%";
  if (probability < 0.0005 && probability > 0) return "<0.1\u00a0%";
  return `${(100 * probability).toFixed(digits)}\u00a0%`;
}

function say(text) {
  clearTimeout(saying);
  saying = setTimeout(() => {
    if (byId("said").textContent !== text) byId("said").textContent = text;
  }, PAUSE);
}

/** All bars, or the most probable of many. The order comes from `classNames`: an object puts names like "10" first. */
function showBars(probabilities, classNames, best) {
  const many = classNames.length > MOST_BARS;
  const names = many ? mostProbable(probabilities, classNames) : classNames;
  if (names.join("\n") !== [...rows.keys()].join("\n")) {
    rows = new Map(names.map((name) => [name, bar(name)]));
    byId("bars").replaceChildren(...Array.from(rows.values(), ({ row }) => row));
  }
  for (const [name, { row, fill, value }] of rows) {
    const probability = probabilities?.[name];
    row.className = name === best ? "best" : "";
    fill.hidden = probability === undefined;
    fill.style.width = `${100 * (probability ?? 0)}%`;
    value.textContent = probability === undefined ? "" : percent(probability);
    value.value = probability ?? "";
  }
  byId("bars-note").textContent = many
    ? `The ${BARS_OF_MANY} most probable of ${classNames.length.toLocaleString("en")} classes`
    : "";
}

function mostProbable(probabilities, classNames) {
  const names = probabilities ? classNames.toSorted((a, b) => probabilities[b] - probabilities[a]) : classNames;
  return names.slice(0, BARS_OF_MANY);
}

function bar(name) {
  const fill = h("span.fill");
  const value = h("data.value");
  const track = h("span.track", { ariaHidden: "true" }, fill);
  return { row: h("li", h("span.name", { title: name }, name), track, value), fill, value };
}
