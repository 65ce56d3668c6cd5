// Outlines of what is shown as one: a line of one px of the screen on each side of a border, at every zoom. Labels are
// looked up for every px of the screen, so that lines follow the borders of label px, also from tile to tile.

const NOWHERE = -1; // beyond the map, or not loaded yet

// labelRow: fills the labels of a row of the screen; sameAs: whether a row shows the same px of the map as the one above
// style: {colors, owners: what is shown as one, by label}; thick: px of the screen on each side of a border
export function outlines({ width, height }, { labelRow, sameAs }, { colors, owners }, thick) {
  const labels = new Int32Array(width * height);
  for (let y = 0; y < height; y += 1)
    if (y && sameAs(y)) labels.copyWithin(y * width, (y - 1) * width, y * width);
    else labelRow(y, labels.subarray(y * width, (y + 1) * width).fill(NOWHERE));
  const image = new ImageData(width, height);
  const out = new Uint32Array(image.data.buffer);
  const differs = (label, other) => other !== NOWHERE && owners[other] !== owners[label];
  for (let y = 0, at = 0; y < height; y += 1)
    for (let x = 0; x < width; x += 1, at += 1) {
      const label = labels[at];
      if (label === NOWHERE || !colors[label]) continue;
      for (let by = 1; by <= thick; by += 1)
        if (
          (x >= by && differs(label, labels[at - by])) || (x + by < width && differs(label, labels[at + by])) ||
          (y >= by && differs(label, labels[at - by * width])) || (y + by < height && differs(label, labels[at + by * width]))
        ) {
          out[at] = colors[label];
          break;
        }
    }
  return image;
}

export { NOWHERE };
