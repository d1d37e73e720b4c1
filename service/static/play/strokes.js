/**
 * Strokes: as few points as show the same line, and as few bytes as hold them.
 *
 * A stroke is `{width, points}` with `points` as x, y, x, y, ... in whole units of the pad.
 */

const MOST_STROKES = 400;
const MOST_POINTS = 20000;
const WIDEST = 512;
const FURTHEST = 8192;
/** How far, in units of the pad, a point that is left out may lie from the line. */
const TOLERANCE = 2.5;

/** The stroke without points that lie on the line between others (Douglas and Peucker). */
export function simplify({ width, points }) {
  const kept = new Set([0, points.length - 2]);
  const spans = [[0, points.length - 2]];
  while (spans.length) {
    const [first, last] = spans.pop();
    const [furthest, distance] = furthestFrom(points, first, last);
    if (distance <= TOLERANCE) continue;
    kept.add(furthest);
    spans.push([first, furthest], [furthest, last]);
  }
  return { width, points: [...kept].sort((a, b) => a - b).flatMap((at) => [points[at], points[at + 1]]) };
}

function furthestFrom(points, first, last) {
  let [furthest, most] = [first, 0];
  const ends = [first, last].flatMap((at) => [points[at], points[at + 1]]);
  for (let at = first + 2; at < last; at += 2) {
    const distance = fromSegment(points[at], points[at + 1], ...ends);
    if (distance > most) [furthest, most] = [at, distance];
  }
  return [furthest, most];
}

/** The distance of (x, y) from the line between two points. */
export function fromSegment(x, y, x1, y1, x2, y2) {
  const [dx, dy] = [x2 - x1, y2 - y1];
  const along = Math.max(0, Math.min(1, ((x - x1) * dx + (y - y1) * dy) / (dx * dx + dy * dy || 1)));
  return Math.hypot(x1 + along * dx - x, y1 + along * dy - y);
}

/** Of each stroke: width, number of points, and the step to each point from the one before, of few bytes if short. */
export function packStrokes(strokes) {
  const bytes = [];
  const write = (number) => {
    while (number > 127) {
      bytes.push((number & 127) | 128);
      number >>>= 7;
    }
    bytes.push(number);
  };
  const before = [0, 0];
  for (const { width, points } of strokes) {
    write(width);
    write(points.length / 2);
    points.forEach((value, index) => {
      const step = value - before[index % 2];
      write(step < 0 ? -2 * step - 1 : 2 * step);
      before[index % 2] = value;
    });
  }
  return Uint8Array.from(bytes);
}

/** The strokes in these bytes; a RangeError where there are none such. */
export function unpackStrokes(bytes) {
  const read = reader(bytes);
  const strokes = [];
  const at = [0, 0];
  while (!read.ended()) {
    const width = within(read(), 1, WIDEST);
    const count = within(read(), 1, MOST_POINTS);
    const points = Array.from({ length: 2 * count }, (_, index) => {
      const step = read();
      at[index % 2] += step % 2 ? -(step + 1) / 2 : step / 2;
      return within(at[index % 2], -FURTHEST, FURTHEST);
    });
    strokes.push({ width, points });
  }
  within(strokes.length, 0, MOST_STROKES);
  return strokes;
}

function reader(bytes) {
  let place = 0;
  function read() {
    let number = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      if (place === bytes.length) break;
      const byte = bytes[place++];
      number |= (byte & 127) << shift;
      if (byte < 128) return number;
    }
    throw new RangeError("the strokes end too early");
  }
  read.ended = () => place === bytes.length;
  return read;
}

function within(number, least, most) {
  if (number < least || number > most) throw new RangeError(`${number} lies outside ${least} to ${most}`);
  return number;
}
