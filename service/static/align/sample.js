/** Two pictures of one scene, the second from elsewhere, for those who have none at hand. */

const SIDE = 256;
const SHAPES = 40;

/** `{moving, fixed}`, PNG files; another scene each time. */
export async function sample() {
  const shapes = Array.from({ length: SHAPES }, shape);
  const angle = (Math.random() - 0.5) * 0.9;
  const size = 0.85 + 0.3 * Math.random();
  return { fixed: await picture(shapes, 0, 1), moving: await picture(shapes, angle, size) };
}

function shape() {
  const [x, y] = [SIDE * (1.4 * Math.random() - 0.2), SIDE * (1.4 * Math.random() - 0.2)];
  const hue = Math.round(360 * Math.random());
  const light = Math.round(20 + 65 * Math.random());
  return { x, y, side: 12 + 50 * Math.random(), turn: Math.random(), round: Math.random() < 0.5, colour: `hsl(${hue} 60% ${light}%)` };
}

function picture(shapes, angle, size) {
  const canvas = Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE });
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#667";
  pen.fillRect(0, 0, SIDE, SIDE);
  pen.translate(SIDE / 2, SIDE / 2);
  pen.rotate(angle);
  pen.scale(size, size);
  pen.translate(-SIDE / 2, -SIDE / 2);
  for (const { x, y, side, turn, round, colour } of shapes) {
    pen.fillStyle = colour;
    pen.beginPath();
    if (round) pen.ellipse(x, y, side / 2, side / 3, Math.PI * turn, 0, 2 * Math.PI);
    else pen.rect(x - side / 2, y - side / 3, side, side / 1.5);
    pen.fill();
  }
  return new Promise((resolve) => canvas.toBlob(resolve));
}
