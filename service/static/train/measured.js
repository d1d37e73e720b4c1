/** What a measurement of invariance has found: in which range of each movement the model keeps its accuracy, and the curves. */

import { ask } from "../api.js";
import { h } from "../dom.js";
import { scrolls, table } from "./html.js";
import { addressOf } from "./tellings.js";

const SHARES = ["0.99", "0.95", "0.9"];
const ALIGNMENTS = ["model", "held", "identity", "perfect"];
const number = (value) => Number(value.toPrecision(2)).toLocaleString("en");
const range = ([low, high]) => (low < high ? `${number(low)} to ${number(high)}` : "without");
const kept = (found) => (found ? range([found.low, found.high]) : "nowhere");

/** Fill `place` with what stands beside this report. */
export async function showMeasured(place, report, signal) {
  const file = (name) => report.replace(/index\.html$/, name);
  const { movements } = await ask(file("invariance.json"), { signal });
  const names = ["Movement", "Trained", "Keeps 99 %", "95 %", "90 %", "Spread, pixels", "theta held", "none", "best"];
  const rows = movements.map(({ name, unit, trained, kept: shares, spread }) => [
    `${name}, ${unit}`, trained ? range(trained) : "–", ...SHARES.map((share) => kept(shares[share])),
    ...ALIGNMENTS.map((which) => spread[which].mean.toFixed(1)),
  ]);
  const alt = "Accuracy, agreement and alignment over the size of each movement; the report has all of it in words.";
  const curves = h("img", { alt, loading: "lazy", onerror: () => curves.remove() }); // there are none without matplotlib
  place.replaceChildren(scrolls("What was found", table(names, rows)), curves);
  curves.src = await addressOf(file("curves.png"), signal);
}
