/** Which part of the plane around a picture is shown: a square with room for the sampled region, within reason. */

const ROOM = [1.3, 1.8, 2.6, 4, 8];

/** `view(picture, points)` is `{left, top, side}` in pixels of the picture. It changes in steps, and not back at once. */
export function createView() {
  let step = 0;
  return function view({ width, height }, points) {
    const largest = Math.max(width, height);
    const reach = Math.max(...points.flatMap(([x, y]) => [Math.abs(x - width / 2), Math.abs(y - height / 2)]));
    const needed = (2.25 * reach) / largest;
    const enough = ROOM.findIndex((room) => room >= needed);
    const wanted = enough < 0 ? ROOM.length - 1 : enough;
    if (wanted > step || needed < 0.85 * ROOM[step - 1]) step = wanted;
    const side = ROOM[step] * largest;
    return { left: (width - side) / 2, top: (height - side) / 2, side };
  };
}
