"""What the files of results are called, in the folder of one input and in the output folder itself."""

from __future__ import annotations

LABELS = "labels.ome.tif"
OVERLAY = "overlay.png"
REGIONS = "regions.geojson.gz"
TABLE = "phenotypes.csv"  # of one input; that of all inputs, in the output folder, has the same name
COHORT = "phenotypes.parquet"  # that of all inputs, typed
PAGE = "report.html"  # likewise
SMALL = "preview.jpg"  # the overlay, for lists of many inputs
PREVIEW = ".preview.json"  # what the page shows
WEIGHTS = "weights.zarr"  # if asked for
OME_ZARR = "labels.ome.zarr"  # if asked for
QUALITY = "quality.ome.tif"  # if asked for, as the two that follow
QUALITY_REGIONS = "quality.geojson.gz"
QUALITY_TABLE = "quality.csv"
SEAL = "segmentation.json"  # written last: where it is, the results are whole
STATUS = "status.json"  # what became of one input
RUN = "run.json"  # in the output folder
RUNS = ".runs"  # facts and inputs of every run, inside the output folder
CONCEPTS_PAGE = "concepts.html"  # in that of a study

WRITTEN = (PREVIEW, LABELS, OVERLAY, TABLE, SMALL, REGIONS, PAGE)  # of every input, beside the seal
SEALED = (LABELS, WEIGHTS, OME_ZARR, QUALITY)  # what is read again, and so must be as it was written
