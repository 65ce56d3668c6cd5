"""Many slides: inputs, their places in the output folder, what became of each."""
