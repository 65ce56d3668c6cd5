"""Slides of The Cancer Genome Atlas: listed and fetched from the Genomic Data Commons."""
