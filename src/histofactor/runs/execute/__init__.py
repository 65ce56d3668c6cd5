"""How tasks are executed: a task in, an outcome out. Nothing else in the package knows."""
