"""The command line, `pww`."""
