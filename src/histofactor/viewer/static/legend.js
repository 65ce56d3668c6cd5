// What the colours mean, how much there is of each, and where concepts are named, merged and excluded.

import { ask, exclude, recolor, rename, startMerge, mergeState, mergeWith } from "./actions.js";
import { areaTeller, fill, fromHex, h, hex, percent, rgb } from "./dom.js";
import { areas, isProvisional, jointNames, partShown, studyAreas, summed } from "./model.js";
import { swatchUrl } from "./patterns.js";
import { behind, editable, emit, loadTable, on, setUi, showAll, store } from "./store.js";

const SORTS = { label: "Number", name: "Name", area: "Area" };

export class Legend {
  // pane: gives the pane whose slide is told; panes: those that show phenotypes of the same labels
  constructor(box, pane, panes) {
    Object.assign(this, { box, pane, panes });
    this.search = h("input", { type: "search", placeholder: "Search", title: "Of names and what is told of them", "aria-label": "Search phenotypes", oninput: () => { this.glow(null); this.render(); } });
    this.sort = h("select", { "aria-label": "Sort by", onchange: () => setUi({ sort: this.sort.value }) }, Object.entries(SORTS).map(([value, text]) => h("option", { value }, text)));
    this.scope = h("select", { "aria-label": "Areas of", onchange: () => setUi({ scope: this.scope.value }) }, h("option", { value: "slide" }, "This slide"), h("option", { value: "study" }, "Study"));
    this.note = h("p", { class: "quiet note" });
    this.part = h("div", { class: "part-shown" }, h("span", {}), h("button", { id: "show-all", hidden: true, onclick: showAll }, "Show all"));
    this.list = h("ul", { class: "classes", id: "classes", "aria-label": "Phenotypes" });
    this.actions = h("div", { class: "actions" });
    this.files = h("details", { class: "files" }, h("summary", {}, "Files"));
    fill(box, h("div", { class: "legend-head" }, this.search, this.scope, this.sort), this.note, this.part, this.list, this.actions, this.files);
    this.chosen = null; // labels
    this.apart = new Set(); // names whose phenotypes are listed each
    this.stops = [on("ui", (changes) => { if (changes.only) this.chosen = this.labelsOf(changes.only, changes.together); })];
    this.stops.push(...["ui", "concepts", "table", "opened", "merging"].map((what) => on(what, () => this.render())));
    this.stops.push(on("merging", () => this.hold(mergeState()?.labels)), on("asked", (labels) => this.hold(labels)));
    this.list.addEventListener("keydown", (event) => this.keys(event));
    this.list.addEventListener("pointerleave", () => this.glow(null)); // a line may be gone by then
  }

  // All labels that are listed as one with a label, or it alone where these are listed each.
  labelsOf(label, together = true) {
    const row = this.rows().find(({ labels }) => labels.includes(label));
    return row && together && !this.isApart(row) ? row.labels : [label];
  }

  isApart(row) {
    return row.labels.length > 1 && (this.apart.has(row.name) || (!store.ui.together && row.labels.includes(store.ui.only)));
  }

  // What names, merges and the like are done to; null chooses none.
  choose(label) {
    this.chosen = label === null ? null : this.labelsOf(label);
    this.render();
    this.list.querySelector(".chosen")?.scrollIntoView({ block: "nearest" });
  }

  // What is to be merged stays on the map, also beside what is singled out.
  hold(labels) {
    for (const pane of this.panes()) pane.holdOn(labels?.map((label) => label - 1) ?? null);
    if (!labels) this.glow(null);
  }

  glow(labels) {
    for (const pane of this.panes()) pane.glowOn(labels?.map((label) => label - 1) ?? null);
  }

  // Whether this label is one of the study's concepts, and not of its slide alone.
  isShared(label) {
    return Boolean(this.shared) && label <= store.concepts.k;
  }

  // Whether it is several of the study's concepts that only Apply can draw apart.
  isJoint(label) {
    return Boolean(this.rows().find(({ labels }) => labels.includes(label))?.joint);
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
    this.undone = told.some((row) => row.made_of && !store.concepts.maps[row.bank]);
    this.joint = [...new Set(told.flatMap((row) => (row.px ? jointNames(store.concepts, row) : [])))];
    this.told = study ? `${mine.slides} of ${store.study.slides.length} slides` : "";
    if (study) loadTable();
    const rows = summed(classes, found);
    const part = partShown(rows, classes, store.ui);
    fill(this.part.firstChild, part || `${rows.length} phenotypes`);
    this.part.lastChild.hidden = !part;
    this.part.classList.toggle("warning", Boolean(part));
    this.area = areaTeller(rows.map((row) => row.amount), um2);
    return rows.map((row) => ({
      ...row, parts: row.labels.map((label) => ({ ...classes[label - 1], labels: [label], index: row.index, part: true, amount: 0, share: 0, ...found[label - 1] })),
    }));
  }

