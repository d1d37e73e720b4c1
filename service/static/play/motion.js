/** A matrix in words: what it does to the picture, as it is seen. */

/**
 * Pairs of name and text, e.g. ["Turned", "9.8° clockwise"].
 *
 * `matrix` holds the rows [A | t] of p_in = A p_out + t in normalised coordinates; `input`, `output` and `picture` are
 * `[width, height]` of the network's input, of the transformed picture and of the posted one.
 */
export function describeMotion(matrix, outline, { input, output, picture }) {
  const { angle, zoom, stretch, mirrored } = decompose(inPixels(matrix, input, output));
  const relative = zoom * Math.sqrt((input[0] * input[1]) / (output[0] * output[1]));
  return [
    ["Turned", turn(angle) + (mirrored ? ", then mirrored" : "")],
    ["Zoomed", Number.isFinite(relative) ? `${relative.toFixed(2)}×` : "to a line or a point"],
    ["Stretched", stretch < 1.005 ? "not at all" : Number.isFinite(stretch) ? `${stretch.toFixed(2)} : 1` : "to a line"],
    ["Centre", offset(outline, picture)],
  ];
}

/** A between pixels: normalised coordinates stretch pictures that are not square. */
function inPixels([[a, b], [c, d]], [inWidth, inHeight], [outWidth, outHeight]) {
  return [
    [(a * inWidth) / outWidth, (b * inWidth) / outHeight],
    [(c * inHeight) / outWidth, (d * inHeight) / outHeight],
  ];
}

/**
 * A = R(angle) S with S symmetric: the rotation nearest to A, and how uneven the rest is.
 * A positive angle turns the picture anticlockwise. A mirrored picture is mirrored back first.
 */
function decompose([[a, b], [c, d]]) {
  const determinant = a * d - b * c;
  const mirrored = determinant < 0;
  if (mirrored) [a, c] = [-a, -c];
  // The singular values are (sum ± difference) / 2.
  const sum = Math.hypot(a + d, c - b);
  const difference = Math.hypot(a - d, b + c);
  return {
    angle: Math.atan2(c - b, a + d),
    zoom: 1 / Math.sqrt(Math.abs(determinant)),
    stretch: (sum + difference) / Math.abs(sum - difference),
    mirrored,
  };
}

function turn(angle) {
  const degrees = ((Math.abs(angle) * 180) / Math.PI).toFixed(1);
  return degrees === "0.0" ? "not at all" : `${degrees}° ${angle > 0 ? "anticlockwise" : "clockwise"}`;
}

/** Where the middle of the sampled region lies, in pixels of the posted picture. */
function offset(outline, [width, height]) {
  const mean = (axis) => outline.reduce((sum, point) => sum + point[axis], 0) / outline.length;
  const across = step(mean(0) - width / 2, "left", "right");
  const along = step(mean(1) - height / 2, "up", "down");
  return [across, along].filter(Boolean).join(", ") || "in the middle";
}

function step(pixels, before, after) {
  const distance = Math.abs(pixels).toFixed(1);
  return distance === "0.0" ? "" : `${distance} px ${pixels < 0 ? before : after}`;
}
