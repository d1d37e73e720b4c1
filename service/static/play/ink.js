/** Dark ink on light paper, as white on black. */

/** Of all pixels, so many are darker than what counts as ink, and than what counts as paper. */
const [INK, PAPER] = [0.01, 0.4];
const LEAST_CONTRAST = 32;

/** Change these pixels (RGBA): paper becomes black, ink white, whatever the light was. */
export function toInk(data) {
  const levels = new Uint32Array(256);
  const count = data.length / 4;
  for (let at = 0; at < data.length; at += 4) levels[brightness(data, at)]++;
  const [ink, paper] = [INK, PAPER].map((share) => levelBelow(levels, share * count));
  const range = Math.max(paper - ink, LEAST_CONTRAST);
  for (let at = 0; at < data.length; at += 4) {
    // Paper is uneven: a fifth of the range counts as none of it.
    const value = 255 * (1.25 * ((paper - brightness(data, at)) / range) - 0.25);
    data[at] = data[at + 1] = data[at + 2] = value; // bytes that are clamped
    data[at + 3] = 255;
  }
}

/** Whether a picture is mostly light, as paper is. */
export function isPaper({ data }) {
  let sum = 0;
  for (let at = 0; at < data.length; at += 4) sum += brightness(data, at);
  return sum > (128 * data.length) / 4;
}

function brightness(data, at) {
  return Math.round(0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2]);
}

function levelBelow(levels, count) {
  let sum = 0;
  return levels.findIndex((number) => (sum += number) > count);
}
