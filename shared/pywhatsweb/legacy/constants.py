"""0.5's constants. Limits that the fleet keeps are the tenant's (see `contracts`); these are what 0.5 documented."""

from __future__ import annotations

from typing import Any, Final

MAX_MEDIA_SIZE: Final = 16 * 1024 * 1024
"""Bytes."""
SUPPORTED_IMAGE_TYPES: Final = ["image/jpeg", "image/png", "image/gif", "image/webp"]
CONNECTION_TIMEOUT: Final = 30
"""Seconds; as are the next five."""
MESSAGE_TIMEOUT: Final = 60
DELIVERY_TIMEOUT: Final = 300
QR_EXPIRATION: Final = 60
RETRY_DELAY: Final = 5
HEARTBEAT_INTERVAL: Final = 30
MAX_RETRIES: Final = 3
MAX_MESSAGES_PER_MINUTE: Final = 30
MAX_SESSIONS_PER_IP: Final = 10
MAX_REQUESTS_PER_MINUTE: Final = 100
MEDIA_CONFIG: Final[dict[str, Any]] = {
    "max_size": MAX_MEDIA_SIZE,
    "allowed_types": SUPPORTED_IMAGE_TYPES,
    "timeout": 300,
    "retry_count": MAX_RETRIES,
    "storage_backend": "local",
}
