"""A container's health check: asks the service in it, and tells by the exit code. Standard library only."""

import http.client
import os
import sys


def main() -> int:
    """0: the service answers 200 at the path that is the argument (/livez, /readyz)."""
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ["PWW_HEALTH_PORT"]), timeout=4)
    try:
        connection.request("GET", sys.argv[1])
        return 0 if connection.getresponse().status == 200 else 1
    except OSError:
        return 1


if __name__ == "__main__":
    sys.exit(main())
