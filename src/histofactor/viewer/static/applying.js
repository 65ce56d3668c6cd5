// Apply: the server derives all files again, and tells how far it is.

import * as api from "./api.js";
import { $, errorText, fill, h, toast } from "./dom.js";
import { behind, emit, load, loadTable, settled, store } from "./store.js";

const NAMED = 3; // slides in a sentence

let dialog = null;
let timer = 0;

export async function apply() {
  await settled();
  try {
    store.apply = await api.post("apply");
  } catch (error) {
    if (error.status !== 422) {
      toast(errorText(error.error ?? error.message), "error");
      return;
    }
  }
  open();
  watch();
}

function open() {
  dialog?.remove();
  dialog = h("dialog", { class: "ask wide", "aria-label": "Apply" });
  document.body.append(dialog);
  dialog.addEventListener("cancel", () => (dialog = (dialog.remove(), null)));
  dialog.showModal();
  render();
}

async function watch() {
  clearTimeout(timer);
  try {
    store.apply = await api.get("/api/apply");
  } catch (error) {
    store.apply = { ...store.apply, state: "failed", error: error.error ?? error.message };
    render();
    return;
  }
  render();
  if (["running", "stopping"].includes(store.apply.state)) {
    timer = setTimeout(watch, 400);
    return;
  }
  await load();
  await loadTable(true);
  emit("relabelled");
}

function render() {
  if (!dialog) return;
  const { state, done, total, outcomes = [], encode = [], command, error } = store.apply;
  const running = ["running", "stopping"].includes(state);
  const failed = outcomes.filter((one) => one.status === "failed");
  const applied = failed.length || encode.length ? "Applied in part" : "Applied";
  const title = { running: "Applying…", stopping: "Stopping…", done: applied, cancelled: "Stopped", failed: "Not applied" }[state] ?? "Apply";
  const ends = state === "done" && !failed.length && !encode.length ? "Tables, regions, reports and maps are up to date." : "";
  fill(
    dialog,
    h("h2", {}, title),
    h("progress", { max: String(Math.max(total ?? 1, 1)), value: String(done ?? 0), "aria-label": "Slides" }),
    h("p", { class: "quiet" }, running ? doing() : ends || `${outcomes.length} slides looked at`),
    state === "cancelled" && h("p", {}, "Slides that were done are up to date, the others are as they were. Apply goes on from there."),
    encode.length > 0 && toEncode(encode, command),
    failed.map((one) => h("p", { class: "warning" }, `${one.name}: ${one.error}`)),
    error && h("p", { class: "warning" }, errorText(error)),
    h("div", { class: "row" },
      running ? h("button", { disabled: state === "stopping", onclick: () => api.post("cancel") }, "Stop") : h("button", { class: "primary", onclick: () => { dialog.remove(); dialog = null; } }, "Close")),
  );
}

// What is at work: a slide, which counts as done when it is, or what comes before and after the slides.
function doing() {
  const { done, total, on, at, stage } = store.apply;
  return at ? `working on ${on} of ${total}: ${at}; ${done} done` : `${stage ?? "getting ready"}${total ? `; ${done} of ${total} slides done` : ""}`;
}

// Slides that Apply leaves as they are, since they would have to be encoded; and the command that does so.
function toEncode(encode, command) {
  const whys = [...new Set(encode.map(([, why]) => why))];
  const named = (why) => {
    const names = encode.filter(([, other]) => other === why).map(([name]) => name);
    return `${names.slice(0, NAMED).join(", ")}${names.length > NAMED ? ` and ${names.length - NAMED} more` : ""}: ${why}`;
  };
  const left = encode.length > 1 ? `${encode.length} slides are as they were: they` : "1 slide is as it was: it";
  return h("div", { class: "encode" },
    h("p", {}, `${left} must be encoded again, which Apply does not do. In a terminal:`),
    h("p", {}, h("code", {}, command)),
    h("ul", {}, whys.map((why) => h("li", { class: "quiet" }, named(why)))));
}

export function renderButton() {
  const count = behind();
  const button = $("apply");
  button.hidden = Boolean(store.study.why_read_only) || !store.concepts?.k || !(count || store.changed);
  fill(button, "Apply", count > 0 && h("span", { class: "roomy" }, ` to ${count} slide${count > 1 ? "s" : ""}`));
}
