"""All readers that are tried."""

from fuzz import banks, images, results, tables

TARGETS = (*images.TARGETS, *banks.TARGETS, *results.TARGETS, *tables.TARGETS)
