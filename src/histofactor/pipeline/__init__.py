"""Pipeline: from an input to its segmentation, one or many."""
