"""Results as files: OME-TIFF labels, QuPath regions, tables, overlays and the report."""
