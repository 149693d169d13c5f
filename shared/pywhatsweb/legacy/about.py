"""What 0.5's package told of itself: its defaults, the Pythons that it runs on, what it needs."""

from __future__ import annotations

from importlib import metadata
from typing import Any, Final

from pywhatsweb.legacy import constants

_PACKAGE: Final = "pywhatsweb"
_TOLD: Final = (
    "CONNECTION_TIMEOUT", "MESSAGE_TIMEOUT", "DELIVERY_TIMEOUT", "QR_EXPIRATION", "HEARTBEAT_INTERVAL",
    "MAX_RETRIES", "RETRY_DELAY", "MAX_MEDIA_SIZE", "MAX_MESSAGES_PER_MINUTE", "MAX_SESSIONS_PER_IP",
    "MAX_REQUESTS_PER_MINUTE", "SUPPORTED_IMAGE_TYPES",
)  # fmt: skip

__default_config__: Final[dict[str, Any]] = {name.lower(): getattr(constants, name) for name in _TOLD}
"""The constants by their names in small letters."""
__python_support__: Final[str] = metadata.metadata(_PACKAGE)["Requires-Python"]
"""Such as ``>=3.11``; pip refuses others."""
__dependencies__: Final[list[str]] = [
    found for found in metadata.requires(_PACKAGE) or () if "extra ==" not in found
]
"""Those of the library alone, with their versions."""