  render() {
    if (this.dragging) return; // a line that is taken away ends the drag
    const rows = this.rows();
    this.box.classList.toggle("patterns", store.ui.pattern);
    const { sort, scope, only, together } = store.ui;
    if (!this.chosen && only && rows.length) this.chosen = this.labelsOf(only, together); // as the address told
    this.sort.value = sort;
    this.scope.value = scope;
    const text = this.search.value.trim().toLowerCase();
    const by = { label: (a, b) => a.index - b.index, name: (a, b) => a.name.localeCompare(b.name), area: (a, b) => b.amount - a.amount }[sort];
    const shown = rows.filter((row) => !text || `${row.name} ${row.hint ?? ""}`.toLowerCase().includes(text)).sort(by);
    const most = Math.max(...rows.map((row) => row.share ?? 0), 1e-9);
    const behind = this.shared === false && store.concepts?.k ? "its labels are of other concepts; Apply brings them up to date" : "";
    const provisional = this.provisional ? `shares are provisional after ${this.undone ? "undo" : "a merge"}: Apply decides anew from the weights` : "";
    const joint = this.joint?.length ? `${this.joint.map((name) => `“${name}”`).join(" and ")} ${this.joint.length > 1 ? "are" : "is"} one on this map until Apply draws them apart` : "";
    this.note.textContent = [this.told, behind, joint, provisional].filter(Boolean).join("; ");
    this.note.classList.toggle("warning", Boolean(joint));
    const focus = document.activeElement?.closest?.(".class")?.dataset.label;
    const items = (row) => [this.item(row, most), this.isApart(row) && row.parts.map((part) => this.item(part, most))];
    fill(this.list, shown.map(items), text && !shown.length && h("li", { class: "quiet nothing" }, `nothing found for “${text}”`));
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

  // Of a phenotype, of all that bear one name, or of a part of these.
  item(row, most) {
    const { labels } = row;
    const several = labels.length > 1;
    const hidden = labels.every((label) => store.ui.hidden.has(label));
    const only = labels.includes(store.ui.only) && (store.ui.together ? !row.part : !several);
    const merging = mergeState()?.labels.join() === labels.join();
    const chosen = this.chosen?.join() === labels.join();
    const own = !row.own && this.shared && editable();
    const called = `${labels.join(", ")} ${row.name}`;
    const look = { "--of": rgb(row.color), "background-image": store.ui.pattern ? swatchUrl(row.index) : "none" };
    const swatch = h("input", { type: "color", class: "swatch-input seen", style: look, value: hex(row.color), disabled: !own, title: "Colour", "aria-label": `Colour of ${row.name}`, tabindex: "-1", onchange: (event) => recolor(labels, fromHex(event.target.value)) });
    const eye = h("button", { class: "eye", tabindex: "-1", "aria-pressed": String(!hidden), "aria-label": `Show ${row.name}`, title: "Show or hide (space)", onclick: (event) => { event.stopPropagation(); toggle(labels); } }, hidden ? "○" : "●");
    const apart = this.isApart(row);
    const fold = several && h("button", { class: "fold", tabindex: "-1", "aria-expanded": String(apart), "aria-label": `List the phenotypes called ${row.name} each`, title: "List each (→), or as one (←)", onclick: (event) => { event.stopPropagation(); this.fold(row, !apart); } }, apart ? "▾" : "▸", `${labels.length}×`);
    const item = h(
      "li",
      {
        class: ["class", row.part && "part", hidden && "hidden-class", only && "only", chosen && "chosen", row.excluded && "excluded", merging && "merging"].filter(Boolean).join(" "),
        tabindex: "0", draggable: own, "aria-label": `${called}, ${row.share === null ? "artefact" : percent(row.share)}, ${this.area(row.amount)}${only ? ", singled out" : ""}${hidden ? ", hidden" : ""}`,
      },
      swatch,
      several ? fold : h("span", { class: "number" }, String(labels[0])),
      h("span", { class: "name", title: row.name }, row.name, row.excluded && h("em", {}, " artefact")),
      h("span", { class: "share" }, percent(row.share)),
      h("span", { class: "area" }, this.area(row.amount)),
      eye,
      row.hint && h("small", { class: "about" }, row.hint),
      h("span", { class: "bar" }, h("i", { class: "seen", style: { width: `${(100 * (row.share ?? 0)) / most}%`, "--of": rgb(row.color) } })),
    );
    item.dataset.label = labels.join("+");
    item.addEventListener("click", (event) => {
      if (event.target === swatch) return;
      if (mergeState()) mergeWith(labels);
      else single(labels);
      this.chosen = labels;
      this.render();
    });
    item.addEventListener("dblclick", () => own && rename(labels));
    item.addEventListener("focus", () => {
      this.chosen = labels;
      for (const one of this.list.children) one.classList.toggle("chosen", one === item);
      this.renderActions(this.rows());
    });
    item.addEventListener("pointerenter", () => this.glow(labels));
    item.addEventListener("pointerleave", () => this.glow(null));
    item.addEventListener("dragstart", (event) => { this.dragging = true; event.dataTransfer.setData("text/plain", labels.join("+")); });
    item.addEventListener("dragend", () => { this.dragging = false; this.render(); });
    item.addEventListener("dragover", (event) => { if (own) { event.preventDefault(); item.classList.add("drop"); } });
    item.addEventListener("dragleave", () => item.classList.remove("drop"));
    item.addEventListener("drop", (event) => {
      event.preventDefault();
      item.classList.remove("drop");
      const dragged = event.dataTransfer.getData("text/plain").split("+").map(Number);
      const known = dragged.every((label) => label >= 1 && label <= store.concepts.k);
      if (own && known && !dragged.some((label) => labels.includes(label))) ask.merge([...dragged, ...labels], labels[0]);
    });
    return item;
  }

  renderActions(rows) {
    const row = rows.flatMap((one) => [one, ...one.parts]).find(({ labels }) => labels.join() === this.chosen?.join());
    const able = row && !row.own && this.shared && editable();
    const button = (text, title, onclick) => h("button", { title, onclick, disabled: !able }, text);
    const merging = mergeState();
    if (merging) {
      const several = merging.labels.length > 1;
      fill(this.actions, h("p", { class: "hint" }, `Merge “${merging.name}” with: choose another (or Esc)`), several && h("button", { onclick: () => mergeWith(merging.labels) }, `Only these ${merging.labels.length}`), h("button", { onclick: () => startMerge(null) }, "Cancel"));
      return;
    }
    fill(
      this.actions,
      button("Name", "Name (N)", () => rename(row.labels)),
      button("Merge", "Merge with another (M)", () => startMerge(row.labels)),
      button(row?.excluded ? "Include" : "Artefact", "Exclude from shares (X)", () => exclude(row.labels)),
      h("button", { disabled: !row || row.own || !store.concepts?.k, title: "Its page (K)", onclick: () => { setUi({ page: "concepts", concept: row.labels[0] }); emit("page"); } }, "Concept"),
    );
  }

  keys(event) {
    const items = [...this.list.children];
    const at = items.indexOf(document.activeElement);
    if (!items[at]?.dataset.label) return;
    const labels = items[at].dataset.label.split("+").map(Number);
    const row = this.rows().find((one) => one.labels.length > 1 && one.labels.includes(labels[0]));
    const moves = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 };
    if (event.key in moves) items[Math.max(0, Math.min(moves[event.key], items.length - 1))].focus();
    else if (event.key === "Enter") mergeState() ? mergeWith(labels) : single(labels);
    else if (event.key === " ") toggle(labels);
    else if (row && event.key === "ArrowRight") this.fold(row, true);
    else if (row && event.key === "ArrowLeft") this.fold(row, false);
    else return;
    event.preventDefault();
    event.stopPropagation();
    const again = event.key in moves || event.key === "ArrowLeft" ? this.chosen.join("+") : items[at].dataset.label;
    this.list.querySelector(`[data-label="${again}"]`)?.focus();
  }

  // List phenotypes of one name each, or as one; one of them that is singled out is shown together with the rest then.
  fold(row, apart) {
    if (apart) this.apart.add(row.name);
    else this.apart.delete(row.name);
    if (!apart) this.chosen = row.labels;
    if (!apart && row.labels.includes(store.ui.only)) setUi({ together: true });
    this.render();
  }

  destroy() {
    this.stops.forEach((stop) => stop());
  }
}

// Several labels bear one name, and are singled out together.
export function single(labels) {
  const together = labels.length > 1;
  const already = labels.includes(store.ui.only) && store.ui.together === together;
  setUi({ only: already ? null : labels[0], together });
}

export function toggle(labels) {
  const hidden = new Set(store.ui.hidden);
  const all = labels.every((label) => hidden.has(label));
  for (const label of labels) all ? hidden.delete(label) : hidden.add(label);
  setUi({ hidden });
}
