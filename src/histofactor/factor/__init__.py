"""Factorization: features X to weights W and concepts H, X ≈ W·H, W ≥ 0."""
