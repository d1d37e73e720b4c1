/** Pictures behind URLs, decoded once. */

const KEPT = 64;
const decoded = new Map();

/** The image behind a URL, or null where there is none. */
export async function decode(url) {
  if (!url) return null;
  if (!decoded.has(url)) {
    const image = new Image();
    image.src = url;
    decoded.set(url, image.decode().then(() => image));
    if (decoded.size > KEPT) decoded.delete(decoded.keys().next().value);
  }
  return decoded.get(url);
}

/** The bytes of its pixels, four each: red, green, blue, alpha. */
export function pixelsOf(image) {
  const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

/** Make the canvas as many pixels as the screen has under it, and return its context with CSS pixels as units. */
export function sharp(canvas, width, height) {
  const ratio = devicePixelRatio || 1;
  const [across, along] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== across || canvas.height !== along) Object.assign(canvas, { width: across, height: along });
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}
