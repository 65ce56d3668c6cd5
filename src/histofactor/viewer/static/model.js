// What follows from concepts and tables, without server and without page.


// Names that nobody gave are those of the labels, at every number of concepts.
const defaultName = (label) => `Concept ${label}`;
export const isDefault = (name) => /^Concept \d{1,9}$/.test(name);

// The concepts after some became one, which takes place and colour of the lowest; and where each of them went.
export function merge(state, labels, name) {
  const first = Math.min(...labels);
  const concepts = [];
  const owners = state.concepts.map((concept, index) => {
    const label = index + 1;
    if (labels.includes(label) && label !== first) return null;
    const named = label === first ? { ...concept, name, hint: "", suggested: null } : concept;
    concepts.push(isDefault(named.name) ? { ...named, name: defaultName(concepts.length + 1) } : named);
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

// The concepts of the study that each label of a slide holds, from label 1 on: several where the label was merged when
// its map was drawn, and no longer is. Null where its labels are of other concepts.
export function ownersOf(state, row) {
  const whole = state.maps[row.bank];
  if (whole) return whole.map((owner) => [owner]);
  const parts = row.made_of && state.maps[row.made_of.bank];
  return parts ? row.made_of.of.map((members) => [...new Set(members.map((member) => parts[member]))].sort((a, b) => a - b)) : null;
}

// The classes that a slide shows, and the class of every label of its map: those of the study where its labels are
// unions or parts of them, else its own. What only Apply can draw apart is a class of its own until then.
export function classesOf(state, row) {
  const owners = ownersOf(state, row);
  const known = row.own ?? [];
  const extra = known.slice(row.k + 1); // unlike the bank
  if (owners && known.length) {
    const several = [];
    const lut = owners.map((held, index) => (held.length === 1 ? held[0] : state.concepts.length + several.push(joint(state, held, known[index + 1])) - 1));
    const classes = [...state.concepts, ...several, ...extra.map(own)];
    return { classes, lut: [-1, ...lut, ...extra.map((_, index) => state.concepts.length + several.length + index)], shared: true };
  }
  return { classes: known.slice(1).map(own), lut: known.map((_, label) => label - 1), shared: false };
}

// Concepts that a map still shows as one.
function joint(state, held, [, color]) {
  const parts = held.map((index) => state.concepts[index]);
  const name = [...new Set(parts.map((part) => part.name))].join(" + ");
  return { name, color, excluded: parts.every((part) => part.excluded), own: true, joint: true, hint: "apart after Apply" };
}

// What a map still shows as one, by name.
export const jointNames = (state, row) => classesOf(state, row).classes.filter((one) => one.joint).map((one) => one.name);

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

// Whether labels of a slide are shown as others than its files have them; these are decided anew from the weights, by
// Apply.
export function isProvisional(state, row) {
  const owners = ownersOf(state, row);
  return Boolean(owners) && (!state.maps[row.bank] || new Set(owners.flat()).size < owners.length);
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
  const mine = rows.filter((row) => row.px && ownersOf(state, row)?.every((held) => held.length === 1));
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

// What a merge is called where nobody says: by the first name that somebody gave, else by its label.
export function mergedName(state, labels) {
  const names = labels.map((label) => state.concepts[label - 1].name);
  return names.find((name) => !isDefault(name)) ?? defaultName(Math.min(...labels));
}

