// One slide under one map: OpenSeadragon shows the slide, a canvas over it the labels. One unit of the viewer's
// coordinates is one px of level 0, for both.

import * as api from "./api.js";
import { Banner } from "./banner.js";
import { errorText, h } from "./dom.js";
import { LabelLayer, heatCanvas, packed } from "./layer.js";
import { alike, classesOf, mapOpacity, singled } from "./model.js";
import { Overview } from "./overview.js";
import { emit, on, store } from "./store.js";

const OPTIONS = {
  drawer: "canvas", showNavigationControl: false, animationTime: 0.35, springStiffness: 9, maxZoomPixelRatio: 8, minZoomImageRatio: 0.7,
  visibilityRatio: 0.4, constrainDuringPan: false, zoomPerScroll: 1.25, imageLoaderLimit: 8, maxTilesPerFrame: 16, crossOriginPolicy: false,
  gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true }, gestureSettingsTouch: { clickToZoom: false },
  gestureSettingsPen: { clickToZoom: false }, immediateRender: true, preserveImageSizeOnResize: true,
};

export class Pane {
  // options: {map: whether labels lie over the slide, onMove, onPoint}
  constructor(host, options = {}) {
    this.host = host;
    this.options = { map: true, ...options };
    this.canvas = h("canvas", { class: "overlay", "aria-hidden": "true" });
    this.stage = h("div", { class: "stage", role: "application", "aria-label": "Slide: drag to move, scroll to zoom" });
    this.bar = h("div", { class: "scale-bar", "aria-hidden": "true" }, h("span", { class: "scale-line" }), h("span", { class: "scale-text" }));
    this.title = h("div", { class: "pane-title" });
    this.banner = new Banner(this);
    this.overview = new Overview((place) => this.slide && this.go(place));
    this.mark = h("div", { class: "mark", "aria-hidden": "true", hidden: true });
    host.append(this.stage, this.canvas, this.mark, this.title, this.bar, this.overview.box, this.banner.box);
    this.viewer = window.OpenSeadragon({ ...OPTIONS, element: this.stage });
    this.viewer.addHandler("update-viewport", () => this.draw());
    this.viewer.addHandler("animation", () => this.draw());
    this.viewer.addHandler("viewport-change", () => this.options.onMove?.(this));
    this.viewer.addHandler("tile-load-failed", () => this.banner.askWhy());
    this.viewer.addHandler("canvas-key", (event) => {
      if (!event.originalEvent.key.startsWith("Arrow")) event.preventDefaultAction = true;
    });
    this.viewer.addHandler("canvas-click", (event) => {
      if (event.quick && this.slide) this.options.onPoint?.(this, this.l0At(event.position));
    });
    this.stage.addEventListener("pointermove", (event) => this.hover(event));
    this.stage.addEventListener("pointerleave", () => emit("hover", null));
    this.resize = new ResizeObserver(() => this.draw());
    this.resize.observe(host);
    this.stops = ["ui", "concepts"].map((what) => on(what, () => this.restyle()));
    this.slide = this.layer = this.heat = this.glow = this.held = null;
    this.turn = 0;
  }

  // Where another slide was asked for meanwhile, that one counts.
  async open(id, view) {
    this.turn += 1;
    const { turn } = this;
    const slide = await api.get(`/api/slides/${id}`);
    if (turn !== this.turn) return;
    this.slide = slide;
    store.rows.set(id, { ...store.rows.get(id), ...slide.row });
    this.heat = null;
    this.layer = slide.labels ? new LabelLayer(slide, () => this.draw()) : null;
    this.title.textContent = slide.name;
    this.banner.begin();
    this.overview.show(slide);
    this.viewer.close();
    const [width, height] = slide.size;
    const tile = store.study.tile;
    const top = Math.ceil(Math.log2(Math.max(width, height)));
    const source = {
      width, height, tileSize: tile, tileOverlap: store.study.overlap, maxLevel: top,
      minLevel: Math.min(top, Math.floor(Math.log2(tile))),
      getTileUrl: (level, column, row) => api.tileUrl(slide, level, column, row),
    };
    if (slide.source_fault) source.tileExists = () => false;
    await new Promise((done) => {
      this.viewer.addOnceHandler("open", done);
      this.viewer.addOnceHandler("open-failed", done);
      this.viewer.open({ tileSource: source, x: 0, y: 0, width });
    });
    if (turn !== this.turn) return;
    if (view) this.go(store.ui.mark?.id === id ? this.within(view) : view);
    this.restyle();
    emit("opened", this);
  }

