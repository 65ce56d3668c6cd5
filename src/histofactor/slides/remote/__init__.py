"""Inputs that lie on a store: found, fetched to a bounded cache, opened, and deleted again."""
