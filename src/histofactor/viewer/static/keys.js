// What keys do, and the list of them.

import { exclude, mergeState, mergeWith, rename, startMerge } from "./actions.js";
import { fill, h, toast } from "./dom.js";
import { single } from "./legend.js";
import { editable, emit, endSingling, setUi, step, store, whyNot } from "./store.js";

const KEYS = [
  ["1 … 9", "single out a phenotype; again shows all"],
  ["H", "hide or show the map"],
  ["[  ]", "less or more opacity"],
  ["O", "outlines or areas"],
  ["P", "patterns beside colours"],
  ["N", "name the phenotype that is chosen"],
  ["M", "merge it with the one chosen next"],
  ["X", "artefact: excluded from shares, or included again"],
  ["K", "the page of its concept"],
  ["U, Shift+U", "undo, redo"],
  ["S", "screenshot with legend and scale bar"],
  ["C", "two side by side: the image alone, or another slide"],
  [",  .", "previous, next slide"],
  ["G, L", "gallery, slide"],
  ["+  -  0, arrows", "zoom, whole slide, move"],
  ["Tab, ↑ ↓, Enter, space", "in the legend: move, single out, hide"],
  ["→  ←", "in the legend: list the phenotypes of one name each, or as one"],
  ["Esc", "end what was begun"],
  ["?", "this list"],
];

export function help() {
  const dialog = h("dialog", { class: "ask wide", "aria-label": "Keys" });
  fill(
    dialog,
    h("h2", {}, "Keys"),
    h("dl", { class: "keys" }, KEYS.map(([key, what]) => [h("dt", {}, key), h("dd", {}, what)])),
    h("div", { class: "row" }, h("button", { class: "primary", onclick: () => dialog.remove() }, "Close")),
  );
  dialog.addEventListener("cancel", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

// commands: {compare, shot, slide(by), chosen(): labels, whyNot(labels), whole, viewport()}
export function listen(commands) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.target.closest?.("input:not([type=range]):not([type=color]), select, textarea")) return;
    const { ui } = store;
    const viewport = commands.viewport();
    const chosen = commands.chosen();
    const change = (act) => {
      const why = !editable() ? whyNot() : !chosen ? "choose a phenotype first: in the legend, or with a click on the map" : commands.whyNot(chosen);
      if (why) toast(why, "error");
      else act(chosen);
    };
    const does = {
      h: () => setUi({ shown: !ui.shown }),
      "[": () => setUi({ opacity: Math.max(0, ui.opacity - 10) }),
      "]": () => setUi({ opacity: Math.min(100, ui.opacity + 10) }),
      o: () => setUi({ outline: !ui.outline }),
      p: () => setUi({ pattern: !ui.pattern }),
      n: () => change(rename),
      m: () => change(startMerge),
      x: () => change(exclude),
      k: () => { if (chosen && !commands.whyNot(chosen)) setUi({ concept: chosen[0] }); setUi({ page: "concepts" }); emit("page"); },
      u: () => step("undo"),
      U: () => step("redo"),
      s: commands.shot,
      c: commands.compare,
      ",": () => commands.slide(-1),
      ".": () => commands.slide(1),
      g: () => { setUi({ page: "gallery" }); emit("page"); },
      l: () => { setUi({ page: "slide" }); emit("page"); },
      "+": () => viewport?.zoomBy(1.5),
      "=": () => viewport?.zoomBy(1.5),
      "-": () => viewport?.zoomBy(1 / 1.5),
      0: commands.whole,
      "?": help,
      Escape: () => { startMerge(null); endSingling({ mark: null }); },
    };
    const key = event.key.length === 1 && event.key !== "U" ? event.key.toLowerCase() : event.key;
    if (/^[1-9]$/.test(key)) mergeState() ? mergeWith([Number(key)]) : single([Number(key)]);
    else if (does[key]) does[key]();
    else return;
    event.preventDefault();
  });
}
