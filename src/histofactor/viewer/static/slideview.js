// The page of one slide, or of two side by side that move together.

import * as api from "./api.js";
import { $, errorText, fill, h, percent, rgb, toast } from "./dom.js";
import { Legend } from "./legend.js";
import { heatColor } from "./layer.js";
import { keep } from "./link.js";
import { Pane } from "./pane.js";
import { emit, on, setUi, store } from "./store.js";

export class SlideView {
  constructor(main) {
    this.panes = [];
    this.hosts = h("div", { class: "panes" });
    this.readout = h("div", { class: "readout", "aria-live": "off" });
    this.tools = this.makeTools();
    this.detail = h("section", { class: "detail", "aria-label": "Place", hidden: true });
    this.heatKey = h("div", { class: "heat-key", hidden: true });
    this.legendBox = h("aside", { class: "legend", "aria-label": "Legend" });
    fill(main, h("div", { class: "slide-page" }, h("div", { class: "stage-column" }, this.tools, this.hosts, this.readout, this.heatKey, this.detail), this.legendBox));
    this.legend = new Legend(this.legendBox, () => this.panes[0], () => this.alikePanes());
    this.stops = [on("hover", (at) => this.tell(at)), on("ui", () => this.refresh()), on("relabelled", () => this.reopen()), on("concepts", () => this.drawDetail())];
    this.refresh();
  }

  makeTools() {
    const tool = (label, title, onclick, id) => h("button", { title, onclick, id, "aria-pressed": "false" }, label);
    this.opacity = h("input", {
      type: "range", min: "0", max: "100", id: "opacity", "aria-label": "Opacity of the map, per cent",
      oninput: () => setUi({ opacity: Number(this.opacity.value) }),
    });
    this.buttons = {
      shown: tool("Map", "Show or hide the map (H)", () => setUi({ shown: !store.ui.shown }), "tool-shown"),
      outline: tool("Outline", "Outlines in the place of areas (O)", () => setUi({ outline: !store.ui.outline }), "tool-outline"),
      pattern: tool("Patterns", "Patterns beside colours (P)", () => setUi({ pattern: !store.ui.pattern }), "tool-pattern"),
    };
    this.heatSelect = h(
      "select", { id: "heat", "aria-label": "Layer", onchange: () => setUi({ heat: this.heatSelect.value }) },
      h("option", { value: "" }, "Phenotypes"), h("option", { value: "margin" }, "Margin"), h("option", { value: "residual" }, "Residual"),
    );
    const whole = h("button", { title: "The whole slide (0)", onclick: () => this.whole() }, "Whole");
    this.compareSelect = h("select", { id: "compare-with", "aria-label": "Beside it", hidden: true, onchange: () => this.chooseOther() });
    return h("div", { class: "tools", role: "toolbar", "aria-label": "Map" }, Object.values(this.buttons), this.heatSelect, h("label", { class: "opacity", title: "Opacity of the map ([ and ])" }, h("span", { class: "roomy" }, "Opacity"), this.opacity), whole, this.compareSelect);
  }

  refresh() {
    const { ui } = store;
    this.opacity.value = ui.opacity;
    for (const [name, button] of Object.entries(this.buttons)) button.setAttribute("aria-pressed", String(Boolean(ui[name])));
    this.heatSelect.value = ui.heat;
    this.drawHeatKey();
    keep();
  }

  async show() {
    const { slide, other, compare } = store.ui;
    if (!slide) {
      fill(this.hosts, h("p", { class: "empty" }, "No slide of this study has results yet."));
      return;
    }
    const wanted = compare ? 2 : 1;
    if (this.panes.length !== wanted || this.mode !== compare) this.makePanes(wanted, compare);
    this.mode = compare;
    this.fillCompare();
    this.link = null;
    this.wanted = null;
    const second = compare === "slides" ? (other ?? slide) : slide;
    try {
      const { x, y, s } = store.ui;
      const at = s ? { x, y, s } : null;
      await Promise.all(this.panes.map((pane, index) => {
        const id = index ? second : slide;
        return pane.slide?.id === id && pane.isOpen ? null : pane.open(id, index && compare === "slides" && second !== slide ? null : at);
      }));
      this.tie();
      if (this.wanted === "whole") this.whole();
    } catch (error) {
      toast(errorText(error.error ?? error.message), "error");
      fill(this.hosts, h("p", { class: "empty", role: "alert" }, errorText(error.error ?? error.message)));
      this.panes = [];
    }
    this.drawDetail();
    this.legend.render();
    emit("shown");
  }

