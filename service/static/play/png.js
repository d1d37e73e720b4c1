/** Pixels as a PNG that is not compressed: for small pictures it is ready before a canvas would have begun with its own. */

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const MOST_IN_BLOCK = 65535;

const CHECKSUMS = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? 0xedb88320 ^ (byte >>> 1) : byte >>> 1;
  return byte;
});

/** The bytes of a PNG of these pixels (RGBA, opaque), grey or in colour. */
export function png({ data, width, height }, grey) {
  const channels = grey ? 1 : 3;
  const rows = new Uint8Array(height * (1 + width * channels)); // each begins with the number of its filter, 0
  let place = 0;
  for (let at = 0; at < data.length; at += 4) {
    if (at % (4 * width) === 0) place++;
    for (let channel = 0; channel < channels; channel++) rows[place++] = data[at + channel];
  }
  const header = [...word(width), ...word(height), 8, grey ? 0 : 2, 0, 0, 0];
  return join(SIGNATURE, chunk("IHDR", header), chunk("IDAT", stored(rows)), chunk("IEND", []));
}

/** A zlib stream of blocks that are stored as they are. */
function stored(bytes) {
  const parts = [[0x78, 0x01]];
  for (let start = 0; start < bytes.length; start += MOST_IN_BLOCK) {
    const block = bytes.subarray(start, start + MOST_IN_BLOCK);
    const size = block.length;
    const last = start + size === bytes.length ? 1 : 0;
    parts.push([last, size & 255, size >> 8, ~size & 255, (~size >> 8) & 255], block);
  }
  return join(...parts, word(adler(bytes)));
}

function chunk(name, content) {
  const named = join(
    Array.from(name, (letter) => letter.charCodeAt(0)),
    content,
  );
  let sum = 0xffffffff;
  for (const byte of named) sum = CHECKSUMS[(sum ^ byte) & 255] ^ (sum >>> 8);
  return join(word(content.length), named, word(~sum >>> 0));
}

function adler(bytes) {
  let [a, b] = [1, 0];
  for (const byte of bytes) {
    a = (a + byte) % 65521;
    b = (b + a) % 65521;
  }
  return ((b << 16) | a) >>> 0;
}

function word(number) {
  return [number >>> 24, (number >>> 16) & 255, (number >>> 8) & 255, number & 255];
}

function join(...parts) {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let place = 0;
  for (const part of parts) {
    joined.set(part, place);
    place += part.length;
  }
  return joined;
}
