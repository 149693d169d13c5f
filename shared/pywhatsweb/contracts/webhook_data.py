"""Arguments and results of ``webhook.*``: a tenant's events, posted to its own HTTP servers.

Every post is signed (Standard Webhooks: HMAC-SHA256 over id, time and body). An event is posted until the receiver
answers 2xx, under the same ``webhook-id`` each time, and in the order of its chat; other chats do not wait for it.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta, field

from pywhatsweb.contracts.consumer_data import EventType
from pywhatsweb.contracts.control_data import Args, Name, Page, Result
from pywhatsweb.contracts.event_data import Timestamp
from pywhatsweb.errors import ContractError, ErrorCode

MAX_WEBHOOKS = 32
"""A tenant may have so many, unless its quota says otherwise."""
MAX_HEADERS = 16
SECRET_PREFIX = "whsec_"  # noqa: S105 - what every secret begins with
_SECRET_BYTES = range(24, 65)
_RESERVED = frozenset(
    ("host", "content-length", "content-type", "transfer-encoding", "connection", "webhook-id", "webhook-timestamp",
     "webhook-signature", "user-agent", "te", "upgrade", "expect", "trailer")
)  # fmt: skip
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")

Url = Annotated[str, Meta(pattern=r"^https?://[^\s]+$", max_length=2048)]
Format = Literal["pywhatsweb", "waha", "cloud"]
"""Whose bodies: this fleet's events as JSON, WAHA's webhooks, or those of Meta's Cloud API."""
Secret = Annotated[str, Meta(pattern=r"^whsec_[A-Za-z0-9+/]+={0,2}$", max_length=128)]
Types = Annotated[list[EventType], Meta(min_length=1, max_length=64)]
Sessions = Annotated[list[Name], Meta(min_length=1, max_length=64)]
HeaderValue = Annotated[str, Meta(pattern=r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$", max_length=1024)]
Headers = Annotated[dict[str, HeaderValue], Meta(max_length=MAX_HEADERS)]


class WebhookCreate(Args, frozen=True, kw_only=True):
    """Only events of these `types` and `sessions` (all, when null), from now on.

    Creating one again under the same `webhook_id` changes it and keeps its place and its secret. `headers` are sent
    with every post. The secret is made when none is given, and shown only in this answer. `history`: also the messages
    that lay in a phone's history when it was linked, which may be many and old.
    """

    webhook_id: Name | None = None
    url: Url
    types: Types | None = None
    sessions: Sessions | None = None
    format: Format = "pywhatsweb"
    secret: Secret | None = None
    headers: Headers = field(default_factory=dict)
    description: Annotated[str, Meta(max_length=200)] | None = None
    history: bool = False


class WebhookRef(Args, frozen=True, kw_only=True):
    webhook_id: Name


class WebhookEnable(Args, frozen=True, kw_only=True):
    """One that is disabled keeps its place only as far as `replay` asks for it: enabled again, it goes on from now,
    or with everything since that the events stream still has."""

    webhook_id: Name
    replay: bool = False


class WebhookRotate(Args, frozen=True, kw_only=True):
    """For `overlap_s` both secrets sign each post, so that a receiver can change at its leisure."""

    webhook_id: Name
    overlap_s: Annotated[int, Meta(ge=0, le=30 * 86_400)] = 86_400
    secret: Secret | None = None


class WebhookInfo(Result, frozen=True, kw_only=True):
    """`state`: ``ok``; ``failing`` (its last post failed, it is tried again); ``open`` (the circuit is: only a probe
    is posted now and then until one succeeds); ``disabled``."""

    webhook_id: str
    url: str
    types: list[str] | None = None
    sessions: list[str] | None = None
    format: Format = "pywhatsweb"
    headers: list[str]
    """Their names: values may be secrets."""
    description: str | None = None
    history: bool = False
    state: Literal["ok", "failing", "open", "disabled"] = "ok"
    reason: str | None = None
    """Why it is disabled: asked for, or gone (the receiver answered 410)."""
    waiting: int = 0
    """Events put aside for a later try; those that nobody has tried yet are not counted."""
    dead: int = 0
    """Events that were given up, for webhook.redrive."""
    created_at: Timestamp
    secret: str | None = None
    """Only in the answer to webhook.create and webhook.rotate."""


class Webhooks(Result, frozen=True, kw_only=True):
    webhooks: list[WebhookInfo]


class WebhookDelivery(Result, frozen=True, kw_only=True):
    """One try. `answer` is the HTTP status; null with an `error` when there was none."""

    event_id: str
    type: str
    session_id: str
    at: Timestamp
    attempt: int
    ok: bool
    answer: int | None = None
    error: str | None = None
    took_ms: int = 0
    excerpt: str | None = None
    """The beginning of a refusal's body."""


class WebhookDeliveries(Result, frozen=True, kw_only=True):
    """Newest first; the last few hundred of each webhook are kept."""

    deliveries: list[WebhookDelivery]
    cursor: str | None = None


class WebhookLog(Page, frozen=True, kw_only=True):
    webhook_id: Name
    failed: bool = False
    """Only tries that failed."""


class WebhookDead(Page, frozen=True, kw_only=True):
    webhook_id: Name


class WebhookDeadLetter(Result, frozen=True, kw_only=True):
    event_id: str
    type: str
    session_id: str
    first_at: Timestamp
    last_at: Timestamp
    attempts: int
    answer: int | None = None
    error: str | None = None


class WebhookDeadLetters(Result, frozen=True, kw_only=True):
    deadletters: list[WebhookDeadLetter]
    cursor: str | None = None


class WebhookRedrive(Args, frozen=True, kw_only=True):
    """One event, or `all` that were given up."""

    webhook_id: Name
    event_id: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    all: bool = False


class WebhookRedriven(Result, frozen=True, kw_only=True):
    count: int


def check_create(args: WebhookCreate) -> None:
    """What the types cannot say. Raises ContractError."""
    if not _is_address(args.url):
        raise ContractError(ErrorCode.E_INVALID_FIELD, {"path": "$.url"})
    for name in args.headers:
        if not name or name.lower() in _RESERVED or not _TOKEN.issuperset(name.lower()) or len(name) > 64:
            raise ContractError(ErrorCode.E_INVALID_FIELD, {"path": "$.headers", "field": name[:64]})
    check_secret(args.secret)


def _is_address(url: str) -> bool:
    """Whether it is ASCII (others write %C3%A9, or xn-- in a host), has a host, and no name or password in it."""
    if not (url.isascii() and url.isprintable()):
        return False
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0 and parts.username is None and parts.password is None
    except ValueError:
        return False


def check_redrive(args: WebhookRedrive) -> None:
    """Raises ContractError."""
    if args.all == (args.event_id is not None):
        raise ContractError(ErrorCode.E_MISSING_FIELD, {"path": "$", "field": "event_id"})


def check_secret(secret: str | None) -> None:
    """``whsec_`` and base64 of 24 to 64 bytes. Raises ContractError."""
    if secret is not None:
        try:
            key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
        except binascii.Error:
            key = b""
        if len(key) not in _SECRET_BYTES:
            raise ContractError(ErrorCode.E_INVALID_FIELD, {"path": "$.secret"})
