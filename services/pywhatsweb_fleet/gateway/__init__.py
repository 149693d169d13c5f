"""HTTP, WebSocket and server-sent events for those who do not speak NATS. Holds no state: any number may run."""
