// What the colours mean, how much there is of each, and where concepts are named, merged and excluded.

import { ask, exclude, recolor, rename, startMerge, mergeState, mergeWith } from "./actions.js";
import { areaText, fill, fromHex, h, hex, percent } from "./dom.js";
import { patternOf } from "./layer.js";
import { areas, isProvisional, studyAreas } from "./model.js";
import { behind, editable, emit, loadTable, on, setUi, store } from "./store.js";

const SORTS = { label: "Number", name: "Name", area: "Area" };

export class Legend {
  // pane: gives the pane whose slide is told
  constructor(box, pane) {
    this.box = box;
    this.pane = pane;
    this.search = h("input", { type: "search", placeholder: "Search", "aria-label": "Search phenotypes", oninput: () => this.render() });
    this.sort = h("select", { "aria-label": "Sort by", onchange: () => setUi({ sort: this.sort.value }) }, Object.entries(SORTS).map(([value, text]) => h("option", { value }, text)));
    this.scope = h("select", { "aria-label": "Areas of", onchange: () => setUi({ scope: this.scope.value }) }, h("option", { value: "slide" }, "This slide"), h("option", { value: "study" }, "Study"));
    this.note = h("p", { class: "quiet note" });
    this.list = h("ul", { class: "classes", id: "classes", "aria-label": "Phenotypes" });
    this.actions = h("div", { class: "actions" });
    this.files = h("details", { class: "files" }, h("summary", {}, "Files"));
    fill(box, h("div", { class: "legend-head" }, this.search, this.scope, this.sort), this.note, this.list, this.actions, this.files);
    this.chosen = null;
    this.stops = [on("ui", ({ only }) => { if (only) this.chosen = only; })];
    this.stops.push(...["ui", "concepts", "table", "opened", "merging"].map((what) => on(what, () => this.render())));
    this.list.addEventListener("keydown", (event) => this.keys(event));
  }

  // What names, merges and the like are done to; null chooses none.
  choose(label) {
    this.chosen = label;
    this.render();
    this.list.querySelector(".chosen")?.scrollIntoView({ block: "nearest" });
  }

  // Whether this label is one of the study's concepts, and not of its slide alone.
  isShared(label) {
    return Boolean(this.shared) && label <= store.concepts.k;
  }

  rows() {
    const pane = this.pane();
    if (!pane?.slide) return [];
    const { classes, lut, shared } = pane.classes;
    const study = store.ui.scope === "study" && shared;
    const mine = study ? studyAreas(store.concepts, [...store.rows.values()]) : null;
    const found = study ? mine.areas : areas(classes, lut, pane.slide.row.px);
    const um2 = study ? mine.um2PerPx : pane.slide.row.um2_per_px;
    this.shared = shared;
    const told = study ? [...store.rows.values()] : [pane.slide.row];
    this.provisional = told.some((row) => isProvisional(store.concepts, row));
    this.told = study ? `${mine.slides} of ${store.study.slides.length} slides` : "";
    if (study) loadTable();
    return classes.map((one, index) => ({ ...one, index, label: index + 1, ...(found[index] ?? { amount: 0, share: 0 }), um2 }));
  }

  render() {
    const rows = this.rows();
    const { sort, hidden, only, scope, pattern } = store.ui;
    this.sort.value = sort;
    this.scope.value = scope;
    const text = this.search.value.trim().toLowerCase();
    const by = { label: (a, b) => a.index - b.index, name: (a, b) => a.name.localeCompare(b.name), area: (a, b) => b.amount - a.amount }[sort];
    const shown = rows.filter((row) => !text || row.name.toLowerCase().includes(text)).sort(by);
    const most = Math.max(...rows.map((row) => row.share ?? 0), 1e-9);
    const behind = this.shared === false && store.concepts?.k ? "its labels are of other concepts; Apply brings them up to date" : "";
    const provisional = this.provisional ? "shares are provisional after a merge: Apply decides anew from the weights" : "";
    this.note.textContent = [this.told, behind, provisional].filter(Boolean).join("; ");
    const focus = document.activeElement?.closest?.(".class")?.dataset.label;
    fill(this.list, shown.map((row) => this.item(row, { hidden: hidden.has(row.label), only: only === row.label, most, pattern })));
    if (focus && this.box.contains(document.activeElement) === false) this.list.querySelector(`[data-label="${focus}"]`)?.focus();
    this.renderActions(rows);
    this.renderFiles();
  }

  // What segment wrote, as it is on the disk: after Apply with the names that are given here.
  renderFiles() {
    const id = this.pane()?.slide?.id;
    const link = (href, text) => h("li", {}, h("a", { href, download: "" }, text));
    fill(
      this.files, h("summary", {}, "Files"),
      h("ul", {},
        id && link(`/api/slides/${id}/phenotypes.csv`, "Table of this slide (CSV)"),
        id && link(`/api/slides/${id}/regions.geojson.gz`, "Regions of this slide (GeoJSON)"),
        link("/api/phenotypes.csv", "Table of the study (CSV)")),
      store.concepts && behind() ? h("p", { class: "quiet" }, "Names given since are in them after Apply.") : null,
    );
  }

