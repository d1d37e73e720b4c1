/** Files as pictures, and a copy of one that fits into a link. */

import { h } from "../dom.js";

const COPY_SIDE = 96;
const COPY_BYTES = 6000;

/** The picture in this file, upright as its EXIF data say; null where this browser has none. */
export async function decodeFile(file) {
  try {
    return await createImageBitmap(file);
  } catch {
    return null;
  }
}

/** A small copy as `{kind, bytes, width, height}`; null where the picture takes too many bytes at any quality. */
export async function copyOf(image) {
  const scale = Math.min(1, COPY_SIDE / Math.max(image.width, image.height));
  const [width, height] = [image.width, image.height].map((side) => Math.max(1, Math.round(side * scale)));
  const canvas = h("canvas", { width, height });
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, width, height);
  for (const [kind, quality] of [["png"], ["webp", 0.9], ["webp", 0.5]]) {
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, `image/${kind}`, quality));
    if (blob?.type === `image/${kind}` && blob.size <= COPY_BYTES) {
      return { kind, bytes: new Uint8Array(await blob.arrayBuffer()), width, height };
    }
  }
  return null;
}
