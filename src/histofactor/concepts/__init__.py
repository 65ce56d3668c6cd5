"""Concept banks: learn them, keep them, read foreign ones."""
