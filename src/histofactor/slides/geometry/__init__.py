"""Pure geometry: the working frame of an input, its token grid, and the windows that cover it."""
