/** Where the posted picture lies in the network's input, which is made of it: padded, cropped or stretched. */

/**
 * `{half, centre}` of the input in pixels of the picture: the input's point p, in [−1, 1], is the picture's
 * p · half + centre. As `placement` in `training/decoding.py` has it.
 */
export function frameOf({ width, height }, info) {
  const { across, along, left, top } = placement(width, height, info);
  const [x, y] = [width / across, height / along]; // pixels of the picture per pixel of the input
  const half = [(info.width / 2) * x, (info.height / 2) * y];
  return { half, centre: [half[0] - left * x, half[1] - top * y] };
}

function placement(width, height, info) {
  const [wide, high] = [info.width / width, info.height / height];
  if (info.fit === "stretch" || (info.width === width && info.height === height)) {
    return { across: info.width, along: info.height, left: 0, top: 0 };
  }
  if (info.fit === "crop") {
    const [across, along] = [width, height].map((side) => side * Math.max(wide, high));
    return { across, along, left: (info.width - across) / 2, top: (info.height - along) / 2 };
  }
  const [across, along] = [width, height].map((side) => Math.max(1, roundHalfToEven(side * Math.min(wide, high))));
  return { across, along, left: Math.floor((info.width - across) / 2), top: Math.floor((info.height - along) / 2) };
}

function roundHalfToEven(value) {
  const below = Math.floor(value);
  return value - below === 0.5 ? below + (below % 2) : Math.round(value);
}

export function toPicture({ half, centre }, [x, y]) {
  return [x * half[0] + centre[0], y * half[1] + centre[1]];
}

export function toInput({ half, centre }, [x, y]) {
  return [(x - centre[0]) / half[0], (y - centre[1]) / half[1]];
}
