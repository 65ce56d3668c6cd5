"use strict";
/* The picture of a report: colours the maps over the image, zooms and pans, singles out a phenotype. Names are read from
   the legend and written as text. Without this script the page shows the image, the tables and the patches. */
(() => {
  const find = (id) => document.getElementById(id);
  const view = find("view"), stage = find("stage"), canvas = find("map"), told = find("told"), bar = find("scale");
  const opacity = find("opacity"), tools = find("tools"), given = canvas.dataset;
  const [width, height] = given.size.split(" ").map(Number);
  const [marginWidth, marginHeight] = given.marginSize.split(" ").map(Number);
  const levels = Number(given.levels), umPerPx = Number(given.um) || null;
  const OPAQUE = Number(opacity.value) / 100, opacities = { map: 100 * OPAQUE, outline: 100, margin: 80 };
  const MOST_PX = 16, STEP = 1.3; // screen px per px of the picture at most; a zoom step
  const LINE = 0.45, VEIL = 0xb4ffffff; // how bright lines between phenotypes are; white over all but the one meant
  const RAMP = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]]; // viridis

  const phenotypes = new Map(); // by label, the largest first
  const shownAs = Uint16Array.from({ length: 65536 }, (_, label) => label); // labels of one name as the largest of them
  for (const item of document.querySelectorAll("#legend button")) {
    const text = (part) => item.querySelector(part)?.textContent.trim() ?? "";
    for (const label of item.dataset.of.split(" ")) shownAs[Number(label)] = Number(item.dataset.label);
    const color = [1, 3, 5].map((at) => parseInt(item.dataset.color.slice(at, at + 2), 16));
    phenotypes.set(Number(item.dataset.label), {
      name: text(".name"), hint: text(".hint"), share: text(".value"), css: item.querySelector("i").style.background, color, item,
    });
  }
  const clip = (value) => Math.max(0, Math.min(255, Math.round(value)));
  const word = (rgb) => (255 << 24) | (rgb[2] << 16) | (rgb[1] << 8) | rgb[0]; // RGBA, little-endian

  // ---- maps -------------------------------------------------------------------------------------------------------
  let labels, margin, edge, meanOf;
  async function unpack(text, columns, type) { // see picture.pack
    const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    const values = new type(await new Response(stream).arrayBuffer());
    for (let i = columns; i < values.length; i++) values[i] += values[i - columns];
    return values;
  }
  function edges() { // 2 for px with another label to their right or below, as in the overlay, 1 for px near those
    const found = new Uint8Array(width * height), depth = Math.max(1, Math.round(Math.max(width, height) / 450));
    const near = (at, room, i, step) => {
      for (let d = Math.max(1 - depth, -at); d <= depth && at + d < room; d++) found[i + d * step] ||= 1;
    };
    for (let y = 0, i = 0; y < height; y++) for (let x = 0; x < width; x++, i++) {
      const right = x + 1 < width && labels[i] !== labels[i + 1], below = y + 1 < height && labels[i] !== labels[i + width];
      if (right) near(x, width, i, 1);
      if (below) near(y, height, i, width);
      if (right || below) found[i] = 2;
    }
    return found;
  }
  const marginAt = (x, y) =>
    margin[Math.floor((y * marginHeight) / height) * marginWidth + Math.floor((x * marginWidth) / width)];

  function means() { // of the image, (r, g, b), by label; and over all phenotypes, under 0
    const copy = document.createElement("canvas");
    [copy.width, copy.height] = [width, height];
    copy.getContext("2d").drawImage(find("image"), 0, 0, width, height);
    const rgba = copy.getContext("2d").getImageData(0, 0, width, height).data, sums = new Float64Array(4 * 65536);
    for (let i = 0; i < labels.length; i++) if (labels[i]) {
      for (let c = 0; c < 3; c++) sums[4 * labels[i] + c] += rgba[4 * i + c];
      sums[4 * labels[i] + 3]++;
    }
    for (let at = 4; at < sums.length; at++) sums[at % 4] += sums[at];
    return (label) => [0, 1, 2].map((c) => sums[4 * label + c] / Math.max(1, sums[4 * label + 3]));
  }

  // ---- painting ---------------------------------------------------------------------------------------------------
  let shown = "map", hovered = 0, pinned = 0;
  const single = () => pinned || hovered;
  function paint() {
    if (!labels) return;
    const pen = canvas.getContext("2d"), image = pen.createImageData(width, height);
    const out = new Uint32Array(image.data.buffer), one = single(), colors = new Uint32Array(65536);
    const lines = new Uint32Array(65536), fills = new Uint32Array(65536);
    const opaque = opacities.map / 100, all = meanOf(0);
    for (const [label, { color }] of phenotypes) {
      const mean = meanOf(label), level = ((1 - opaque) / Math.max(opaque, 0.01)) * Math.min(1, opaque / OPAQUE);
      colors[label] = word(color);
      fills[label] = word(color.map((value, c) => clip(value + level * (all[c] - mean[c])))); // as overlay.png has it
      lines[label] = word(color.map((value) => value * LINE));
    }
    const ramp = Array.from({ length: levels }, (_, level) => {
      const place = (level / (levels - 1)) * (RAMP.length - 1), at = Math.min(Math.floor(place), RAMP.length - 2);
      return word(RAMP[at].map((low, c) => Math.round(low + (RAMP[at + 1][c] - low) * (place - at))));
    });
    for (let i = 0; i < out.length; i++) {
      const label = labels[i];
      if (one && label !== one) out[i] = shown === "image" ? 0 : VEIL;
      else if (!label) continue;
      else if (shown === "map") out[i] = (edge[i] === 2 ? lines : fills)[label];
      else if (shown === "margin") out[i] = ramp[marginAt(i % width, Math.floor(i / width))];
      else if (edge[i] && (one || shown === "outline")) out[i] = colors[label];
    }
    pen.putImageData(image, 0, 0);
    canvas.style.opacity = (opacities[shown] ?? 100) / 100;
  }
  let asked = 0;
  const repaint = () => {
    cancelAnimationFrame(asked);
    asked = requestAnimationFrame(paint);
  };
  function tell(label, x, y) { // names a phenotype, at a place of the view or in its corner
    const one = phenotypes.get(label);
    told.hidden = !one;
    if (!one) return;
    told.querySelector("i").style.background = one.css;
    told.querySelector("span").textContent = [one.name, one.hint, one.share].filter(Boolean).join(" · ");
    const room = view.getBoundingClientRect();
    told.style.left = `${x === undefined ? 12 : Math.max(0, Math.min(x + 14, room.width - told.offsetWidth - 4))}px`;
    told.style.top = `${y === undefined ? 12 : Math.max(0, Math.min(y + 16, room.height - told.offsetHeight - 4))}px`;
  }
  function mark() {
    for (const element of document.querySelectorAll("[data-label]")) {
      const label = Number(element.dataset.label);
      element.classList.toggle("on", label === single());
      if (element.type === "button") element.setAttribute("aria-pressed", label === pinned);
    }
    repaint();
  }
  function hover(label) {
    if (label !== hovered) {
      hovered = label;
      mark();
    }
  }
  function pin(label) {
    pinned = label === pinned ? 0 : label;
    mark();
  }

  // ---- zoom and pan -----------------------------------------------------------------------------------------------
  let scale = 1, left = 0, top = 0, whole = true; // screen px per px of the picture, and where its corner lies
  const least = () => Math.min(view.clientWidth / width, view.clientHeight / height);
  function place() {
    const held = (at, room, size) => (size <= room ? (room - size) / 2 : Math.min(0, Math.max(room - size, at)));
    left = held(left, view.clientWidth, width * scale);
    top = held(top, view.clientHeight, height * scale);
    stage.style.transform = `translate(${left}px, ${top}px) scale(${scale})`;
    view.style.touchAction = whole ? "pan-y" : "none"; // one finger scrolls the page until there is something to pan
    rule();
  }
  function zoom(factor, x = view.clientWidth / 2, y = view.clientHeight / 2) { // what lies at (x, y) stays there
    const wanted = Math.max(least(), Math.min(Math.max(MOST_PX, least()), scale * factor)), grown = wanted / scale;
    if (grown === 1) return false;
    [left, top, scale, whole] = [x - (x - left) * grown, y - (y - top) * grown, wanted, wanted <= least()];
    place();
    return true;
  }
  function fit() {
    [scale, whole] = [least(), true];
    place();
  }
  function rule() { // the scale bar: the longest of 1, 2, 5 × 10ⁿ µm that 150 px of the screen hold
    if (umPerPx === null) return;
    const most = (150 / scale) * umPerPx, power = 10 ** Math.floor(Math.log10(most));
    const um = power * [5, 2, 1].find((step) => step * power <= most);
    bar.querySelector("i").style.width = `${(um / umPerPx) * scale}px`;
    const rounded = (value) => String(Number(value.toPrecision(3)));
    bar.querySelector("span").textContent = um >= 1000 ? `${rounded(um / 1000)} mm` : `${rounded(um)} µm`;
  }
  const inView = (event) => {
    const room = view.getBoundingClientRect();
    return [event.clientX - room.left - view.clientLeft, event.clientY - room.top - view.clientTop];
  };
  function labelAt(x, y) {
    const column = Math.floor((x - left) / scale), row = Math.floor((y - top) / scale);
    return labels && column >= 0 && row >= 0 && column < width && row < height ? labels[row * width + column] : 0;
  }

  const fingers = new Map();
  let moved = 0, dwell = 0;
  const spread = () => {
    const [[ax, ay], [bx, by]] = [...fingers.values()];
    return [Math.hypot(ax - bx, ay - by), (ax + bx) / 2, (ay + by) / 2];
  };
  view.addEventListener("wheel", (event) => { // at its smallest the picture lets the page scroll on
    if (zoom(Math.exp(-event.deltaY * (event.deltaMode === 1 ? 0.05 : 0.0015)), ...inView(event))) event.preventDefault();
  }, { passive: false });
  view.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    if (!fingers.size) moved = 0;
    fingers.set(event.pointerId, inView(event));
    view.setPointerCapture(event.pointerId);
  });
  view.addEventListener("pointermove", (event) => {
    const [x, y] = inView(event), before = fingers.get(event.pointerId);
    clearTimeout(dwell);
    if (!before) {
      const label = labelAt(x, y);
      tell(label, x, y);
      dwell = setTimeout(hover, 120, label); // a pointer on its way elsewhere does not make the map flicker
      return;
    }
    moved += Math.hypot(x - before[0], y - before[1]);
    if (fingers.size === 2) {
      const [apart, middleX, middleY] = spread();
      fingers.set(event.pointerId, [x, y]);
      const [now, nowX, nowY] = spread();
      [left, top] = [left + nowX - middleX, top + nowY - middleY];
      zoom(now / apart, nowX, nowY) || place();
      return;
    }
    fingers.set(event.pointerId, [x, y]);
    if (whole) return;
    [left, top] = [left + x - before[0], top + y - before[1]];
    place();
  });
  const lift = (event) => fingers.delete(event.pointerId);
  view.addEventListener("pointerup", (event) => {
    if (!lift(event) || moved > 5 || fingers.size) return;
    const [x, y] = inView(event), label = labelAt(x, y);
    pin(label || pinned); // beside the tissue, what is pinned is let go
    tell(label, x, y);
  });
  view.addEventListener("pointercancel", lift);
  view.addEventListener("pointerleave", () => {
    clearTimeout(dwell);
    hover(0);
    tell(pinned);
  });
  view.addEventListener("keydown", (event) => {
    const step = 60, pan = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "+" || event.key === "=") zoom(STEP);
    else if (event.key === "-") zoom(1 / STEP);
    else if (event.key === "0") fit();
    else if (pan[event.key] && !whole) {
      [left, top] = [left + pan[event.key][0], top + pan[event.key][1]];
      place();
    } else return;
    event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    [pinned, hovered] = [0, 0];
    mark();
    tell(0);
  });
  find("closer").addEventListener("click", () => zoom(STEP));
  find("farther").addEventListener("click", () => zoom(1 / STEP));
  find("whole").addEventListener("click", fit);
  new ResizeObserver(() => (whole || scale < least() ? fit() : place())).observe(view);

  // ---- legend and tools -------------------------------------------------------------------------------------------
  for (const element of document.querySelectorAll("[data-label]")) {
    const label = Number(element.dataset.label), on = () => (hover(label), tell(label)), off = () => (hover(0), tell(pinned));
    element.addEventListener("pointerenter", on);
    element.addEventListener("pointerleave", off);
    if (element.type !== "button") continue;
    element.addEventListener("focus", on);
    element.addEventListener("blur", off);
    element.addEventListener("click", () => pin(label));
  }
  function show() {
    shown = tools.querySelector("input[name=show]:checked")?.value ?? "image";
    opacity.disabled = shown === "image";
    if (shown in opacities) opacity.value = opacities[shown];
    find("ramp").hidden = shown !== "margin";
    repaint();
  }
  for (const choice of tools.querySelectorAll("input[name=show]")) choice.addEventListener("change", show);
  opacity.addEventListener("input", () => {
    opacities[shown] = Number(opacity.value);
    repaint();
  });

  function legendImage() { // black on white, for a slide
    const line = 30, gap = 36, ratio = 2, columns = Math.ceil(phenotypes.size / 16), perColumn = Math.ceil(phenotypes.size / columns);
    const rows = [...phenotypes.values()].map((one) => [one, [one.name, one.hint].filter(Boolean).join(", "), one.share]);
    const drawn = document.createElement("canvas"), pen = drawn.getContext("2d"), font = "16px system-ui, Arial, sans-serif";
    pen.font = font;
    const measure = (at) => Math.max(...rows.map((row) => pen.measureText(row[at]).width));
    const names = measure(1), column = 28 + names + 24 + measure(2);
    drawn.width = ratio * (columns * (column + gap));
    drawn.height = ratio * (Math.min(rows.length, perColumn) * line + gap);
    pen.scale(ratio, ratio);
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, drawn.width, drawn.height);
    pen.font = font;
    pen.textBaseline = "middle";
    rows.forEach(([one, name, share], at) => {
      const x = gap / 2 + Math.floor(at / perColumn) * (column + gap), y = gap / 2 + (at % perColumn) * line;
      pen.fillStyle = one.css;
      pen.fillRect(x, y + 6, 18, 18);
      pen.fillStyle = "#000";
      pen.fillText(name, x + 28, y + line / 2);
      pen.fillText(share, x + 28 + names + 24, y + line / 2);
    });
    return drawn;
  }
  find("save").addEventListener("click", () => legendImage().toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${document.querySelector("h1").textContent}-legend.png`;
    link.click();
    setTimeout(URL.revokeObjectURL, 10000, link.href);
  }));

  // ---- begin ------------------------------------------------------------------------------------------------------
  find("viewer").classList.add("live");
  [canvas.width, canvas.height] = [width, height];
  [stage.style.width, stage.style.height] = [`${width}px`, `${height}px`];
  tools.hidden = false;
  fit();
  show();
  Promise.all([find("image").decode(), unpack(given.labels, width, Uint16Array), unpack(given.margin, marginWidth, Uint8Array)]).then((maps) => {
    [, labels, margin] = maps;
    labels = labels.map((label) => shownAs[label]);
    [edge, meanOf] = [edges(), means()];
    paint();
    view.setAttribute("aria-busy", "false");
  });
})();