  get isOpen() {
    return Boolean(this.slide && this.viewer.world.getItemCount());
  }

  // Screen px per level-0 px, and the level-0 px at the upper left, as they are at this moment.
  get view() {
    const viewport = this.viewer.viewport;
    if (!viewport || !this.slide) return null;
    const bounds = viewport.getBounds(true);
    const { x: width, y: height } = viewport.getContainerSize();
    return { x: bounds.x, y: bounds.y, scale: width / bounds.width, width, height };
  }

  // What is being moved to: centre in level-0 px and level-0 px per px of the screen.
  get target() {
    const viewport = this.viewer.viewport;
    const bounds = viewport.getBounds(false);
    return {
      x: bounds.x + bounds.width / 2, y: bounds.y + bounds.height / 2, s: bounds.width / viewport.getContainerSize().x,
    };
  }

  go({ x, y, s }, immediately = true) {
    const viewport = this.viewer.viewport;
    const width = viewport.getContainerSize().x;
    if (s) viewport.zoomTo(1 / (s * width), null, immediately);
    if (x !== null && x !== undefined) viewport.panTo(new window.OpenSeadragon.Point(x, y), immediately);
    this.viewer.forceRedraw();
  }

  // Where the whole slide is seen: {x, y, s}, as target has them.
  get fit() {
    const [width, height] = this.slide.size;
    const size = this.viewer.viewport.getContainerSize();
    return { x: width / 2, y: height / 2, s: Math.max(width / size.x, height / size.y) };
  }

  // A view of a place, moved so that no more than a quarter of it lies beyond an edge of the slide.
  within({ x, y, s }) {
    const size = this.viewer.viewport.getContainerSize();
    const along = (at, whole, screen) => {
      const least = (screen * s) / 4;
      return least > whole - least ? whole / 2 : Math.min(Math.max(at, least), whole - least);
    };
    return { x: along(x, this.slide.size[0], size.x), y: along(y, this.slide.size[1], size.y), s };
  }

  l0At(position) {
    const view = this.view;
    return [view.x + position.x / view.scale, view.y + position.y / view.scale];
  }

  get classes() {
    return classesOf(store.concepts, this.slide.row);
  }

  restyle() {
    if (!this.slide) return;
    if (this.layer) {
      const { hidden, outline, pattern } = store.ui;
      const { classes, lut } = this.classes;
      const alone = singled(classes, store.ui);
      const firsts = new Map(alike(classes).flatMap((same) => same.map((index) => [index, same[0]])));
      const length = this.slide.labels.bytes === 2 ? 65536 : 256;
      const standing = this.held || this.glow ? new Set([...(this.held ?? []), ...(this.glow ?? [])]) : null;
      const away = (at) => !this.held?.includes(at) && (hidden.has(at + 1) || (alone && !alone.has(at) && !standing?.has(at)));
      const colors = Uint32Array.from({ length }, (_, label) => {
        const at = lut[label] ?? -1;
        if (at < 0 || away(at)) return 0;
        return packed(classes[at].color, !standing || standing.has(at) || alone?.has(at) ? 255 : 60);
      });
      const owners = Int32Array.from({ length }, (_, label) => {
        const at = lut[label] ?? -1;
        return at < 0 || away(at) ? -1 : firsts.get(at);
      });
      this.layer.setStyle({ colors, owners, outline: outline && (alone ? 2 : 1), pattern }); // no line of another beside it
    }
    this.loadHeat();
    this.draw();
  }

  // Let some classes stand out, as the pointer rests on them in the legend, beside those that are to be merged.
  glowOn(indexes) {
    this.glow = indexes;
    this.restyle();
  }

  holdOn(indexes) {
    this.held = indexes;
    this.restyle();
  }

