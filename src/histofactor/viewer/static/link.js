// The whole view in the address, so that it can be kept and passed on.

import { store, setUi } from "./store.js";

const NUMBERS = ["x", "y", "s", "opacity", "only", "concept", "k"];
const WORDS = ["page", "slide", "other", "compare", "heat", "sort", "by", "scope"];
const FLAGS = { outline: false, shown: true, pattern: false, together: false };
const DEFAULTS = { page: "slide", opacity: 45, sort: "label", scope: "slide", concept: 1 };

export function write(ui) {
  const parts = new URLSearchParams();
  for (const name of WORDS) if (ui[name] && ui[name] !== DEFAULTS[name]) parts.set(name, ui[name]);
  for (const name of NUMBERS)
    if (ui[name] !== null && ui[name] !== undefined && ui[name] !== DEFAULTS[name])
      parts.set(name, String(name === "s" ? Number(ui[name].toPrecision(6)) : Math.round(ui[name] * 10) / 10));
  for (const [name, usual] of Object.entries(FLAGS)) if (ui[name] !== usual) parts.set(name, ui[name] ? "1" : "0");
  if (ui.hidden.size) parts.set("hidden", [...ui.hidden].sort((a, b) => a - b).join("."));
  return parts.toString();
}

export function read(hash) {
  const parts = new URLSearchParams(hash.replace(/^#/, ""));
  const found = { hidden: new Set(), only: null, other: null };
  for (const name of WORDS) if (parts.has(name) || name in DEFAULTS) found[name] = parts.get(name) ?? DEFAULTS[name];
  for (const name of ["compare", "heat", "by"]) found[name] = parts.get(name) ?? "";
  for (const name of NUMBERS) {
    const value = Number(parts.get(name));
    if (parts.has(name) && Number.isFinite(value)) found[name] = value;
    else if (name in DEFAULTS) found[name] = DEFAULTS[name];
  }
  for (const [name, usual] of Object.entries(FLAGS)) found[name] = parts.has(name) ? parts.get(name) === "1" : usual;
  for (const label of (parts.get("hidden") ?? "").split("."))
    if (/^\d{1,5}$/.test(label)) found.hidden.add(Number(label));
  const known = new Set(store.study.slides.map(([id]) => id));
  if (!known.has(found.slide)) delete found.slide;
  if (!known.has(found.other)) found.other = null;
  if (!["", "margin", "residual"].includes(found.heat)) found.heat = "";
  if (!["", "image", "slides"].includes(found.compare)) found.compare = "";
  if (!["label", "name", "area"].includes(found.sort)) found.sort = "label";
  found.scope = found.scope === "study" ? "study" : "slide";
  if (!(found.s > 0)) delete found.s;
  found.opacity = Math.min(Math.max(found.opacity, 0), 100);
  if (!["slide", "gallery", "concepts"].includes(found.page)) found.page = "slide";
  return found;
}

let timer = 0;
export function keep() {
  clearTimeout(timer);
  timer = setTimeout(() => history.replaceState(null, "", `#${write(store.ui)}`), 150);
}

export function keepNow() {
  clearTimeout(timer);
  history.replaceState(null, "", `#${write(store.ui)}`);
}

export function restore() {
  setUi(read(location.hash));
}
