// All slides of the study, to be sorted by how much there is of any phenotype.

import { errorText, fill, h, percent, rgb, toast } from "./dom.js";
import { areas, classesOf, summed } from "./model.js";
import { goTo } from "./slideview.js";
import { loadTable, on, setUi, store } from "./store.js";

const AGAIN_MS = 2000;

export class Gallery {
  constructor(main) {
    this.search = h("input", { type: "search", placeholder: "Search slides", "aria-label": "Search slides", oninput: () => this.render() });
    this.by = h("select", { id: "gallery-by", "aria-label": "Sort by", onchange: () => setUi({ by: this.by.value }) });
    this.count = h("span", { class: "quiet" });
    this.grid = h("ul", { class: "gallery", "aria-label": "Slides" });
    fill(main, h("section", { class: "gallery-page" }, h("div", { class: "tools" }, this.search, h("label", {}, "Sort by share of ", this.by), this.count), this.grid));
    this.stops = ["table", "ui", "concepts"].map((what) => on(what, () => this.render()));
    this.render();
    this.load();
  }

  // Inputs are looked for in the background: until all are known, those that are not are asked for again.
  async load(only = null) {
    await loadTable(Boolean(only), only).catch((error) => toast(errorText(error.error ?? error.message), "error"));
    const unknown = [...store.rows].filter(([, row]) => row.checking).map(([id]) => id);
    if (!this.ended && unknown.length) this.again = setTimeout(() => this.load(unknown), AGAIN_MS);
  }

  render() {
    const known = summed(store.concepts.concepts, []);
    const by = known.find(({ labels }) => labels.includes(Number(store.ui.by)))?.index ?? -1;
    fill(this.by, h("option", { value: "" }, "(order of the menu)"), known.map((one) => h("option", { value: String(one.index + 1) }, one.name)));
    this.by.value = by >= 0 ? String(by + 1) : "";
    const text = this.search.value.trim().toLowerCase();
    const cards = store.study.slides
      .filter(([, name]) => !text || name.toLowerCase().includes(text))
      .map(([id, name]) => {
        const row = store.rows.get(id);
        const told = row?.px ? classesOf(store.concepts, row) : null;
        const found = told ? summed(told.classes, areas(told.classes, told.lut, row.px)) : [];
        return { id, name, row, found, share: told?.shared ? (found.find(({ index }) => index === by)?.share ?? null) : null };
      });
    if (by >= 0) cards.sort((a, b) => (b.share ?? -1) - (a.share ?? -1));
    this.count.textContent = `${cards.length} slides`;
    fill(this.grid, cards.map((card) => this.card(card, by)));
  }

  card({ id, name, row, found, share }, by) {
    const bars = found
      .filter((area) => area.share)
      .sort((a, b) => b.share - a.share)
      .map((area) => h("i", { title: `${area.name} ${percent(area.share)}`, class: "seen", style: { width: `${100 * area.share}%`, "--of": rgb(area.color) } }));
    const finished = !row || ["done", "damaged"].includes(row.status);
    return h(
      "li", { class: "card" },
      h("button", { onclick: () => goTo(id), disabled: !finished, "aria-label": `${name}${share !== null && by >= 0 ? `, ${percent(share)}` : ""}` },
        finished ? h("img", { src: `/thumbs/${id}.jpg`, alt: "", loading: "lazy", decoding: "async" }) : h("span", { class: "empty" }, row.status),
        h("span", { class: "stack" }, bars),
        h("span", { class: "card-name" }, name, by >= 0 && share !== null && h("b", {}, percent(share)))),
      (row?.status === "failed" || row?.fault) && h("p", { class: "warning" }, row.error ?? errorText(row.fault)),
      row?.source && h("p", { class: "warning" }, errorText(row.source)),
      row?.warnings?.map((warning) => h("p", { class: "warning" }, warning)),
    );
  }

  destroy() {
    this.ended = true;
    clearTimeout(this.again);
    this.stops.forEach((stop) => stop());
  }
}
