// One slide under one map: OpenSeadragon shows the slide, a canvas over it the labels. One unit of the viewer's
// coordinates is one px of level 0, for both.

import * as api from "./api.js";
import { errorText, h } from "./dom.js";
import { LabelLayer, heatCanvas, packed } from "./layer.js";
import { alike, classesOf, singled } from "./model.js";
import { emit, on, store } from "./store.js";

const OPTIONS = {
  drawer: "canvas", showNavigationControl: false, animationTime: 0.35, springStiffness: 9, maxZoomPixelRatio: 8, minZoomImageRatio: 0.7,
  visibilityRatio: 0.4, constrainDuringPan: false, zoomPerScroll: 1.25, imageLoaderLimit: 8, maxTilesPerFrame: 16, crossOriginPolicy: false,
  gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true }, gestureSettingsTouch: { clickToZoom: false },
  gestureSettingsPen: { clickToZoom: false }, immediateRender: true, preserveImageSizeOnResize: true,
};

const AGAIN_MS = 2000; // until a slide that is compared is asked for again

export class Pane {
  // options: {map: whether labels lie over the slide, onMove, onPoint}
  constructor(host, options = {}) {
    this.host = host;
    this.options = { map: true, ...options };
    this.canvas = h("canvas", { class: "overlay", "aria-hidden": "true" });
    this.stage = h("div", { class: "stage", role: "application", "aria-label": "Slide: drag to move, scroll to zoom" });
    this.bar = h("div", { class: "scale-bar", "aria-hidden": "true" }, h("span", { class: "scale-line" }), h("span", { class: "scale-text" }));
    this.title = h("div", { class: "pane-title" });
    this.banner = h("div", { class: "banner", role: "status", hidden: true });
    this.frame = h("div", { class: "frame" });
    this.small = h("img", { alt: "", draggable: false });
    this.overview = h("div", { class: "overview", "aria-hidden": "true", title: "Overview" }, this.small, this.frame);
    for (const what of ["pointerdown", "pointermove"]) this.overview.addEventListener(what, (event) => this.jump(event));
    host.append(this.stage, this.canvas, this.title, this.bar, this.overview, this.banner);
    this.viewer = window.OpenSeadragon({ ...OPTIONS, element: this.stage });
    this.viewer.addHandler("update-viewport", () => this.draw());
    this.viewer.addHandler("animation", () => this.draw());
    this.viewer.addHandler("viewport-change", () => this.options.onMove?.(this));
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
    this.slide = this.layer = this.heat = null;
  }

  async open(id, view) {
    const slide = await api.get(`/api/slides/${id}`);
    this.slide = slide;
    store.rows.set(id, { ...store.rows.get(id), ...slide.row });
    this.heat = null;
    this.layer = slide.labels ? new LabelLayer(slide, () => this.draw()) : null;
    this.title.textContent = slide.name;
    this.faulty = false;
    this.tellAll();
    this.viewer.close();
    const [width, height] = slide.size;
    this.showOverview(slide);
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
    if (view) this.go(view);
    this.restyle();
    emit("opened", this);
  }

  // What is wrong with slide and map, and what may make the map meaningless; a slide that is compared is asked for again.
  tellAll(more) {
    const { source_fault, source_warning, labels_fault, warnings, row } = this.slide;
    const faults = [source_fault, source_warning, labels_fault, more].filter(Boolean).map(errorText);
    this.tell([...new Set([...faults, ...warnings])].join(" — "));
    clearTimeout(this.again);
    if (row.checking) this.again = setTimeout(() => this.ask(), AGAIN_MS);
  }

  async ask() {
    const { slide } = this;
    const told = await api.get(`/api/slides/${slide.id}`).catch(() => null);
    if (!told || this.slide !== slide) return;
    if (told.tiles_version !== slide.tiles_version || Boolean(told.source_fault) !== Boolean(slide.source_fault)) {
      await this.open(slide.id, this.target);
      return;
    }
    Object.assign(slide, { source_warning: told.source_warning, row: told.row });
    store.rows.set(slide.id, { ...store.rows.get(slide.id), ...told.row });
    this.tellAll(this.layer?.fault);
  }

