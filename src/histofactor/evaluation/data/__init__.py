"""Labelled data sets, as they are read and split."""
