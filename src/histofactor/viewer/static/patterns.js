// Patterns beside colours, for eyes that colours alone do not help: strokes in four directions, then crosses, dashes and
// dots. Each tells, of a px of the map, whether it is dark; so they go on from tile to tile.

const turn = (value, period) => ((value % period) + period) % period;
const DIRECTIONS = [(x, y) => x + y, (x, y) => x - y, (x, y) => y, (x) => x];
const STROKES = [(at) => turn(at, 12) < 3, (at) => turn(at, 18) < 9, (at) => turn(at, 18) < 7 && turn(at, 18) % 5 < 2];

const PATTERNS = [
  ...STROKES.flatMap((stroke) => DIRECTIONS.map((along) => (x, y) => stroke(along(x, y)))),
  (x, y) => turn(x + y, 14) < 2 || turn(x - y, 14) < 2,
  (x, y) => turn(x, 12) < 2 || turn(y, 12) < 2,
  (x, y) => turn(x, 8) < 3 && turn(y, 8) < 3,
  (x, y) => turn(x, 16) < 8 === turn(y, 16) < 8,
  (x, y) => turn(y, 8) < 3 && turn(x + 8 * turn(Math.floor(y / 8), 2), 16) < 10,
  (x, y) => turn(x, 8) < 3 && turn(y + 8 * turn(Math.floor(x / 8), 2), 16) < 10,
  (x, y) => turn(x, 16) < 5 || turn(y, 16) < 5,
  (x, y) => (turn(x, 18) - 8) ** 2 + (turn(y, 18) - 8) ** 2 < 38,
];

export const COUNT = PATTERNS.length;

// Whether the pattern of a phenotype, by its number from 0 on, is dark at a px of the map.
export const isDark = (index, x, y) => PATTERNS[index % COUNT](x, y);

export function hatch(out, { data, width, height }, owners, left, top) {
  for (let y = 0, at = 0; y < height; y += 1)
    for (let x = 0; x < width; x += 1, at += 1)
      if (out[at] && owners[data[at]] >= 0 && isDark(owners[data[at]], left + x, top + y)) out[at] = darker(out[at]);
}

const darker = (color) => ((color >>> 1) & 0x007f7f7f) | (color & 0xff000000);

const WIDE = 36;
const HIGH = 36;
const swatches = new Map();

// A pattern as a picture that lies over the colour of a swatch: a canvas.
export function swatch(index) {
  const at = index % COUNT;
  if (swatches.has(at)) return swatches.get(at);
  const canvas = Object.assign(document.createElement("canvas"), { width: WIDE, height: HIGH });
  const context = canvas.getContext("2d");
  context.fillStyle = "rgba(0, 0, 0, 0.5)";
  for (let y = 0; y < HIGH; y += 1) for (let x = 0; x < WIDE; x += 1) if (isDark(at, x, y)) context.fillRect(x, y, 1, 1);
  swatches.set(at, canvas);
  return canvas;
}

export const swatchUrl = (index) => `url(${swatch(index).toDataURL()})`;
