/** Where the time of an answer went. */

import { byId, element } from "../dom.js";

const STAGES = { decode: "decode", queue: "queue", batch: "batch", infer: "inference", encode: "encode", "round trip": "round trip" };

export function showTiming(timing) {
  const known = Object.entries(STAGES).filter(([name]) => timing?.[name] !== undefined);
  byId("timing").replaceChildren(
    ...known.map(([name, words]) => element("span", {}, `${words} `, element("b", {}, milliseconds(timing[name])))),
  );
}

function milliseconds(value) {
  return `${value < 10 ? value.toFixed(2) : Math.round(value)} ms`;
}