  // Classes whose colours are seen at this moment, as indexes.
  get seen() {
    const { shown, heat } = store.ui;
    if (!this.options.map || !shown || heat || !this.layer) return new Set();
    const { lut } = this.classes;
    return new Set([...this.layer.seen(this.screen)].map((label) => lut[label]));
  }

  // The view in px of the canvas, which are those of the device.
  get screen() {
    const ratio = window.devicePixelRatio || 1;
    const { view } = this;
    return { ...view, scale: view.scale * ratio, width: Math.round(view.width * ratio), height: Math.round(view.height * ratio) };
  }

  async loadHeat() {
    const what = this.options.map ? store.ui.heat : "";
    if (!what || !this.slide.weights || this.heat?.what === what) return;
    this.heat = { what, canvas: null };
    const slide = this.slide;
    const told = await api.heat(slide, what).catch((error) => this.banner.tell(errorText(error.error ?? error.message)));
    if (told && this.slide === slide && this.heat?.what === what) {
      this.heat = { what, canvas: heatCanvas(told), l0: told.l0_per_px };
      this.draw();
    }
  }

  draw() {
    const view = this.view;
    if (!view) return;
    const { screen } = this;
    const { width, height } = screen;
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    const { shown, heat } = store.ui;
    this.canvas.style.opacity = mapOpacity(store.ui);
    if (this.options.map && shown && heat && this.heat?.canvas) this.drawHeat(context, screen);
    else if (this.options.map && shown && this.layer && !heat) this.layer.draw(context, screen);
    if (this.layer?.fault) this.banner.tellFault(this.layer.fault);
    this.drawBar(view);
  }

  drawHeat(context, view) {
    const [x, y] = this.heat.l0;
    context.imageSmoothingEnabled = false;
    context.drawImage(
      this.heat.canvas, -view.x * view.scale, -view.y * view.scale,
      this.heat.canvas.width * x * view.scale, this.heat.canvas.height * y * view.scale,
    );
  }

  // A length that reads well, and how long it is on the screen.
  get scale() {
    const view = this.view;
    const um = this.slide.mpp;
    const perPx = (um ?? 1) / view.scale;
    const most = perPx * 180;
    const power = 10 ** Math.floor(Math.log10(most));
    const length = [5, 2, 1].map((one) => one * power).find((one) => one <= most) ?? power;
    const text = !um ? `${length} px` : length >= 1000 ? `${length / 1000} mm` : `${length} µm`;
    return { text, px: length / perPx, magnification: um ? 10 / perPx : null, perPx };
  }

  // A place that was asked for, as a square around it.
  drawMark(view) {
    const { mark } = store.ui;
    this.mark.hidden = mark?.id !== this.slide.id;
    if (this.mark.hidden) return;
    const side = `${mark.side * view.scale}px`;
    Object.assign(this.mark.style, { left: `${(mark.x - view.x) * view.scale}px`, top: `${(mark.y - view.y) * view.scale}px`, width: side, height: side });
  }

  drawBar(view) {
    this.overview.frame(view);
    this.drawMark(view);
    const { text, px } = this.scale;
    this.bar.firstChild.style.width = `${px.toFixed(1)}px`;
    this.bar.lastChild.textContent = text;
  }

  hover(event) {
    if (!this.slide) return;
    const box = this.stage.getBoundingClientRect();
    const [x, y] = this.l0At({ x: event.clientX - box.left, y: event.clientY - box.top });
    emit("hover", { pane: this, x, y, ...this.classAt(x, y) });
  }

  classAt(x, y) {
    const label = this.layer?.at(x, y) ?? null;
    const { classes, lut } = this.classes;
    const at = label === null ? -1 : (lut[label] ?? -1);
    return { label, index: at, name: at >= 0 ? classes[at].name : label === 0 ? "no tissue / unassigned" : "", color: classes[at]?.color };
  }

  destroy() {
    this.turn += 1;
    this.banner.end();
    this.resize.disconnect();
    this.stops.forEach((stop) => stop());
    this.viewer.destroy();
    this.host.replaceChildren();
  }
}
