/** Which part of the plane around a picture is shown: a square with room for the sampled region, within reason. */

const ROOM = [1.3, 1.8, 2.6, 4, 8];

/**
 * `view(picture, points, margin)` is `{left, top, side}` in pixels of the picture. It changes in steps, not back at once;
 * `margin` is the room around the points, 1 for none.
 */
export function createView() {
  let step = 0;
  return function view({ width, height }, points, margin) {
    const largest = Math.max(width, height);
    const reach = Math.max(...points.flatMap(([x, y]) => [Math.abs(x - width / 2), Math.abs(y - height / 2)]));
    const needed = (2 * margin * reach) / largest;
    const enough = ROOM.findIndex((room) => room >= needed);
    const wanted = enough < 0 ? ROOM.length - 1 : enough;
    if (wanted > step || needed < 0.85 * ROOM[step - 1]) step = wanted;
    const side = ROOM[step] * largest;
    return { left: (width - side) / 2, top: (height - side) / 2, side };
  };
}
