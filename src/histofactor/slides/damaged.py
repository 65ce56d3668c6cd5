"""What the libraries that decode images raise on files that are cut off or damaged."""

from __future__ import annotations

import struct
import zlib

# Pillow, tifffile, imagecodecs
DAMAGED = (
    OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, ArithmeticError, RuntimeError, AttributeError,
    AssertionError, struct.error, zlib.error,
)  # fmt: skip
