// What is told over a pane: what is wrong with its slide and its map, and what may make the map meaningless.

import * as api from "./api.js";
import { errorText, h } from "./dom.js";
import { store } from "./store.js";

const AGAIN_MS = 2000; // until a slide that is compared with what it was is asked for again

export class Banner {
  constructor(pane) {
    this.pane = pane;
    this.box = h("div", { class: "banner", role: "status", hidden: true });
  }

  // A slide was opened.
  begin() {
    this.faulty = false;
    this.tellAll();
  }

  // Tiles fail without a word: why is told, once, where the server has ended or is another one.
  async askWhy() {
    if (this.asking) return;
    this.asking = true;
    await api.get("/api/apply").catch((error) => this.tellAll(error.error ?? error.message));
  }

  tellAll(more) {
    const { source_fault, source_warning, labels_fault, warnings, row } = this.pane.slide;
    const faults = [source_fault, source_warning, labels_fault, more].filter(Boolean).map(errorText);
    this.tell([...new Set([...faults, ...warnings])].join(" — "));
    clearTimeout(this.again);
    if (row.checking) this.again = setTimeout(() => this.ask(), AGAIN_MS);
  }

  async ask() {
    const { pane, pane: { slide } } = this;
    const told = await api.get(`/api/slides/${slide.id}`).catch(() => null);
    if (!told || pane.slide !== slide) return;
    if (told.tiles_version !== slide.tiles_version || Boolean(told.source_fault) !== Boolean(slide.source_fault)) {
      await pane.open(slide.id, pane.target);
      return;
    }
    Object.assign(slide, { source_warning: told.source_warning, row: told.row });
    store.rows.set(slide.id, { ...store.rows.get(slide.id), ...told.row });
    this.tellAll(pane.layer?.fault);
  }

  tell(fault) {
    this.box.hidden = !fault;
    this.box.textContent = fault;
  }

  // Of the map, found as its tiles were asked for: told here and, from now on, in the gallery.
  tellFault({ error, message }) {
    if (this.faulty) return;
    this.faulty = true;
    this.tellAll(error ?? message);
    const { id } = this.pane.slide;
    if (error) store.rows.set(id, { ...store.rows.get(id), fault: error });
  }

  end() {
    clearTimeout(this.again);
  }
}
