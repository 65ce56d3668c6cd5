"""Masks: weights to label maps and polygons."""
