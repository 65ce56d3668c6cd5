"""Concept banks: the record, its file, what is known of it, and what a user may change."""
