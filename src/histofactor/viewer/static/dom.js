// Elements made from text alone: nothing here ever parses markup.

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name === "style") for (const [key, one] of Object.entries(value)) element.style.setProperty(key, one);
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const $ = (id) => document.getElementById(id);

export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter(Boolean));
}

// Told to the eye and to screen readers, and gone after a while.
export function toast(text, kind = "") {
  const note = h("div", { class: `toast ${kind}` }, text);
  $("toasts").append(note);
  setTimeout(() => note.remove(), kind === "error" ? 12000 : 4000);
}

export function errorText(error) {
  if (typeof error === "string") return error;
  const { what, expected, got, mend } = error ?? {};
  const parts = [what, expected && `expected ${expected}`, got && `got ${got}`, mend];
  return parts.filter(Boolean).join("; ") || "something went wrong";
}

export const rgb = (color) => `rgb(${color[0]} ${color[1]} ${color[2]})`;
export const hex = (color) => `#${color.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
export const fromHex = (text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));

export const percent = (share) =>
  share === null || share === undefined ? "" : share > 0 && share < 0.001 ? "< 0.1 %" : `${(100 * share).toFixed(1)} %`;

// Tells areas in one unit, that of the largest, so that a column of them can be compared; px where there is no µm/px.
export function areaTeller(amounts, um2PerPx) {
  if (!um2PerPx) return (px) => `${px.toLocaleString("en")} px`;
  const most = Math.max(0, ...amounts) * um2PerPx;
  if (most < 1e5) return (px) => `${Math.round(px * um2PerPx).toLocaleString("en")} µm²`;
  const digits = most < 1e7 ? 3 : 2;
  return (px) => {
    const mm2 = (px * um2PerPx) / 1e6;
    return mm2 > 0 && mm2 < 10 ** -digits ? `< ${10 ** -digits} mm²` : `${mm2.toFixed(digits)} mm²`;
  };
}
