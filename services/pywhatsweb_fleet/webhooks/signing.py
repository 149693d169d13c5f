"""Signatures of posts: Standard Webhooks' for all, and those that WAHA's and the Cloud API's receivers know.

Standard Webhooks (https://www.standardwebhooks.com): ``webhook-signature`` holds, for each secret that counts,
``v1,`` and base64 of HMAC-SHA256 over ``<webhook-id>.<webhook-timestamp>.<body>``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

from pywhatsweb.contracts.webhook_data import SECRET_PREFIX, Format


def new_secret() -> str:
    """``whsec_`` and base64 of 32 random bytes."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def key_of(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(SECRET_PREFIX))


def signature(secret: str, event_id: str, timestamp: int, body: bytes) -> str:
    """``v1,…``; ``timestamp``: seconds since 1970."""
    signed = f"{event_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key_of(secret), signed, hashlib.sha256)).decode()


def headers(
    secrets_: tuple[str, ...], event_id: str, timestamp: int, body: bytes, form: Format
) -> dict[str, str]:
    """The headers that vouch for a post; ``secrets_``: the present one first, then one that is being replaced.

    The secret of WAHA's and the Cloud API's own signatures is the whole text ``whsec_…``, as one types it there.
    """
    found = {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signature(secret, event_id, timestamp, body) for secret in secrets_),
    }
    text = secrets_[0].encode()
    if form == "cloud":
        found["X-Hub-Signature-256"] = "sha256=" + hmac.new(text, body, hashlib.sha256).hexdigest()
    elif form == "waha":
        found["X-Webhook-Request-Id"] = event_id
        found["X-Webhook-Timestamp"] = str(timestamp * 1000)
        found["X-Webhook-Hmac"] = hmac.new(text, body, hashlib.sha512).hexdigest()
        found["X-Webhook-Hmac-Algorithm"] = "sha512"
    return found
