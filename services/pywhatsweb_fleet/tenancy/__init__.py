"""The tenancy service: makes, changes and erases tenants, and tells what they used. One process a fleet."""
