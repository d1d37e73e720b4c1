/** Noise and clutter: the same seed gives the same again. */

import { GALLERY } from "./gallery.js";
import { SIDE } from "./state.js";

/** The side of a piece of clutter, in units of the pad: 6 of 42 pixels. */
const PIECE = Math.round(SIDE / 7);
/** The standard deviation of the strongest noise, where white is 255. */
const STRONGEST = 128;

/** Numbers from 0 to 1 (mulberry32). */
export function randomNumbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What is added to each of `count` pixels; normally distributed. */
export function noiseOf({ noise, seed }, count) {
  const random = randomNumbers(seed);
  return Float32Array.from({ length: count }, () => {
    const [radius, turn] = [Math.sqrt(-2 * Math.log(1 - random())), 2 * Math.PI * random()];
    return noise * STRONGEST * radius * Math.cos(turn);
  });
}

/** Add to pixels (RGBA) the noise of `cells` times `cells` squares that cover them. */
export function addNoise({ data, width, height }, noise, cells) {
  for (let y = 0; y < height; y++) {
    const row = Math.floor((y * cells) / height) * cells;
    for (let x = 0; x < width; x++) {
      const added = noise[row + Math.floor((x * cells) / width)];
      const at = 4 * (y * width + x);
      for (let channel = at; channel < at + 3; channel++) data[channel] += added; // bytes that are clamped
    }
  }
}

/** Pieces of digits of the gallery, each where it is cut and how far it is moved: `{strokes, from: [x, y], by: [x, y]}`. */
export function clutterOf({ clutter, seed }) {
  const random = randomNumbers(seed ^ 0x5bd1e995);
  const place = (extent) => Math.round(random() * (extent - PIECE));
  return Array.from({ length: clutter }, () => {
    const { strokes } = GALLERY[Math.floor(random() * GALLERY.length)];
    const from = onInk(strokes, random);
    const to = [place(SIDE), place(SIDE)];
    return { strokes, from, by: [to[0] - from[0], to[1] - from[1]], side: PIECE };
  });
}

/** A square around some point of a line: one cut anywhere would mostly be black. */
function onInk(strokes, random) {
  const { points } = strokes[Math.floor(random() * strokes.length)];
  const at = 2 * Math.floor((random() * points.length) / 2);
  return [points[at] - PIECE * random(), points[at + 1] - PIECE * random()].map(Math.round);
}
