"""Every kind of message, out and in, on each engine: what the sandbox's contacts see, and what the fleet tells."""
