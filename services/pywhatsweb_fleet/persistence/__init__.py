"""The persistence service: every tenant's events into the record, once each, and the questions about it answered."""