  tell(fault) {
    this.banner.hidden = !fault;
    this.banner.textContent = fault;
  }

  // Of the map, found as its tiles were asked for: told here and, from now on, in the gallery.
  tellFault({ error, message }) {
    this.faulty = true;
    this.tellAll(error ?? message);
    if (error) store.rows.set(this.slide.id, { ...store.rows.get(this.slide.id), fault: error });
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
      const colors = Uint32Array.from({ length }, (_, label) => {
        const at = lut[label];
        if (at === undefined || at < 0 || hidden.has(at + 1)) return 0;
        if (this.glow && !this.glow.includes(at)) return packed(classes[at].color, 60);
        return alone && !alone.has(at) ? 0 : packed(classes[at].color);
      });
      const owners = Int32Array.from({ length }, (_, label) => {
        const at = lut[label] ?? -1;
        if (at < 0 || hidden.has(at + 1) || (alone && !alone.has(at))) return -1;
        return alone ? Math.min(...alone) : firsts.get(at);
      });
      this.layer.setStyle({ colors, owners, outline: outline && (alone ? 2 : 1), pattern }); // no line of another beside it
    }
    this.loadHeat();
    this.draw();
  }

  // Let some classes stand out, as the pointer rests on them in the legend.
  glowOn(indexes) {
    this.glow = indexes;
    this.restyle();
  }

  async loadHeat() {
    const what = this.options.map ? store.ui.heat : "";
    if (!what || !this.slide.weights || this.heat?.what === what) return;
    this.heat = { what, canvas: null };
    const slide = this.slide;
    const told = await api.heat(slide, what).catch((error) => this.tell(errorText(error.error ?? error.message)));
    if (told && this.slide === slide && this.heat?.what === what) {
      this.heat = { what, canvas: heatCanvas(told), l0: told.l0_per_px };
      this.draw();
    }
  }

  draw() {
    const view = this.view;
    if (!view) return;
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(view.width * ratio);
    const height = Math.round(view.height * ratio);
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    const { opacity, outline, shown, heat } = store.ui;
    this.canvas.style.opacity = outline && !heat ? Math.min(1, 0.4 + opacity / 100) : opacity / 100;
    const screen = { ...view, scale: view.scale * ratio, width, height };
    if (this.options.map && shown && heat && this.heat?.canvas) this.drawHeat(context, screen);
    else if (this.options.map && shown && this.layer && !heat) this.layer.draw(context, screen);
    if (this.layer?.fault && !this.faulty) this.tellFault(this.layer.fault);
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

  // The whole slide as one of its smallest tiles, and what is seen of it.
  showOverview(slide) {
    const [width, height] = slide.size;
    const most = Math.max(width, height);
    this.small.hidden = Boolean(slide.source_fault);
    if (!slide.source_fault) this.small.src = api.tileUrl(slide, Math.min(Math.ceil(Math.log2(most)), 8), 0, 0);
    Object.assign(this.overview.style, { width: `${(150 * width) / most}px`, height: `${(150 * height) / most}px` });
  }

  drawFrame(view) {
    const [width, height] = this.slide.size;
    const part = (start, length, whole) => {
      const [from, to] = [start / whole, (start + length) / whole].map((at) => 100 * Math.min(Math.max(at, 0), 1));
      return [`${from}%`, `${Math.max(to - from, 2)}%`];
    };
    const [left, wide] = part(view.x, view.width / view.scale, width);
    const [top, high] = part(view.y, view.height / view.scale, height);
    Object.assign(this.frame.style, { left, top, width: wide, height: high });
  }

  jump(event) {
    if (!event.buttons || !this.slide) return;
    const box = this.overview.getBoundingClientRect();
    const [width, height] = this.slide.size;
    this.go({ x: ((event.clientX - box.left) / box.width) * width, y: ((event.clientY - box.top) / box.height) * height });
  }

  drawBar(view) {
    this.drawFrame(view);
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
    clearTimeout(this.again);
    this.resize.disconnect();
    this.stops.forEach((stop) => stop());
    this.viewer.destroy();
    this.host.replaceChildren();
  }
}
