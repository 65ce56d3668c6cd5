// A small picture of the whole slide, with a frame around what is seen; a press leads there.

import { tileUrl } from "./api.js";
import { h } from "./dom.js";

const SIDE = 150; // px of the longer one

export class Overview {
  // go: called with a place {x, y} in level-0 px
  constructor(go) {
    this.go = go;
    this.outline = h("div", { class: "frame" });
    this.small = h("img", { alt: "", draggable: false });
    this.box = h("div", { class: "overview", "aria-hidden": "true", title: "Overview" }, this.small, this.outline);
    for (const what of ["pointerdown", "pointermove"]) this.box.addEventListener(what, (event) => this.jump(event));
  }

  // The whole slide as one of its smallest tiles.
  show(slide) {
    this.size = slide.size;
    const [width, height] = this.size;
    const most = Math.max(width, height);
    this.small.hidden = Boolean(slide.source_fault);
    if (!slide.source_fault) this.small.src = tileUrl(slide, Math.min(Math.ceil(Math.log2(most)), 8), 0, 0);
    Object.assign(this.box.style, { width: `${(SIDE * width) / most}px`, height: `${(SIDE * height) / most}px` });
  }

  frame(view) {
    const [width, height] = this.size;
    const part = (start, length, whole) => {
      const [from, to] = [start / whole, (start + length) / whole].map((at) => 100 * Math.min(Math.max(at, 0), 1));
      return [`${from}%`, `${Math.max(to - from, 2)}%`];
    };
    const [left, wide] = part(view.x, view.width / view.scale, width);
    const [top, high] = part(view.y, view.height / view.scale, height);
    Object.assign(this.outline.style, { left, top, width: wide, height: high });
  }

  jump(event) {
    if (!event.buttons || !this.size) return;
    const box = this.box.getBoundingClientRect();
    const [width, height] = this.size;
    this.go({ x: ((event.clientX - box.left) / box.width) * width, y: ((event.clientY - box.top) / box.height) * height });
  }
}
