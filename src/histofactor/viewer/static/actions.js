// What is done to concepts, from wherever it is asked for.

import { h, toast } from "./dom.js";
import { mergedName } from "./model.js";
import { edit, emit, endSingling, store } from "./store.js";

const LONGEST = 200; // characters of a name, as the server has it

// A small dialog that asks for one line of text, which it keeps where it was refused; resolves to it, or null.
// Choices are texts to put into the field, each with what is told of it; none is taken before it is saved.
export function prompt(title, value, { button = "Save", fault = "", choices = [], note = "" } = {}) {
  return new Promise((done) => {
    const input = h("input", { value, "aria-label": title, autocomplete: "off" });
    const told = h("p", { class: "warning", role: "alert" }, fault);
    const answered = (event) => {
      event.preventDefault();
      const text = input.value.trim();
      const length = [...text].length;
      if (length > LONGEST) told.textContent = `a name has at most ${LONGEST} characters; this one has ${length}`;
      else close(text || null);
    };
    const dialog = h(
      "dialog", { class: "ask", "aria-label": title },
      h("form", { method: "dialog", onsubmit: answered },
        h("h2", {}, title), input,
        choices.length > 0 && h("div", { class: "choices", role: "group", "aria-label": "Suggested names" },
          choices.map(([text, about]) => h("button", { type: "button", class: "choice", onclick: () => { input.value = text; input.focus(); } }, text, " ", h("small", {}, about)))),
        note && h("p", { class: "quiet" }, note), told,
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

// Ask for a name and do what it is for; asks again, with what was typed, where that was refused.
async function named(title, value, button, act, offered = {}) {
  let [name, fault] = [value, ""];
  do {
    name = await prompt(title(), name, { button, fault, ...offered });
    fault = name ? await act(name) : "";
  } while (fault);
}

// Labels: one, or all that bear one name and are shown as one.
export function rename(labels) {
  const concept = () => store.concepts.concepts[labels[0] - 1];
  if (!concept()) return null;
  const { names = [], unsure, told } = concept().suggested ?? {};
  const offered = { choices: names.map(([one, share]) => [one, share.toFixed(2)]), note: unsure ? `Suggested: ${told}` : "" };
  return named(() => `Name of ${labels.join(", ")}`, concept().name, "Save", async (name) => {
    if (name === concept()?.name) return "";
    const others = store.concepts.concepts.filter((one, index) => one.name === name && !labels.includes(index + 1)).length;
    const fault = await edit({ do: "name", labels, name });
    if (!fault) endSingling();
    if (!fault && others) toast(`“${name}” is the name of ${others + labels.length} phenotypes now: they are shown as one, and can be merged with M`);
    return fault;
  }, offered);
}

export const recolor = (labels, color) => edit({ do: "name", labels, color });

export function exclude(labels) {
  const concept = store.concepts.concepts[labels[0] - 1];
  if (!concept) return null;
  endSingling();
  return edit({ do: concept.excluded ? "include" : "exclude", labels });
}

let merging = null;
export const mergeState = () => merging;

export function startMerge(labels) {
  merging = labels ? { labels, name: store.concepts.concepts[labels[0] - 1].name } : null;
  emit("merging");
}

// What bears one name already becomes one where it is chosen twice.
export function mergeWith(labels) {
  const all = [...new Set([...(merging?.labels ?? []), ...labels])];
  const begun = Boolean(merging);
  startMerge(null);
  if (begun && all.length > 1 && all.every((label) => store.concepts.concepts[label - 1])) ask.merge(all);
}

export const ask = {
  // into: the one that the other was dragged onto, whose name it takes where it was given one
  async merge(labels, into = Math.min(...labels)) {
    const sorted = [...labels].sort((a, b) => a - b);
    const names = () => new Set(sorted.map((label) => `“${store.concepts.concepts[label - 1]?.name}”`));
    const title = () => `Merge ${[...names()].join(" and ")} as`;
    emit("asked", sorted);
    await named(title, mergedName(store.concepts, [into, ...sorted]), "Merge", (name) => {
      emit("asked", null); // from here on the map shows what becomes of it
      const sent = edit({ do: "merge", labels: sorted, name });
      endSingling({ concept: sorted[0] }); // the place it takes
      return sent;
    });
    emit("asked", null);
  },
};
