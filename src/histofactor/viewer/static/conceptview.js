// One concept: typical places, what it is like, and where it occurs.

import * as api from "./api.js";
import { exclude, recolor, rename, startMerge, mergeState, mergeWith } from "./actions.js";
import { errorText, fill, fromHex, h, hex, percent, rgb } from "./dom.js";
import { areas, classesOf, ownersOf } from "./model.js";
import { goTo } from "./slideview.js";
import { editable, load, loadTable, on, setUi, settled, slideName, store } from "./store.js";

const SLIDES = 12;

// In the place of a picture whose slide was moved, or is another one.
const gone = (event) => event.target.replaceWith(h("span", { class: "gone" }, "not here"));

// What a model would call it, and how far that is to be believed.
const suggested = ({ told, patches, names, model, prompts }) => [
  h("p", { class: "suggested" }, `Suggested: ${told}`),
  h("p", { class: "quiet" }, `${patches.join(" of ")} patches; ${names.map(([name, share]) => `${name} ${share.toFixed(2)}`).join(", ")}; by ${model}, prompts ${prompts}`),
];

const choose = (label) => (mergeState() ? mergeWith([label]) : setUi({ concept: label }));

export class ConceptView {
  constructor(main) {
    this.list = h("ul", { class: "classes", "aria-label": "Concepts" });
    this.body = h("section", { class: "concept", "aria-live": "polite" });
    this.level = h("div", { class: "legend-head" });
    fill(main, h("div", { class: "concept-page" }, h("aside", { class: "legend", "aria-label": "Concepts" }, this.level, this.list), this.body));
    this.stops = [on("concepts", () => this.render()), on("ui", (what) => "concept" in what && this.render()), on("table", () => this.renderSlides()), on("saved", () => this.render()), on("merging", () => { this.renderList(); this.draw(); })];
    this.render();
    if (!store.study.alone) loadTable();
  }

  renderList() {
    const { concepts } = store.concepts;
    const merging = mergeState();
    this.list.classList.toggle("choosing", Boolean(merging));
    fill(this.list, concepts.map((one, index) => h(
      "li", {},
      h("button", { class: `class plain${store.ui.concept === index + 1 ? " only" : ""}${merging?.labels.includes(index + 1) ? " merging" : ""}`, "aria-current": store.ui.concept === index + 1 ? "true" : null, onclick: () => choose(index + 1) },
        h("span", { class: "swatch seen", style: { "--of": rgb(one.color) } }), h("span", { class: "number" }, String(index + 1)),
        h("span", { class: "name", title: one.name }, one.name, one.excluded && h("em", {}, " artefact")), one.hint && h("small", { class: "about" }, one.hint)))));
    if (!store.study.alone) return;
    const select = h("select", { "aria-label": "Number of concepts", onchange: async (event) => { setUi({ k: Number(event.target.value), concept: 1 }); await load(); } }, store.concepts.levels.map((k) => h("option", { value: String(k) }, `K = ${k}`)));
    select.value = String(store.concepts.k);
    fill(this.level, select);
  }

  async render() {
    this.renderList();
    if (!store.concepts.k) {
      fill(this.body, h("p", { class: "empty" }, store.study.why_read_only || "no concepts"));
      return;
    }
    const current = () => Math.min(Math.max(1, Math.round(store.ui.concept)), store.concepts.k);
    if (this.shown?.label === current() && this.shown.k === store.concepts.k) this.draw(); // names and colours at once
    await settled(); // the server tells what it knows
    const label = current();
    const asked = `${label}/${store.version}/${store.concepts.k}`;
    this.asked = asked;
    let card;
    try {
      card = await api.get(`/api/concepts/${label}?k=${store.concepts.k}`);
    } catch (error) {
      if (this.asked === asked) fill(this.body, h("p", { class: "empty" }, errorText(error.error ?? error.message)));
      return;
    }
    if (this.asked !== asked) return;
    this.shown = { card, label, k: store.concepts.k };
    this.draw();
  }

