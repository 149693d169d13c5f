"""The webhooks service: a tenant's events posted to its own HTTP servers, at least once and in order per chat."""
