/** Colours for numbers, evenly spaced to the eye (in OKLab), on a light page and on a dark one. */

const LEVELS = 256;

/** [lightness, chroma, hue in degrees] at equal distances, the page's own colour at zero. */
const STOPS = {
  sequential: {
    light: [[0.97, 0.01, 75], [0.84, 0.1, 70], [0.66, 0.19, 42], [0.44, 0.15, 20], [0.24, 0.07, 350]],
    dark: [[0.2, 0.02, 300], [0.36, 0.11, 350], [0.56, 0.18, 25], [0.76, 0.17, 60], [0.96, 0.09, 95]],
  },
  diverging: {
    light: [[0.36, 0.13, 260], [0.64, 0.14, 250], [0.97, 0.0, 250], [0.66, 0.17, 45], [0.4, 0.14, 35]],
    dark: [[0.88, 0.09, 225], [0.6, 0.16, 250], [0.22, 0.0, 250], [0.6, 0.18, 40], [0.9, 0.1, 75]],
  },
};
const GREYS = Uint8ClampedArray.from({ length: 3 * LEVELS }, (_, i) => Math.floor(i / 3));
const tables = new Map([["grey true", GREYS], ["grey false", GREYS]]);

/** 256 colours, three bytes each, from the least to the most. */
export function coloursOf(kind, dark) {
  const key = `${kind} ${dark}`;
  if (!tables.has(key)) tables.set(key, between(STOPS[kind][dark ? "dark" : "light"].map(toLab)));
  return tables.get(key);
}

/**
 * `{kind, low, high}` of the colours for values in a range `own`, of a layer with values in `all`: about zero where both
 * signs occur in it, so that a colour has the same sign in every tile, else from the least to the most.
 */
export function scaleOf(own, all) {
  if (all[0] >= 0 || all[1] <= 0) return { kind: "sequential", low: own[0], high: own[1] };
  const most = Math.max(-own[0], own[1]);
  return { kind: "diverging", low: -most, high: most };
}

/** The number of the colour of a value; one in the middle where all values are the same. */
export function levelOf(value, { kind, low, high }) {
  if (!(high > low)) return kind === "sequential" && low === 0 ? 0 : LEVELS / 2;
  return Math.max(0, Math.min(LEVELS - 1, Math.round(((value - low) / (high - low)) * (LEVELS - 1))));
}

function between(stops) {
  const table = new Uint8ClampedArray(3 * LEVELS);
  for (let level = 0; level < LEVELS; level++) {
    const place = (level / (LEVELS - 1)) * (stops.length - 1);
    const k = Math.min(Math.floor(place), stops.length - 2);
    const lab = stops[k].map((value, axis) => value + (place - k) * (stops[k + 1][axis] - value));
    table.set(toBytes(lab), 3 * level);
  }
  return table;
}

function toLab([lightness, chroma, hue]) {
  const angle = (hue * Math.PI) / 180;
  return [lightness, chroma * Math.cos(angle), chroma * Math.sin(angle)];
}

/** Björn Ottosson's OKLab, 2020. */
function toBytes([lightness, a, b]) {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ].map((value) => 255 * (value <= 0.0031308 ? 12.92 * Math.max(value, 0) : 1.055 * value ** (1 / 2.4) - 0.055));
}
