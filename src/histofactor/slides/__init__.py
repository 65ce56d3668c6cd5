"""Read slides and plain images, find their tissue, and lay out the windows."""