  // Panes of which the legend tells the phenotypes.
  alikePanes() {
    const [first] = this.panes;
    return this.panes.filter((one) => first.slide && one.slide && (one.slide.id === first.slide.id || (one.classes.shared && first.classes.shared)));
  }

  reopen() {
    for (const pane of this.panes) pane.slide = null;
    return this.show();
  }

  makePanes(count, compare) {
    this.panes.forEach((pane) => pane.destroy());
    const hosts = Array.from({ length: count }, () => h("div", { class: "pane" }));
    fill(this.hosts, hosts);
    this.hosts.classList.toggle("two", count === 2);
    this.panes = hosts.map((host, index) =>
      new Pane(host, {
        map: !(compare === "image" && index === 0),
        onMove: (pane) => this.moved(pane),
        onPoint: (pane, place) => this.point(pane, place),
      }));
  }

  fillCompare() {
    this.compareSelect.hidden = !store.ui.compare;
    if (!store.ui.compare) return;
    const others = store.study.slides.map(([id, name]) => h("option", { value: id }, name));
    if (!this.compareSelect.options.length) fill(this.compareSelect, h("option", { value: "" }, "the image alone"), others);
    this.compareSelect.value = store.ui.compare === "slides" ? (store.ui.other ?? "") : "";
  }

  chooseOther() {
    const other = this.compareSelect.value || null;
    setUi({ other, compare: other ? "slides" : "image" });
    this.show();
  }

  // All that is shown, as a whole: two slides at one scale, at which both fit. While one opens that is done once it has.
  whole() {
    this.wanted = "whole";
    if (!this.panes.length || !this.panes.every((pane) => pane.isOpen)) return;
    const [first, second] = this.panes;
    const ratio = second ? umRatio(first, second) : 1;
    const s = Math.max(first.fit.s, second ? second.fit.s / ratio : 0);
    this.following = true;
    first.go({ ...first.fit, s }, false);
    second?.go({ ...second.fit, s: s * ratio }, false);
    this.following = false;
    if (this.link) this.link = new Map(this.panes.map((pane) => [pane, pane.target]));
  }

  // From here on two slides move by as much, at one scale in µm where both tell it.
  tie() {
    const [first, second] = this.panes;
    if (!second?.slide || first.slide.id === second.slide.id) return;
    this.following = true;
    second.go({ ...second.target, s: first.target.s * umRatio(first, second) });
    this.following = false;
    this.link = new Map(this.panes.map((pane) => [pane, pane.target]));
  }

  // Both panes move by as many µm; where they show one slide they show one place.
  moved(pane) {
    if (!pane.isOpen || this.following) return;
    const mine = pane.target;
    if (pane === this.panes[0]) {
      Object.assign(store.ui, mine);
      keep();
    }
    const other = this.panes.find((one) => one !== pane);
    if (!other?.isOpen) return;
    const same = other.slide.id === pane.slide.id;
    if (!same && !this.link) return;
    const ratio = umRatio(pane, other);
    const [from, to] = same ? [] : [this.link.get(pane), this.link.get(other)];
    const goal = same ? mine : { x: to.x + (mine.x - from.x) * ratio, y: to.y + (mine.y - from.y) * ratio, s: mine.s * ratio };
    this.following = true;
    other.go(goal);
    this.following = false;
  }

