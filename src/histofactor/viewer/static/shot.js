// The view as a picture, with its legend and scale bar.

import { areaText, h, percent, rgb } from "./dom.js";
import { areas, singled, summed } from "./model.js";
import { store } from "./store.js";

const ROW = 22;
const WIDE = 330;

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
  const ratio = window.devicePixelRatio || 1;
  const sizes = panes.map((pane) => pane.view);
  const height = Math.max(...sizes.map((size) => size.height), legendRows(panes[0]).length * ROW + 70);
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
  legend(context, panes[0], left);
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

function legendRows(pane) {
  const { classes, lut } = pane.classes;
  const found = areas(classes, lut, pane.slide.row.px);
  const alone = singled(classes, store.ui);
  const shown = (index) => !store.ui.hidden.has(index + 1) && (!alone || alone.has(index));
  return summed(classes, found.map((one, index) => (shown(index) ? one : { ...one, amount: 0, share: one.share && 0 })))
    .filter((row) => row.amount)
    .sort((a, b) => b.amount - a.amount);
}

function legend(context, pane, left) {
  context.fillStyle = "#111";
  context.font = "600 14px system-ui, sans-serif";
  context.fillText(pane.slide.name, left + 18, 30, WIDE - 30);
  context.font = "13px system-ui, sans-serif";
  legendRows(pane).forEach((row, index) => {
    const y = 58 + index * ROW;
    context.fillStyle = rgb(row.color);
    context.fillRect(left + 18, y - 12, 14, 14);
    context.fillStyle = "#111";
    context.fillText(`${row.labels.join(", ")} ${row.name}${row.excluded ? " (artefact)" : ""}`, left + 40, y, 150);
    context.fillStyle = "#555";
    context.fillText(percent(row.share), left + 200, y, 50);
    context.fillText(areaText(row.amount, pane.slide.row.um2_per_px), left + 252, y, WIDE - 260);
  });
}
