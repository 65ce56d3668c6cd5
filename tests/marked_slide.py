"""A slide and a map of it with marks whose places are known, whatever the factors between their levels."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tifffile

from histofactor.base.names import LABELS
from histofactor.export.labels import write_labels
from histofactor.export.seal import read_seal, write_seal
from histofactor.records import LabelMap, Segmentation

SIZE = (3001, 2003)
LABEL_SIZE = (751, 502)  # 3.996 and 3.990 px of level 0 each
MARK_PX = 40  # px of the label map
MARK, REST = 1, 2


@dataclass(frozen=True)
class Truth:
    """Rectangles (x0, y0, x1, y1) in level-0 px of the marks: in the map, and in the slide to whole px."""

    labels: list
    slide: list


def write_marked(path: Path, folder: Path, factors=(2, 3.99, 7.9)) -> Truth:
    """Write a pyramid with black marks on white, and put a map with the same marks in the place of a slide's own."""
    width, height = LABEL_SIZE
    spots = [
        (x, y)
        for x, y in ((0, 0), (width - MARK_PX, 0), (0, height - MARK_PX), (width - MARK_PX, height - MARK_PX),
                     ((width - MARK_PX) // 2, (height - MARK_PX) // 2))
    ]  # fmt: skip
    scale = SIZE[0] / width, SIZE[1] / height
    labels = np.full((height, width), REST, np.uint8)
    image = np.full((SIZE[1], SIZE[0], 3), 255, np.uint8)
    truth = Truth([], [])
    for x, y in spots:
        labels[y : y + MARK_PX, x : x + MARK_PX] = MARK
        box = x * scale[0], y * scale[1], (x + MARK_PX) * scale[0], (y + MARK_PX) * scale[1]
        whole = tuple(round(one) for one in box)
        image[whole[1] : whole[3], whole[0] : whole[2]] = 0
        truth.labels.append(box)
        truth.slide.append(whole)
    write_pyramid(path, image, factors)
    names, colors = tuple(map(str, range(8))), tuple((i, i, i) for i in range(8))
    map_ = LabelMap(labels, 1.0, (0, 0), names, colors)
    write_labels(Segmentation(None, map_, None, None, scale, {}), folder / LABELS)
    content = read_seal(folder)
    content.pop("digests")
    content["source"] |= {"size": list(SIZE), "mpp": 0.25}
    content["geometry"] |= {"l0_per_px": list(scale), "size": list(LABEL_SIZE)}
    content["made_by"]["path"] = str(path)
    write_seal(content, folder)
    return truth


def write_pyramid(path: Path, image: np.ndarray, factors) -> None:
    """Write a tiled TIFF whose levels have these downsamples."""
    with tifffile.TiffWriter(path) as tiff:
        for factor in (1, *factors):
            size = tuple(round(side / factor) for side in image.shape[1::-1])
            level = image if factor == 1 else cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            tiff.write(
                level, tile=(256, 256), photometric="rgb", subfiletype=int(factor > 1), compression="zlib",
                resolution=(1e4 / 0.25 / factor,) * 2, resolutionunit="CENTIMETER", metadata=None,
            )  # fmt: skip