  draw() {
    if (!this.shown) return;
    const { card, label } = this.shown;
    const concept = store.concepts.concepts[label - 1];
    if (!concept) return;
    const merging = mergeState();
    const able = editable();
    this.where = h("ul", { class: "where" });
    this.label = label;
    fill(
      this.body,
      merging && h("p", { class: "merge-hint", role: "status" }, `Merge “${merging.name}” with: choose another in the list or under “Most alike” (or Esc)`, h("button", { onclick: () => startMerge(null) }, "Cancel")),
      h("div", { class: "concept-head" },
        h("input", { type: "color", class: "swatch-input seen", style: { "--of": rgb(concept.color) }, value: hex(concept.color), disabled: !able, "aria-label": "Colour", onchange: (event) => recolor([label], fromHex(event.target.value)) }),
        h("h1", {}, concept.name), concept.excluded && h("em", {}, "artefact: counts in no share"),
        h("span", { class: "grow" }),
        h("button", { disabled: !able, onclick: () => rename([label]) }, "Name"),
        h("button", { disabled: !able, "aria-pressed": String(Boolean(merging)), onclick: () => startMerge(merging ? null : [label]) }, merging ? "Choose another…" : "Merge"),
        h("button", { disabled: !able, onclick: () => exclude([label]) }, concept.excluded ? "Include" : "Artefact")),
      concept.hint && h("p", { class: "quiet" }, concept.hint),
      concept.suggested?.shown && suggested(concept.suggested),
      store.concepts.suggested_fault && h("p", { class: "warning" }, errorText(store.concepts.suggested_fault)),
      card.share !== null && h("p", { class: "quiet" }, `${percent(card.share)} of the tissue that concepts were learned from`),
      card.in_one_slide && h("p", { class: "warning" }, `It is ${card.in_one_slide}: its share of a group tells nothing of the group.`),
      card.alone && h("p", { class: "warning" }, `Nearly all of it comes from ${card.alone} alone: it may tell of that place rather than of tissue.`),
      h("h2", {}, "Typical places"),
      card.patches.length
        ? h("div", { class: "patches" }, card.patches.map((patch, rank) => h("button", { title: slideName(patch.id), "aria-label": `Typical place ${rank + 1} on ${slideName(patch.id)}`, "aria-disabled": store.study.alone ? "true" : null, onclick: () => store.study.alone || this.toPlace(patch) }, h("img", { src: `/patches/${store.version.slice(0, 12)}-${store.concepts.k}/${label}/${rank}.jpg?k=${store.concepts.k}`, alt: "", loading: "lazy", onerror: gone }))))
        : h("p", { class: "quiet" }, card.told_places ? (store.study.alone ? "the slides they lie on are not here: histofactor view BANK --slides FOLDER" : "the slides they lie on are not here") : "none are told"),
      h("h2", {}, "Most alike"),
      h("ul", { class: "where" }, card.neighbours.map(([other, alike]) => {
        const one = store.concepts.concepts[other - 1];
        return one && h("li", {}, h("button", { class: "plain", onclick: () => choose(other) }, h("span", { class: "swatch seen", style: { "--of": rgb(one.color) } }), one.name), h("span", { class: "quiet", title: "cosine of their directions in the features of the encoder: 100 % is the same" }, `${Math.round(100 * alike)} % alike`));
      })),
      card.origins.length > 0 && [h("h2", {}, "Where it was learned"), h("ul", { class: "where" }, card.origins.map(([name, share]) => h("li", {}, h("span", { class: "name" }, name), h("span", { class: "bar wide" }, h("i", { class: "seen", style: { width: `${100 * share}%`, "--of": rgb(concept.color) } })), h("span", { class: "quiet" }, percent(share)))))],
      !store.study.alone && h("h2", {}, "Slides with most of it"),
      this.where,
    );
    this.renderSlides();
  }

  renderSlides() {
    if (!this.where || store.study.alone) return;
    const at = this.label - 1;
    const rows = [...store.rows].filter(([, row]) => row.px && ownersOf(store.concepts, row)).map(([id, row]) => {
      const { classes, lut } = classesOf(store.concepts, row);
      return { id, share: areas(classes, lut, row.px)[at]?.share ?? 0 };
    });
    const most = rows.filter((row) => row.share > 0).sort((a, b) => b.share - a.share).slice(0, SLIDES);
    const here = rows.filter((row) => row.share > 0).length;
    fill(
      this.where,
      most.map(({ id, share }) => h("li", {}, h("button", { class: "plain", onclick: () => goTo(id, { ui: { only: this.label, together: false } }) }, h("img", { class: "tiny", src: `/thumbs/${id}.jpg`, alt: "", loading: "lazy" }), slideName(id)), h("span", { class: "quiet" }, percent(share)))),
      h("li", { class: "quiet" }, `on ${here} of ${rows.length} slides`),
    );
  }

  // The place in the middle, marked, with its concept singled out where the slide tells the study's.
  toPlace({ id, x, y, side }) {
    const { label } = this;
    const { hidden } = store.ui;
    const alone = store.rows.get(id)?.bank in store.concepts.maps && { only: label, together: false, hidden: new Set([...hidden].filter((one) => one !== label)) };
    goTo(id, { x: x + side / 2, y: y + side / 2, s: side / 220, mark: { id, x, y, side }, ui: { only: null, together: false, ...alone } });
  }

  destroy() {
    this.stops.forEach((stop) => stop());
  }
}
