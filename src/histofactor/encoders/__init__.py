"""Encoders: pixels to dense non-negative features."""
