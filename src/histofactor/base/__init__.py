"""Ground floor: files that are whole or not there, workers, colours, clock."""
