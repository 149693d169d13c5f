"""The embedded broker: its secrets, its configuration, its process and its tenants."""
