// What is done to concepts, from wherever it is asked for.

import { h } from "./dom.js";
import { mergedName } from "./model.js";
import { edit, emit, store } from "./store.js";

// A small dialog that asks for one line of text; resolves to it, or null.
export function prompt(title, value, button = "Save") {
  return new Promise((done) => {
    const input = h("input", { value, maxlength: "200", "aria-label": title, autocomplete: "off" });
    const dialog = h(
      "dialog", { class: "ask", "aria-label": title },
      h("form", { method: "dialog", onsubmit: (event) => { event.preventDefault(); close(input.value.trim() || null); } },
        h("h2", {}, title), input,
        h("div", { class: "row" }, h("button", { type: "button", onclick: () => close(null) }, "Cancel"), h("button", { class: "primary" }, button))),
    );
    const close = (answer) => {
      dialog.close();
      dialog.remove();
      done(answer);
    };
    dialog.addEventListener("cancel", () => close(null));
    document.body.append(dialog);
    dialog.showModal();
    input.select();
  });
}

export async function rename(label) {
  const concept = store.concepts.concepts[label - 1];
  if (!concept) return;
  const name = await prompt(`Name of ${label}`, concept.name);
  if (name && name !== concept.name) await edit({ do: "name", label, name });
}

export const recolor = (label, color) => edit({ do: "name", label, color });

export function exclude(label) {
  const concept = store.concepts.concepts[label - 1];
  return concept ? edit({ do: concept.excluded ? "include" : "exclude", labels: [label] }) : null;
}

let merging = null;
export const mergeState = () => merging;

export function startMerge(label) {
  merging = label ? { label, name: store.concepts.concepts[label - 1].name } : null;
  emit("merging");
}

export function mergeWith(label) {
  const first = merging?.label;
  startMerge(null);
  if (first && first !== label && store.concepts.concepts[label - 1]) ask.merge([first, label]);
}

export const ask = {
  async merge(labels) {
    const sorted = [...labels].sort((a, b) => a - b);
    const names = sorted.map((label) => `“${store.concepts.concepts[label - 1].name}”`).join(" and ");
    const name = await prompt(`Merge ${names} as`, mergedName(store.concepts, sorted), "Merge");
    if (name) await edit({ do: "merge", labels: sorted, name });
  },
};
