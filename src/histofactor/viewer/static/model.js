// What follows from concepts and tables, without server and without page.


// The concepts after some became one, which takes place and colour of the lowest; and where each of them went.
export function merge(state, labels, name) {
  const first = Math.min(...labels);
  const concepts = [];
  const owners = state.concepts.map((concept, index) => {
    const label = index + 1;
    if (labels.includes(label) && label !== first) return null;
    concepts.push(label === first ? { ...concept, name, hint: "", suggested: null } : concept);
    return concepts.length - 1;
  });
  const target = owners[first - 1];
  const moved = owners.map((owner) => (owner === null ? target : owner));
  return { ...state, k: concepts.length, concepts, maps: moveMaps(state.maps, moved) };
}

function moveMaps(maps, moved) {
  return Object.fromEntries(Object.entries(maps).map(([hash, owners]) => [hash, owners.map((owner) => moved[owner])]));
}

export function change(state, wanted) {
  if (wanted.do === "merge") return merge(state, wanted.labels, wanted.name);
  const named = wanted.color && new Set(wanted.labels.map((label) => state.concepts[label - 1].name));
  const concepts = state.concepts.map((concept, index) => {
    const color = named?.has(concept.name) ? wanted.color : concept.color; // of all that bear the name
    if (!wanted.labels.includes(index + 1)) return { ...concept, color };
    if (wanted.do === "exclude") return { ...concept, excluded: true };
    if (wanted.do === "include") return { ...concept, excluded: false };
    const hint = wanted.name === undefined ? concept.hint : ""; // a name says more
    const suggested = concept.suggested && { ...concept.suggested, shown: wanted.name === undefined && concept.suggested.shown };
    return { ...concept, hint, suggested, name: wanted.name ?? concept.name, color };
  });
  return { ...state, concepts };
}

// The classes that a slide shows, and the class of every label of its map: those of the study where its labels are
// unions or parts of them, else its own.
export function classesOf(state, row) {
  const owners = state.maps[row.bank];
  const known = row.own ?? [];
  const extra = known.slice(row.k + 1); // unlike the bank
  if (owners && known.length) {
    const classes = [...state.concepts, ...extra.map(own)];
    const lut = [-1, ...owners, ...extra.map((_, index) => state.concepts.length + index)];
    return { classes, lut, shared: true };
  }
  return { classes: known.slice(1).map(own), lut: known.map((_, label) => label - 1), shared: false };
}

const own = ([name, color, excluded]) => ({ name, color, excluded, own: true });

// Indexes of classes that are shown and summed as one, since they bear one name; artefacts stay apart from the rest.
export function alike(classes) {
  const found = new Map();
  classes.forEach((one, index) => {
    const key = `${Boolean(one.excluded)} ${one.name}`;
    if (!found.has(key)) found.set(key, []);
    found.get(key).push(index);
  });
  return [...found.values()];
}

export const STAIN = [207, 160, 196]; // H&E of mean density

// How much of the map's colours is seen, 0 to 1.
export const mapOpacity = ({ opacity, outline, heat }) => (outline && !heat ? Math.min(1, 0.4 + opacity / 100) : opacity / 100);

// A colour as it is seen over tissue, so that a swatch is found again on the map; the style sheet mixes it likewise.
export const seenColor = (color, opacity) => color.map((part, axis) => Math.round(opacity * part + (1 - opacity) * STAIN[axis]));

// How many of those that a legend lists are shown, in words; "" where all are.
export function partShown(rows, classes, ui) {
  const alone = singled(classes, ui);
  if (!alone && !ui.hidden.size) return "";
  const shown = rows.filter(({ labels }) => labels.some((label) => !ui.hidden.has(label) && (!alone || alone.has(label - 1)))).length;
  const counted = shown === 1 ? "one phenotype" : `${shown || "no"} phenotype${shown ? "s" : ""}`;
  return shown < rows.length ? `${counted} of ${rows.length} shown` : "not all is shown";
}

// The classes that are singled out, as indexes; null where all are shown. Together: with all that bear the name.
export function singled(classes, { only, together }) {
  if (!only) return null;
  const same = together ? alike(classes).find((indexes) => indexes.includes(only - 1)) : null;
  return new Set(same ?? [only - 1]);
}

// Classes with what there is of them, those of one name as one; labels are those of its classes, the lowest first.
export function summed(classes, found) {
  return alike(classes).map((indexes) => {
    const parts = indexes.map((index) => ({ amount: 0, share: 0, ...found[index] }));
    const share = parts.some((part) => part.share === null) ? null : parts.reduce((sum, part) => sum + part.share, 0);
    const [index] = indexes;
    return { ...classes[index], index, labels: indexes.map((one) => one + 1), amount: parts.reduce((sum, part) => sum + part.amount, 0), share };
  });
}

// Whether labels of a slide were united for the page alone; files are decided anew from the weights, by Apply.
export function isProvisional(state, row) {
  const owners = state.maps[row.bank];
  return Boolean(owners) && new Set(owners).size < owners.length;
}

// Px of every class of a slide, and its share of what is no artefact.
export function areas(classes, lut, px) {
  const found = new Array(classes.length).fill(0);
  px?.forEach((count, label) => {
    if (lut[label] >= 0) found[lut[label]] += count;
  });
  return withShares(classes, found);
}

export function withShares(classes, found) {
  const whole = found.reduce((sum, count, index) => (classes[index].excluded ? sum : sum + count), 0);
  return found.map((count, index) => ({
    amount: count,
    share: classes[index].excluded || !whole ? null : count / whole,
  }));
}

// The same over all slides of the study whose labels are those of its concepts, in mm² where every one tells µm/px.
export function studyAreas(state, rows) {
  const mine = rows.filter((row) => row.px && state.maps[row.bank]);
  const inUm = mine.every((row) => row.um2_per_px);
  const found = new Array(state.concepts.length).fill(0);
  for (const row of mine) {
    const { classes, lut } = classesOf(state, row);
    areas(classes, lut, row.px).forEach(({ amount }, index) => {
      if (index < found.length) found[index] += amount * (inUm ? row.um2_per_px : 1);
    });
  }
  return { areas: withShares(state.concepts, found), um2PerPx: inUm ? 1 : null, slides: mine.length };
}

// What a merge is called where nobody says: by the first name that somebody gave, else by the first of all.
export function mergedName(state, labels) {
  const names = labels.map((label) => state.concepts[label - 1].name);
  return names.find((name) => !/^Concept \d+$/.test(name)) ?? names[0];
}

