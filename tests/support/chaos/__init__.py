"""Breaking a running fleet on purpose, and finding out whether anything was lost, doubled or put out of order."""
