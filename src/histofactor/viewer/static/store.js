// What the page knows and shows, and who is told when it changes.

import * as api from "./api.js";
import * as model from "./model.js";
import { errorText, toast } from "./dom.js";

const events = new EventTarget();

export const store = {
  study: null, // name, slides, first, why_read_only
  concepts: null, // k, version, concepts, maps, undo, redo
  rows: new Map(), // of the table, by id of the slide
  apply: { state: "idle" },
  ui: {
    page: "slide", slide: null, other: null, compare: "", x: null, y: null, s: null,
    opacity: 45, outline: false, shown: true, hidden: new Set(), only: null, together: false, heat: "", pattern: false,
    sort: "label", by: "", concept: 1, scope: "slide", mark: null, // a place: {id, x, y, side}
  },
};

export function on(what, handler) {
  const listener = (event) => handler(event.detail);
  events.addEventListener(what, listener);
  return () => events.removeEventListener(what, listener);
}

export const emit = (what, detail) => events.dispatchEvent(new CustomEvent(what, { detail }));

export function setUi(changes) {
  Object.assign(store.ui, changes);
  emit("ui", changes);
}

export const endSingling = (besides = {}) => setUi({ only: null, together: false, ...besides });

export const showAll = () => endSingling({ hidden: new Set(), mark: null });

export const editable = () => !store.study.why_read_only && Boolean(store.concepts?.k);

export const whyNot = () => store.study.why_read_only || "these concepts cannot be changed here";

export function slideName(id) {
  return store.study.slides.find(([one]) => one === id)?.[1] ?? "";
}

// Concepts change on the page at once; the server is told in the order in which things were done.

const past = [];
const future = [];
let queue = Promise.resolve();
let pending = 0;

function show(state) {
  store.concepts = state;
  emit("concepts");
}

function keysOf(concepts) {
  const seen = new Map(); // several may bear one name
  return concepts.map(({ name, color }) => {
    const key = model.isDefault(name) ? `${color}` : `${name}\n${color}`; // names that nobody gave follow the labels
    seen.set(key, (seen.get(key) ?? 0) + 1);
    return `${key}\n${seen.get(key)}`;
  });
}

function remapUi(before, after) {
  // labels that are hidden or singled out follow their concepts
  if (before.k === after.k) return;
  const labels = new Map(keysOf(after.concepts).map((key, index) => [key, index + 1]));
  const keys = keysOf(before.concepts);
  const follow = (label) => labels.get(keys[label - 1]);
  const hidden = new Set([...store.ui.hidden].map(follow).filter(Boolean));
  setUi({ hidden, only: store.ui.only ? (follow(store.ui.only) ?? null) : null, concept: 1 });
}

function send(wanted, before) {
  pending += 1;
  queue = queue.then(async () => {
    try {
      const told = await api.post("edit", { ...wanted, version: store.version });
      store.version = told.version;
      for (const note of told.notes) toast(note);
      pending -= 1;
      if (!pending) show(told);
      emit("saved");
      return "";
    } catch (error) {
      pending -= 1;
      past.length = future.length = 0;
      const fault = errorText(error.error ?? error.message);
      if (wanted.name === undefined) toast(`${wanted.do}: ${fault}`, "error");
      await load().catch(() => show(before));
      return fault;
    }
  });
  return queue;
}

export async function load() {
  const k = store.study.alone && store.ui.k ? `?k=${store.ui.k}` : "";
  const told = await api.get(`/api/concepts${k}`);
  store.version = told.version;
  show(told);
}

// Resolves to why it was refused, or ""; who gives a name tells it, all else is told here.
export function edit(wanted) {
  if (!editable()) {
    toast(whyNot(), "error");
    return Promise.resolve("");
  }
  const before = store.concepts;
  past.push(before);
  future.length = 0;
  const after = model.change(before, wanted);
  remapUi(before, after);
  show({ ...after, undo: wanted.do, redo: null });
  return send(wanted, before);
}

export function step(what) {
  if (!editable()) return Promise.resolve();
  const [from, to] = what === "undo" ? [past, future] : [future, past];
  const before = store.concepts;
  if (!before[what] && !from.length) {
    toast(`there is nothing to ${what}`);
    return Promise.resolve();
  }
  if (from.length) {
    to.push(before);
    const after = from.pop();
    remapUi(before, after);
    show({ ...after, [what === "undo" ? "redo" : "undo"]: before[what] ?? what });
  }
  return send({ do: what }, before);
}

// Until the server knows all, also what is being done at this moment.
export async function settled() {
  await null;
  await queue;
}

// The table, a hundred slides at a time, so that a large study is seen to fill.
let loading = null;
// only: ids of slides, or all.
export function loadTable(fresh = false, only = null) {
  if (loading && !fresh) return loading;
  loading = (async () => {
    const ids = only ?? store.study.slides.map(([id]) => id);
    for (let at = 0; at < ids.length; at += 100) {
      const rows = await api.get(`/api/table?ids=${ids.slice(at, at + 100).join(",")}`);
      for (const [id, row] of Object.entries(rows)) store.rows.set(id, row);
      emit("table");
    }
  })();
  return loading;
}

export const behind = () => [...store.rows.values()].filter((row) => row.behind).length;