  tell(at) {
    if (!at) {
      this.readout.replaceChildren();
      return;
    }
    const { magnification } = at.pane.scale;
    const um = at.pane.slide.mpp;
    const place = um ? `x ${(at.x * um / 1000).toFixed(3)} mm, y ${(at.y * um / 1000).toFixed(3)} mm` : `x ${Math.round(at.x)} px, y ${Math.round(at.y)} px`;
    fill(
      this.readout,
      at.index >= 0 && h("span", { class: "swatch seen", style: { "--of": rgb(at.color) } }),
      h("span", { class: "under", id: "under" }, at.name),
      h("span", { class: "quiet" }, place),
      magnification && h("span", { class: "quiet" }, `${magnification >= 10 ? magnification.toFixed(0) : magnification.toFixed(1)}×`),
    );
  }

  // What was clicked is chosen in the legend, which tells the first slide's phenotypes.
  choose(pane, index) {
    if (pane === this.panes[0] || (pane.classes.shared && this.panes[0].classes.shared)) this.legend.choose(index >= 0 ? index + 1 : null);
  }

  async point(pane, [x, y]) {
    if (x < 0 || y < 0 || x >= pane.slide.size[0] || y >= pane.slide.size[1]) return;
    const here = pane.classAt(x, y);
    if (here.label !== null) this.choose(pane, here.index);
    try {
      const { label, token } = await api.get(`/api/slides/${pane.slide.id}/point?x=${x.toFixed(3)}&y=${y.toFixed(3)}`);
      if (here.label === null) this.choose(pane, pane.classes.lut[label]);
      this.place = { pane, slide: pane.slide, label, token };
      this.drawDetail();
    } catch (error) {
      toast(errorText(error.error ?? error.message), "error");
    }
  }

  // What is told of a place, in the names that are given now.
  drawDetail() {
    const { pane, slide, label, token } = this.place ?? {};
    this.detail.hidden = !pane || pane.slide !== slide || !this.panes.includes(pane);
    if (this.detail.hidden) return;
    const { classes, lut } = pane.classes;
    const name = (at) => classes[at]?.name ?? "";
    const several = (at) => classes.filter((one) => one.name === name(at)).length > 1;
    const merged = new Map();
    for (const [concept, share] of token?.strongest ?? []) {
      const at = lut[concept + 1];
      merged.set(at, (merged.get(at) ?? 0) + share);
    }
    const rows = [...merged].map(([at, share]) => h("li", {}, h("span", { class: "swatch seen", style: { "--of": rgb(classes[at].color) } }), h("span", { class: "name" }, several(at) ? `${name(at)} (${at + 1})` : name(at)), h("span", { class: "number" }, percent(share))));
    const at = lut[label];
    fill(
      this.detail,
      h("button", { class: "close", "aria-label": "Close", onclick: () => { this.place = null; this.drawDetail(); } }, "×"),
      h("h2", {}, at >= 0 ? name(at) : "no tissue / unassigned"),
      token ? h("ol", { class: "strongest", "aria-label": "Strongest concepts" }, rows) : h("p", { class: "quiet" }, "no weights were kept of this slide"),
      token && h("p", { class: "quiet" }, `margin ${token.margin === null ? "none" : token.margin.toFixed(2)}, residual ${token.residual.toFixed(2)}`),
    );
  }

  drawHeatKey() {
    const { heat, shown } = store.ui;
    this.heatKey.hidden = !heat || !shown;
    if (this.heatKey.hidden) return;
    const steps = Array.from({ length: 24 }, (_, step) => h("i", { style: { background: rgb(heatColor(step / 23)) } }));
    const told = heat === "margin" ? "margin: how far the first concept leads" : "residual: what no concept explains";
    const none = this.panes[0]?.slide && !this.panes[0].slide.weights;
    fill(this.heatKey, h("span", {}, none ? "no weights were kept of this slide" : told), !none && h("span", { class: "steps" }, "0", steps, "1"));
  }

  destroy() {
    this.stops.forEach((stop) => stop());
    this.legend.destroy();
    this.panes.forEach((pane) => pane.destroy());
  }
}

const umRatio = (from, to) => (from.slide.mpp && to.slide.mpp ? from.slide.mpp / to.slide.mpp : 1);

export function goTo(id, place = {}) {
  setUi({ page: "slide", slide: id, compare: "", other: null, mark: place.mark ?? null, x: place.x ?? null, y: place.y ?? null, s: place.s ?? null, ...place.ui });
  $("slides").value = id;
  emit("page");
}