  item(row, { hidden, only, most, pattern }) {
    const merging = mergeState();
    const own = !row.own && this.shared && editable();
    const swatch = h("input", { type: "color", class: "swatch-input", value: hex(row.color), disabled: !own, title: "Colour", "aria-label": `Colour of ${row.name}`, tabindex: "-1", onchange: (event) => recolor(row.label, fromHex(event.target.value)) });
    const eye = h("button", { class: "eye", tabindex: "-1", "aria-pressed": String(!hidden), "aria-label": `${hidden ? "Show" : "Hide"} ${row.name}`, title: "Show or hide (space)", onclick: (event) => { event.stopPropagation(); toggle(row.label); } }, hidden ? "○" : "●");
    const item = h(
      "li",
      {
        class: ["class", hidden && "hidden-class", only && "only", this.chosen === row.label && "chosen", row.excluded && "excluded", merging?.label === row.label && "merging"].filter(Boolean).join(" "),
        tabindex: "0", draggable: own, "aria-label": `${row.label} ${row.name}, ${row.share === null ? "artefact" : percent(row.share)}, ${areaText(row.amount, row.um2)}${only ? ", singled out" : ""}${hidden ? ", hidden" : ""}`,
      },
      swatch,
      h("span", { class: `number${pattern ? ` pattern-${patternOf(row.index)}` : ""}` }, String(row.label)),
      h("span", { class: "name", title: row.name }, row.name, row.excluded && h("em", {}, " artefact"), row.hint && h("small", {}, ` ${row.hint}`)),
      h("span", { class: "share" }, percent(row.share)),
      h("span", { class: "area" }, areaText(row.amount, row.um2)),
      eye,
      h("span", { class: "bar" }, h("i", { style: { width: `${(100 * (row.share ?? 0)) / most}%`, background: hex(row.color) } })),
    );
    item.dataset.label = row.label;
    item.addEventListener("click", (event) => {
      if (event.target === swatch) return;
      if (mergeState()) mergeWith(row.label);
      else single(row.label);
      this.choose(row.label);
    });
    item.addEventListener("dblclick", () => own && rename(row.label));
    item.addEventListener("focus", () => {
      this.chosen = row.label;
      for (const one of this.list.children) one.classList.toggle("chosen", one === item);
      this.renderActions(this.rows());
    });
    item.addEventListener("pointerenter", () => this.pane()?.glowOn(row.index));
    item.addEventListener("pointerleave", () => this.pane()?.glowOn(undefined));
    item.addEventListener("dragstart", (event) => event.dataTransfer.setData("text/plain", String(row.label)));
    item.addEventListener("dragover", (event) => { if (own) { event.preventDefault(); item.classList.add("drop"); } });
    item.addEventListener("dragleave", () => item.classList.remove("drop"));
    item.addEventListener("drop", (event) => {
      event.preventDefault();
      item.classList.remove("drop");
      const label = Number(event.dataTransfer.getData("text/plain"));
      if (own && label && label !== row.label) ask.merge([label, row.label], row.label);
    });
    return item;
  }

  renderActions(rows) {
    const row = rows.find((one) => one.label === this.chosen);
    const able = row && !row.own && this.shared && editable();
    const button = (text, title, onclick) => h("button", { title, onclick, disabled: !able }, text);
    const merging = mergeState();
    if (merging) {
      fill(this.actions, h("p", { class: "hint" }, `Merge “${merging.name}” with: choose another (or Esc)`), h("button", { onclick: () => startMerge(null) }, "Cancel"));
      return;
    }
    fill(
      this.actions,
      button("Name", "Name (N)", () => rename(row.label)),
      button("Merge", "Merge with another (M)", () => startMerge(row.label)),
      button(row?.excluded ? "Include" : "Artefact", "Exclude from shares (X)", () => exclude(row.label)),
      h("button", { disabled: !row || row.own || !store.concepts?.k, title: "Its page (K)", onclick: () => { setUi({ page: "concepts", concept: row.label }); emit("page"); } }, "Concept"),
    );
  }

  keys(event) {
    const items = [...this.list.children];
    const at = items.indexOf(document.activeElement);
    if (at < 0) return;
    const label = Number(items[at].dataset.label);
    const moves = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 };
    if (event.key in moves) items[Math.max(0, Math.min(moves[event.key], items.length - 1))].focus();
    else if (event.key === "Enter") mergeState() ? mergeWith(label) : single(label);
    else if (event.key === " ") toggle(label);
    else return;
    event.preventDefault();
    event.stopPropagation();
    const again = this.list.querySelector(`[data-label="${event.key in moves ? this.chosen : label}"]`);
    again?.focus();
  }

  destroy() {
    this.stops.forEach((stop) => stop());
  }
}

export const single = (label) => setUi({ only: store.ui.only === label ? null : label });

export function toggle(label) {
  const hidden = new Set(store.ui.hidden);
  if (!hidden.delete(label)) hidden.add(label);
  setUi({ hidden });
}
