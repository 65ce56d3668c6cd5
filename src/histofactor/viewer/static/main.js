// The page: what is shown, and the bar above it.

import * as api from "./api.js";
import { apply, renderButton } from "./applying.js";
import { mergeState } from "./actions.js";
import { ConceptView } from "./conceptview.js";
import { $, errorText, fill, h, rgb, toast } from "./dom.js";
import { Gallery } from "./gallery.js";
import { help, listen } from "./keys.js";
import { keep, keepNow, read } from "./link.js";
import { STAIN, mapOpacity } from "./model.js";
import { screenshot } from "./shot.js";
import { SlideView, goTo } from "./slideview.js";
import { emit, load, loadTable, on, setUi, step, store } from "./store.js";

let page = null;
let told = null; // the slide that was shown last
const PAGES = { slide: SlideView, gallery: Gallery, concepts: ConceptView };

async function open() {
  const kind = PAGES[store.ui.page];
  if (!(page instanceof kind)) {
    page?.destroy();
    page = new kind($("main"));
  }
  for (const tab of document.querySelectorAll("[data-page]"))
    tab.setAttribute("aria-current", tab.dataset.page === store.ui.page ? "page" : "false");
  $("picker").hidden = store.ui.page !== "slide" || store.study.alone;
  for (const id of ["compare", "shot"]) $(id).hidden = store.ui.page !== "slide";
  if (store.ui.slide) $("slides").value = store.ui.slide;
  if (told && told !== store.ui.slide) $("toasts").replaceChildren(); // they were of the slide before
  told = store.ui.slide;
  keep();
  await page.show?.();
}

function renderBar() {
  const { undo, redo } = store.concepts;
  $("undo").disabled = !undo || Boolean(store.study.why_read_only);
  $("redo").disabled = !redo || Boolean(store.study.why_read_only);
  $("undo").title = undo ? `Undo: ${undo} (U)` : "Undo (U)";
  $("redo").title = redo ? `Redo: ${redo} (Shift+U)` : "Redo (Shift+U)";
  renderButton();
}

// Buttons and swatches follow what is shown.
function follow() {
  $("compare").setAttribute("aria-pressed", String(Boolean(store.ui.compare)));
  document.documentElement.style.setProperty("--opacity", `${100 * mapOpacity(store.ui)}%`);
  keep();
}

const skip = () => document.querySelector(".classes [data-label], .classes button, .gallery button")?.focus();

function compare() {
  if (store.ui.page !== "slide") return;
  setUi(store.ui.compare ? { compare: "", other: null } : { compare: "image" });
  page.show();
}

function otherSlide(by) {
  const ids = store.study.slides.map(([id]) => id);
  const at = ids.indexOf(store.ui.slide) + by;
  if (ids[at]) goTo(ids[at]);
}

async function copyLink() {
  keepNow();
  await navigator.clipboard.writeText(location.href).then(
    () => toast("The link is in the clipboard; it opens in a browser that has opened this viewer"),
    () => toast(location.href),
  );
}

const shot = () => page instanceof SlideView && page.panes[0]?.slide && screenshot(page.panes);

// What keys name, merge and exclude: what the legend has chosen, or what is singled out.
function chosenLabels() {
  const { page: kind, concept, only, together } = store.ui;
  if (kind === "concepts") return [concept];
  return page.legend?.chosen ?? (only ? (page.legend?.labelsOf(only, together) ?? [only]) : null);
}

function wire() {
  for (const tab of document.querySelectorAll("[data-page]"))
    tab.addEventListener("click", () => { setUi({ page: tab.dataset.page }); emit("page"); });
  $("slides").addEventListener("change", (event) => goTo(event.target.value));
  $("previous").addEventListener("click", () => otherSlide(-1));
  $("next").addEventListener("click", () => otherSlide(1));
  $("undo").addEventListener("click", () => step("undo"));
  $("redo").addEventListener("click", () => step("redo"));
  $("apply").addEventListener("click", apply);
  $("compare").addEventListener("click", compare);
  $("shot").addEventListener("click", shot);
  $("copy-link").addEventListener("click", copyLink);
  $("help").addEventListener("click", help);
  $("skip").addEventListener("click", skip);
  on("page", open);
  on("concepts", renderBar);
  on("table", renderBar);
  on("ui", follow);
  on("saved", async () => { store.changed = true; await loadTable(true); renderBar(); });
  on("relabelled", () => { store.changed = false; renderBar(); });
  on("merging", () => { const one = mergeState(); $("spoken").textContent = one ? `Merge ${one.name} with: choose another` : ""; });
  window.addEventListener("hashchange", ({ newURL }) => { setUi(read(new URL(newURL).hash)); open(); }); // as it was then: the address is kept up to date
  listen({
    compare, shot, slide: otherSlide,
    chosen: chosenLabels,
    whyNot: ([label]) => {
      if (!page.legend || page.legend.isShared(label)) return "";
      if (page.legend.isJoint(label)) return "these are one on this map until Apply draws them apart: name them each";
      return "this slide is labelled by other concepts than those of the study: they are not changed here";
    },
    whole: () => page.whole?.(),
    viewport: () => page.panes?.[0]?.viewer.viewport,
  });
}

async function begin() {
  try {
    store.study = await api.study();
    document.title = `${store.study.name} — histofactor`;
    $("study-name").textContent = store.study.name;
    $("read-only").hidden = !store.study.why_read_only;
    $("read-only").textContent = "read-only";
    $("read-only").title = store.study.why_read_only;
    if (store.study.why_read_only) toast(store.study.why_read_only);
    fill($("slides"), store.study.slides.map(([id, name]) => h("option", { value: id }, name)));
    setUi({ slide: store.study.first });
    Object.assign(store.ui, read(location.hash));
    if (store.study.alone) {
      store.ui.page = "concepts";
      for (const id of ["undo", "redo", "compare", "shot"]) $(id).hidden = true;
      for (const tab of document.querySelectorAll("[data-page]")) tab.hidden = tab.dataset.page !== "concepts";
    }
    wire();
    document.documentElement.style.setProperty("--stain", rgb(STAIN));
    follow();
    await load();
    await open();
    document.body.dataset.ready = "true";
    if (!store.study.alone) loadTable();
  } catch (error) {
    fill($("main"), h("p", { class: "empty", role: "alert" }, errorText(error.error ?? error.message)));
  }
}

if (!window.OpenSeadragon) fill($("main"), h("p", { class: "empty", role: "alert" }, "OpenSeadragon is missing from this installation."));
else begin();

export const parts = { store, page: () => page };
window.histofactor = parts; // for tests and for those who look behind the page
