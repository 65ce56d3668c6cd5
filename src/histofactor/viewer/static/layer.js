// The label map over a slide. Tiles hold labels; colours are put on here, so that whatever is toggled, singled out,
// recoloured or merged asks the server for nothing.

import { labelTile } from "./api.js";
import { outlines } from "./outline.js";
import { hatch } from "./patterns.js";

const TILE = 512;
const AT_A_TIME = 6;
const HELD = 160;

export class LabelLayer {
  // slide: as /api/slides tells it; redraw: called when there is something new to show
  constructor(slide, redraw) {
    this.slide = slide;
    this.redraw = redraw;
    this.tiles = new Map();
    this.loading = new Map();
    this.wanted = [];
    this.style = { colors: new Uint32Array(1), owners: new Int32Array(1), outline: 0, pattern: false, stamp: 0 };
    this.fault = "";
  }

  // colors: by label, RGBA as the bytes of an image; 0 is not shown. owners: by label, the number of what it is shown as;
  // outline: px of the screen on each side of a border, 0 for areas; pattern: whether there are some
  setStyle(style) {
    this.style = { ...style, stamp: this.style.stamp + 1 };
  }

  // The level whose px are at most one px of the screen, so that none is left out that could be seen.
  levelAt(screenPerL0) {
    const [x, y] = this.slide.l0_per_px;
    const px = Math.max(x, y) * screenPerL0;
    return Math.max(0, Math.min(Math.floor(-Math.log2(px) + 1e-9), this.slide.labels.sizes.length - 1));
  }

  // The tiles of a level that lie under a rectangle in level-0 px.
  *under(level, box) {
    const [width, height] = this.slide.labels.sizes[level];
    const [stepX, stepY] = this.slide.l0_per_px.map((scale) => scale * 2 ** level * TILE);
    const last = [Math.ceil(width / TILE) - 1, Math.ceil(height / TILE) - 1];
    const from = [Math.max(0, Math.floor(box.x / stepX)), Math.max(0, Math.floor(box.y / stepY))];
    const to = [Math.min(last[0], Math.floor(box.right / stepX)), Math.min(last[1], Math.floor(box.bottom / stepY))];
    for (let row = from[1]; row <= to[1]; row += 1)
      for (let column = from[0]; column <= to[0]; column += 1) yield { level, column, row, key: `${level}/${column}/${row}` };
  }

  // view: {x, y: level-0 px at the upper left, scale: screen px per level-0 px, width, height: screen px}
  draw(context, view) {
    const box = { x: view.x, y: view.y, right: view.x + view.width / view.scale, bottom: view.y + view.height / view.scale };
    const level = this.levelAt(view.scale);
    this.wanted = [...this.under(level, box)].filter((tile) => !this.tiles.has(tile.key));
    this.load();
    context.imageSmoothingEnabled = false;
    const coarsest = this.wanted.length ? this.slide.labels.sizes.length - 1 : level;
    if (this.style.outline) {
      this.drawOutlines(context, view, box, [level, coarsest]);
      return;
    }
    for (let at = coarsest; at >= level; at -= 1)
      for (const tile of this.under(at, box)) {
        const held = this.tiles.get(tile.key);
        if (held) this.paint(context, view, tile, held);
      }
  }

  drawOutlines(context, view, box, [level, coarsest]) {
    for (let at = coarsest; at >= level; at -= 1) for (const { key } of this.under(at, box)) if (this.tiles.has(key)) this.use(key);
    const thick = Math.max(1, Math.round(this.style.outline * (window.devicePixelRatio || 1)));
    context.putImageData(outlines(view, this.lookup(view, level, coarsest), this.style, thick), 0, 0);
  }

  // The labels under every px of the screen, a row at a time, and whether a row is as the one above.
  lookup(view, level, coarsest) {
    const places = Array.from({ length: coarsest - level + 1 }, (_, at) => this.places(view, level + at));
    const [finest] = places;
    places.reverse(); // fine ones over coarse ones
    const labelRow = (y, row) => places.forEach((place) => this.labelRow(place, y, row));
    return { labelRow, sameAs: (y) => finest.rows[y] === finest.rows[y - 1] };
  }

  // Labels that are seen on the screen with a colour, as far as their tiles are here.
  seen(view) {
    const level = this.levelAt(view.scale);
    const { labelRow, sameAs } = this.lookup(view, level, this.wanted.length ? this.slide.labels.sizes.length - 1 : level);
    const found = new Set();
    const row = new Int32Array(view.width);
    for (let y = 0; y < view.height; y += 1) {
      if (y && sameAs(y)) continue;
      labelRow(y, row.fill(0));
      for (const label of row) if (this.style.colors[label]) found.add(label);
    }
    return found;
  }

  // The px of a level of the map that lie under the middle of every column and row of the screen.
  places(view, level) {
    const along = (axis, start, length) => Int32Array.from({ length }, (_, at) => Math.floor((start + (at + 0.5) / view.scale) / (this.slide.l0_per_px[axis] * 2 ** level)));
    return { level, columns: along(0, view.x, view.width), rows: along(1, view.y, view.height) };
  }

