// The view as a picture, with its legend and scale bar.

import { areaTeller, h, percent, rgb } from "./dom.js";
import { areas, mapOpacity, partShown, seenColor, summed } from "./model.js";
import { swatch } from "./patterns.js";
import { store } from "./store.js";

const ROW = 22;
const WIDE = 400;
const HEAD = 84; // px above the first row
const SWATCH = [26, 16];
// Where columns of the legend begin, or, of numbers, end.
const COLUMNS = { swatch: 16, label: 76, name: 84, share: WIDE - 112, area: WIDE - 16 };

export async function screenshot(panes) {
  const canvas = draw(panes);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  const url = URL.createObjectURL(blob);
  const stem = panes[0].slide.name.replace(/(\.ome)?\.[^.]+$/i, "");
  const name = `${store.study.name}-${stem}`.replace(/[^\w.-]+/g, "_");
  h("a", { href: url, download: `${name}.png` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

export function draw(panes) {
  panes.forEach((pane) => pane.glowOn(null)); // what the pointer rests on stands out on the page alone
  const ratio = window.devicePixelRatio || 1;
  const sizes = panes.map((pane) => pane.view);
  const height = Math.max(...sizes.map((size) => size.height));
  const width = sizes.reduce((sum, size) => sum + size.width, 0) + WIDE;
  const canvas = Object.assign(document.createElement("canvas"), { width: width * ratio, height: height * ratio });
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  context.fillStyle = "#ffffff";
  context.fillRect(0, 0, width, height);
  let left = 0;
  panes.forEach((pane, index) => {
    const { width: wide, height: high } = sizes[index];
    context.drawImage(pane.viewer.drawer.canvas, left, 0, wide, high);
    context.globalAlpha = Number(pane.canvas.style.opacity || 1);
    context.drawImage(pane.canvas, left, 0, wide, high);
    context.globalAlpha = 1;
    bar(context, pane, left, high);
    left += wide;
  });
  context.translate(left, 0);
  legend(context, legendOf(panes), height);
  return canvas;
}

function bar(context, pane, left, height) {
  const { text, px } = pane.scale;
  context.fillStyle = "rgba(255,255,255,.85)";
  context.fillRect(left + 14, height - 44, px + 20, 32);
  context.fillStyle = "#111";
  context.fillRect(left + 24, height - 20, px, 3);
  context.font = "12px system-ui, sans-serif";
  context.fillText(text, left + 24, height - 27);
}

// What a legend tells: the phenotypes that are seen, largest first, with area and share on the first slide.
export function legendOf(panes) {
  const [{ classes: { classes, lut, shared }, slide }] = panes;
  const rows = summed(classes, areas(classes, lut, slide.row.px));
  const seen = new Set();
  for (const pane of panes)
    for (const index of pane.seen)
      if (pane.slide.id === slide.id || (shared && pane.classes.shared && index < store.concepts.k)) seen.add(index);
  const { shown, heat } = store.ui;
  const told = heat ? `layer: ${heat}` : shown ? partShown(rows, classes, store.ui) : "the map is hidden";
  const visible = rows.filter(({ labels }) => labels.some((label) => seen.has(label - 1))).sort((a, b) => b.amount - a.amount);
  return { name: slide.name, told, rows: visible, um2: slide.row.um2_per_px };
}

// Rows that fit, and how many do not.
export function fitting(rows, height) {
  const room = Math.max(1, Math.floor((height - HEAD) / ROW));
  const shown = rows.length > room ? rows.slice(0, room - 1) : rows;
  return { shown, more: rows.length - shown.length };
}

function legend(context, { name, told, rows, um2 }, height) {
  const text = (what, x, y, { color = "#111", right = false, width = WIDE } = {}) => {
    context.fillStyle = color;
    context.textAlign = right ? "right" : "left";
    context.fillText(fitted(context, what, width), x, y);
  };
  context.font = "600 14px system-ui, sans-serif";
  text(name, COLUMNS.swatch, 28, { width: WIDE - 2 * COLUMNS.swatch });
  context.font = "12px system-ui, sans-serif";
  text(told, COLUMNS.swatch, 48, { color: "#555" });
  if (rows.length) {
    text("share of slide", COLUMNS.share, 64, { color: "#555", right: true });
    text("area", COLUMNS.area, 64, { color: "#555", right: true });
  }
  context.font = "13px system-ui, sans-serif";
  const { shown, more } = fitting(rows, height);
  const area = areaTeller(shown.map((row) => row.amount), um2);
  shown.forEach((row, index) => {
    const y = HEAD + index * ROW;
    context.fillStyle = rgb(seenColor(row.color, mapOpacity(store.ui)));
    context.fillRect(COLUMNS.swatch, y - 13, ...SWATCH);
    if (store.ui.pattern && !store.ui.outline) context.drawImage(swatch(row.index), 0, 0, ...SWATCH, COLUMNS.swatch, y - 13, ...SWATCH);
    text(row.labels.join(", "), COLUMNS.label, y, { color: "#555", right: true, width: 32 });
    text(`${row.name}${row.excluded ? " (artefact)" : ""}`, COLUMNS.name, y, { width: COLUMNS.share - COLUMNS.name - 54 });
    text(percent(row.share), COLUMNS.share, y, { right: true });
    text(area(row.amount), COLUMNS.area, y, { color: "#555", right: true });
  });
  if (more) text(`and ${more} more`, COLUMNS.name, HEAD + shown.length * ROW, { color: "#555" });
}

// Text as far as there is room for it.
function fitted(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let length = text.length;
  while (length > 1 && context.measureText(`${text.slice(0, length)}…`).width > width) length -= 1;
  return `${text.slice(0, length)}…`;
}
