/** Where the time of an answer went. */

import { byId, h } from "../dom.js";

const STAGES = ["decode", "queue", "batch", "infer", "encode", "round trip"];

export function showTiming(timing) {
  const known = STAGES.filter((name) => timing?.[name] !== undefined);
  byId("timing").replaceChildren(
    ...known.map((name) => h("span", `${name === "infer" ? "inference" : name} `, h("b", milliseconds(timing[name])))),
  );
}

function milliseconds(value) {
  return `${value < 10 ? value.toFixed(2) : Math.round(value)} ms`;
}