  // Labels of one row of the screen, as far as their tiles of a level are here.
  labelRow({ level, columns, rows }, y, row) {
    const [width, height] = this.slide.labels.sizes[level];
    if (rows[y] < 0 || rows[y] >= height) return;
    const [down, inTile] = [Math.floor(rows[y] / TILE), rows[y] % TILE];
    let [tile, held] = [-1, null];
    for (let x = 0; x < row.length; x += 1) {
      const at = columns[x];
      if (at < 0 || at >= width) continue;
      const here = Math.floor(at / TILE);
      if (here !== tile) [tile, held] = [here, this.tiles.get(`${level}/${here}/${down}`)];
      if (held) row[x] = held.data[inTile * held.width + (at % TILE)];
    }
  }

  use(key) {
    const held = this.tiles.get(key);
    this.tiles.delete(key); // used last
    this.tiles.set(key, held);
  }

  paint(context, view, { level, column, row, key }, held) {
    this.use(key);
    const [scaleX, scaleY] = this.slide.l0_per_px.map((scale) => scale * 2 ** level * view.scale);
    const x0 = Math.round(column * TILE * scaleX - view.x * view.scale);
    const y0 = Math.round(row * TILE * scaleY - view.y * view.scale);
    const x1 = Math.round((column * TILE + held.width) * scaleX - view.x * view.scale);
    const y1 = Math.round((row * TILE + held.height) * scaleY - view.y * view.scale);
    context.clearRect(x0, y0, x1 - x0, y1 - y0);
    if (x1 > x0 && y1 > y0) context.drawImage(this.colored(held, column, row), x0, y0, x1 - x0, y1 - y0);
  }

  colored(held, column, row) {
    if (held.stamp === this.style.stamp) return held.canvas;
    const { data, width, height } = held;
    held.canvas ??= Object.assign(document.createElement("canvas"), { width, height });
    const context = held.canvas.getContext("2d");
    const image = context.createImageData(width, height);
    const out = new Uint32Array(image.data.buffer);
    const { colors, owners, pattern } = this.style;
    for (let at = 0; at < data.length; at += 1) out[at] = colors[data[at]];
    if (pattern) hatch(out, held, owners, column * TILE, row * TILE);
    context.putImageData(image, 0, 0);
    held.stamp = this.style.stamp;
    return held.canvas;
  }

  // The label of a place in level-0 px, from the finest tile that is here; null where none is.
  at(x, y) {
    const label = [x / this.slide.l0_per_px[0], y / this.slide.l0_per_px[1]];
    const full = this.slide.labels.sizes[0];
    if (label[0] < 0 || label[1] < 0 || x > this.slide.size[0] || y > this.slide.size[1]) return null;
    const [px, py] = label.map((one, axis) => Math.min(Math.floor(one), full[axis] - 1));
    for (let level = 0; level < this.slide.labels.sizes.length; level += 1) {
      const [at, down] = [px >> level, py >> level];
      const held = this.tiles.get(`${level}/${Math.floor(at / TILE)}/${Math.floor(down / TILE)}`);
      if (held) return held.data[(down % TILE) * held.width + (at % TILE)];
    }
    return null;
  }

  load() {
    for (const [key, loading] of this.loading)
      if (!this.wanted.some((tile) => tile.key === key)) {
        loading.abort();
        this.loading.delete(key);
      }
    for (const tile of this.wanted) {
      if (this.loading.size >= AT_A_TIME) break;
      if (!this.loading.has(tile.key) && !this.fault) this.fetch(tile);
    }
  }

  async fetch({ level, column, row, key }) {
    const stop = new AbortController();
    this.loading.set(key, stop);
    try {
      const data = await labelTile(this.slide, level, column, row, stop.signal);
      const [width, height] = this.slide.labels.sizes[level];
      this.tiles.set(key, {
        data, width: Math.min(TILE, width - column * TILE), height: Math.min(TILE, height - row * TILE), stamp: -1,
      });
      for (const old of this.tiles.keys()) {
        if (this.tiles.size <= HELD) break;
        this.tiles.delete(old);
      }
    } catch (error) {
      if (error.name !== "AbortError") this.fault = error;
    } finally {
      if (this.loading.get(key) === stop) this.loading.delete(key);
      if (!stop.signal.aborted) this.redraw();
    }
  }

  get ready() {
    return !this.wanted.length && !this.loading.size;
  }
}

const LITTLE = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;
export const packed = ([red, green, blue], alpha = 255) =>
  (LITTLE ? (alpha << 24) | (blue << 16) | (green << 8) | red : (red << 24) | (green << 16) | (blue << 8) | alpha) >>> 0;

// Cividis (Nuñez, Anderton & Renslow, PLOS ONE 13(7), 2018), which all kinds of colour vision see alike.
const CIVIDIS = [
  [0, 34, 78], [18, 53, 112], [59, 73, 108], [87, 93, 109], [112, 113, 115],
  [138, 134, 121], [167, 157, 117], [200, 181, 104], [234, 208, 78], [254, 232, 56],
];

export function heatColor(value) {
  const at = value * (CIVIDIS.length - 1);
  const low = Math.min(Math.floor(at), CIVIDIS.length - 2);
  return CIVIDIS[low].map((part, axis) => Math.round(part + (at - low) * (CIVIDIS[low + 1][axis] - part)));
}

export function heatCanvas({ size: [width, height], values }) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const out = new Uint32Array(image.data.buffer);
  const colors = Array.from({ length: 256 }, (_, step) => (step === 255 ? 0 : packed(heatColor(step / 254))));
  for (let at = 0; at < values.length; at += 1) out[at] = colors[values[at]];
  context.putImageData(image, 0, 0);
  return canvas;
}
