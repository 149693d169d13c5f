"""What `pww up` runs: the broker, the sandbox and every service as processes under one supervisor."""
